// SPDX-License-Identifier: Apache-2.0
// Decides what to speak: the most severe current item that has not been spoken yet, never a backlog of old ones.

const REPEAT = 8000; // ms before the same item is repeated, however often it comes and goes
const GAP = 400; // ms of silence between two sentences

export class Announcer {
  #speak;
  #pending = new Set(); // keys of new items that have not been spoken yet
  #before = new Set();
  #spokenAt = new Map();
  #grade = -1; // of the sentence that is being spoken
  #quietSince = -Infinity;

  // speak(text, urgent): starts to speak and returns at once; urgent: interrupts the current sentence.
  constructor(speak) {
    this.#speak = speak;
  }

  // items: [{key, text, grade}], the current ones; grade: 0 a remark .. 3 a fault; speaking: is a sentence being spoken?
  // Returns the largest grade of the new items, -1: none is new.
  update(now, items, speaking) {
    const fresh = items.filter(({ key }) => !this.#before.has(key));
    for (const { key } of fresh) this.#pending.add(key);
    this.#before = new Set(items.map(({ key }) => key));
    for (const key of this.#pending) if (!this.#before.has(key)) this.#pending.delete(key);
    if (!speaking && this.#grade >= 0) [this.#grade, this.#quietSince] = [-1, now];
    const next = this.#mostSevere(now, items);
    if (next && (speaking ? next.grade > this.#grade : now - this.#quietSince >= GAP)) this.#start(next, now, speaking);
    return Math.max(-1, ...fresh.map(({ grade }) => grade));
  }

  #mostSevere(now, items) {
    const due = items.filter(({ key }) =>
      this.#pending.has(key) && now - (this.#spokenAt.get(key) ?? -Infinity) >= REPEAT);
    return due.sort((one, other) => other.grade - one.grade)[0];
  }

  #start({ key, text, grade }, now, urgent) {
    this.#pending.delete(key);
    this.#spokenAt.set(key, now);
    this.#grade = grade;
    this.#speak(text, urgent);
  }
}
