// SPDX-License-Identifier: Apache-2.0
// When to say what: the gravest thing that is true now and has not been said yet, never a backlog of old ones.

const REPEAT = 8000; // ms before the same thing is said again, however often it comes and goes
const GAP = 400; // ms of silence between two sentences

export class Announcer {
  #say;
  #unsaid = new Set(); // keys that have become true and wait to be said
  #before = new Set();
  #saidAt = new Map();
  #grade = -1; // of the sentence that is being said
  #quietSince = -Infinity;

  // say(text, urgent): begins to speak and returns at once; urgent: ends what is being said.
  constructor(say) {
    this.#say = say;
  }

  // items: [{key, text, grade}], what is true now; grade: 0 a remark .. 3 a fault; speaking: is something being said?
  // Returns the largest grade of those that have just become true, -1 when none has.
  update(now, items, speaking) {
    const fresh = items.filter(({ key }) => !this.#before.has(key));
    for (const { key } of fresh) this.#unsaid.add(key);
    this.#before = new Set(items.map(({ key }) => key));
    for (const key of this.#unsaid) if (!this.#before.has(key)) this.#unsaid.delete(key);
    if (!speaking && this.#grade >= 0) [this.#grade, this.#quietSince] = [-1, now];
    const next = this.#gravest(now, items);
    if (next && (speaking ? next.grade > this.#grade : now - this.#quietSince >= GAP)) this.#begin(next, now, speaking);
    return Math.max(-1, ...fresh.map(({ grade }) => grade));
  }

  #gravest(now, items) {
    const due = items.filter(({ key }) =>
      this.#unsaid.has(key) && now - (this.#saidAt.get(key) ?? -Infinity) >= REPEAT);
    return due.sort((one, other) => other.grade - one.grade)[0];
  }

  #begin({ key, text, grade }, now, urgent) {
    this.#unsaid.delete(key);
    this.#saidAt.set(key, now);
    this.#grade = grade;
    this.#say(text, urgent);
  }
}
