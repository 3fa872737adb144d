// SPDX-License-Identifier: Apache-2.0
// Driving with the keys of a keyboard, or with a finger on their pictures. A key counts while it is held down.
import { byId, make, sentence, setText, writes } from "./dom.js";
import { DrivingSocket } from "./driving.js";

const PERIOD = 50; // ms between two packets while nothing changes
const PAD = [
  ["w", "forward"], ["s", "back"], ["a", "left"], ["d", "right"], ["q", "up"], ["e", "down"],
  ["i", "pitch +"], ["k", "pitch −"], ["j", "roll +"], ["l", "roll −"], ["u", "yaw +"], ["o", "yaw −"],
  [" ", "gripper"],
];
const KEYS = new Set(PAD.map(([key]) => key));

export class KeyboardDriving {
  #connection;
  #socket = null;
  #driving = false;
  #timer = 0;
  #held = new Set();
  #buttons = new Map();

  constructor(connection) {
    this.#connection = connection;
    byId("keys-switch").addEventListener("click", () => (this.#socket ? this.stop() : this.#start()));
    byId("pad").append(...PAD.map(([key, what]) => this.#padButton(key, what)));
    addEventListener("keydown", (event) => this.#onKey(event, true));
    addEventListener("keyup", (event) => this.#onKey(event, false));
    addEventListener("blur", () => this.#releaseAll());
    document.addEventListener("visibilitychange", () => this.#releaseAll());
    connection.addEventListener("lost", () => this.stop());
  }

  get driving() {
    return this.#driving;
  }

  stop() {
    this.#socket?.close();
  }

  async #start() {
    const answer = await this.#connection.ask("device", { device: "page_keyboard" });
    this.#say(answer.done ? "" : answer.text, !answer.done);
    if (!answer.done || this.#socket) return;
    this.#socket = new DrivingSocket("page_keyboard", {
      say: (text, grave) => this.#say(text, grave),
      opened: () => this.#began(),
      ended: () => this.#ended(),
    });
  }

  // The first packet says that nothing is held: a key that was down before does not count.
  #began() {
    this.#driving = true;
    this.#send();
    this.#timer = setInterval(() => this.#send(), PERIOD);
    byId("pad").hidden = false;
    byId("keys-switch").setAttribute("aria-pressed", "true");
    setText(byId("keys-switch"), "Stop driving");
    byId("keys-switch").blur(); // the space bar is the gripper's now
  }

  #ended() {
    clearInterval(this.#timer);
    this.#driving = false;
    this.#socket = null;
    this.#releaseAll();
    byId("pad").hidden = true;
    byId("keys-switch").setAttribute("aria-pressed", "false");
    setText(byId("keys-switch"), "Drive with keys");
  }

  #onKey(event, down) {
    const key = event.key.toLowerCase();
    if (!this.#driving || !KEYS.has(key)) return;
    if (down && (event.ctrlKey || event.metaKey || event.altKey || writes(event.target))) return;
    event.preventDefault();
    if (!event.repeat) this.#hold(key, down);
  }

  #padButton(key, what) {
    const button = make("button", key === " " ? "key wide" : "key");
    button.type = "button";
    button.append(make("kbd", "", key === " " ? "space" : key), make("span", "", what));
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      this.#hold(key, true);
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      button.addEventListener(end, () => this.#hold(key, false));
    }
    button.addEventListener("contextmenu", (event) => event.preventDefault());
    this.#buttons.set(key, button);
    return button;
  }

  #hold(key, down) {
    if (this.#held.has(key) === down) return;
    if (down) this.#held.add(key);
    else this.#held.delete(key);
    this.#buttons.get(key).classList.toggle("held", down);
    this.#send();
  }

  #releaseAll() {
    for (const key of [...this.#held]) this.#hold(key, false);
  }

  #send() {
    this.#socket?.send({ keys: [...this.#held], deadman: this.#held.size > 0 });
  }

  #say(text, grave) {
    setText(byId("drive-message"), sentence(text));
    byId("drive-message").classList.toggle("grave", grave);
  }
}
