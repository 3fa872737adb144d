// SPDX-License-Identifier: Apache-2.0
// Driving with the keyboard or with the on-screen keys. A key acts while it is held down.
import { byId, make, sentence, setText, writes } from "./dom.js";
import { DrivingSocket } from "./driving.js";

const PERIOD = 50; // ms between two packets while nothing changes
const REFUSED = [1008, 1013]; // close codes with which the console has said why: policy violation, try again later
const INTERRUPTED = "The connection was interrupted, so driving stopped. Click \"Drive with keys\" to continue.";
const PAD = [
  ["w", "forward"], ["s", "back"], ["a", "left"], ["d", "right"], ["q", "up"], ["e", "down"],
  ["i", "pitch +"], ["k", "pitch −"], ["j", "roll +"], ["l", "roll −"], ["u", "yaw +"], ["o", "yaw −"],
  [" ", "gripper"],
];
const KEYS = new Set(PAD.map(([key]) => key));
const RECORDING = [["r", "record"], ["enter", "success"], ["f", "failure"], ["x", "discard"]]; // as in a terminal
const BUTTONS = new Map(RECORDING);
const SHOWN = { " ": "space", enter: "⏎" };

export class KeyboardDriving {
  #connection;
  #episode;
  #socket = null;
  #stopped = false; // the person stopped driving
  #driving = false;
  #slow = false;
  #shift = false;
  #timer = 0;
  #held = new Set();
  #buttons = new Map();

  // episode: can(name) and press(name) of record, success, failure, discard.
  constructor(connection, episode) {
    this.#connection = connection;
    this.#episode = episode;
    byId("keys-switch").addEventListener("click", () => (this.#socket ? this.#stop() : this.#start()));
    byId("slow").addEventListener("click", () => this.#setSlow(!this.#slow));
    byId("pad").append(...PAD.map(([key, what]) => this.#padButton(key, what)));
    byId("shortcuts").append(...RECORDING.map(([key, name]) => this.#shortcut(key, name)));
    addEventListener("keydown", (event) => this.#onKey(event, true));
    addEventListener("keyup", (event) => this.#onKey(event, false));
    addEventListener("blur", () => this.#releaseAll());
    document.addEventListener("visibilitychange", () => this.#releaseAll());
    connection.addEventListener("lost", () => this.#socket?.close());
    connection.addEventListener("state", () => this.#enableShortcuts());
  }

  get driving() {
    return this.#driving;
  }

  #stop() {
    this.#stopped = true;
    this.#socket.close();
  }

  async #start() {
    const answer = await this.#connection.ask("device", { device: "page_keyboard" });
    this.#showMessage(answer.done ? "" : answer.text, !answer.done);
    if (!answer.done || this.#socket) return;
    this.#socket = new DrivingSocket("page_keyboard", {
      show: (text, isError) => this.#showMessage(text, isError),
      opened: () => this.#started(),
      ended: ({ code }) => this.#ended(code),
    });
  }

  // The first packet reports no held key, so a key that was already down has no effect.
  #started() {
    this.#stopped = false;
    this.#show(true);
    this.#send();
    this.#timer = setInterval(() => this.#send(), PERIOD);
    byId("keys-switch").blur(); // the space bar now moves the gripper
    scrollTo({ top: 0 }); // on a small screen the pad is now under the image
  }

  #ended(code) {
    const interrupted = this.#driving && !this.#stopped && !REFUSED.includes(code);
    clearInterval(this.#timer);
    this.#socket = null;
    this.#releaseAll();
    this.#show(false);
    if (interrupted) this.#showMessage(INTERRUPTED, true);
  }

  #show(driving) {
    this.#driving = driving;
    document.body.classList.toggle("driving", driving);
    byId("controls").hidden = !driving;
    byId("keys-switch").setAttribute("aria-pressed", String(driving));
    setText(byId("keys-switch"), driving ? "Stop driving" : "Drive with keys");
  }

  #setSlow(slow) {
    this.#slow = slow;
    this.#paintSlow();
    byId("slow").blur();
    this.#send();
  }

  #paintSlow() {
    byId("slow").setAttribute("aria-pressed", String(this.#slow || this.#shift));
  }

  #onKey(event, down) {
    if (!this.#driving) return;
    if (event.key === "Shift") this.#holdShift(down);
    const key = event.key.toLowerCase();
    if (!KEYS.has(key) && !BUTTONS.has(key)) return;
    if (down && (event.ctrlKey || event.metaKey || event.altKey || writes(event.target))) return;
    event.preventDefault();
    if (event.repeat) return;
    if (KEYS.has(key)) this.#hold(key, down);
    else if (down) this.#episode.press(BUTTONS.get(key));
  }

  #holdShift(down) {
    this.#shift = down;
    this.#paintSlow();
    this.#send();
  }

  #padButton(key, what) {
    const button = keyButton(key, what);
    button.classList.toggle("wide", key === " ");
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

  #shortcut(key, name) {
    const button = keyButton(key, name);
    button.dataset.name = name;
    button.addEventListener("click", () => {
      this.#episode.press(name);
      button.blur(); // the space bar moves the gripper
    });
    return button;
  }

  #enableShortcuts() {
    if (!this.#driving) return;
    for (const button of byId("shortcuts").children) button.disabled = !this.#episode.can(button.dataset.name);
  }

  #hold(key, down) {
    if (this.#held.has(key) === down) return;
    if (down) this.#held.add(key);
    else this.#held.delete(key);
    this.#buttons.get(key).classList.toggle("held", down);
    this.#send();
  }

  #releaseAll() {
    if (this.#shift) this.#holdShift(false);
    for (const key of [...this.#held]) this.#hold(key, false);
  }

  #send() {
    const slow = this.#slow || this.#shift;
    this.#socket?.send({ keys: [...this.#held], deadman: this.#held.size > 0, slow });
  }

  #showMessage(text, isError) {
    setText(byId("drive-message"), sentence(text));
    byId("drive-message").classList.toggle("grave", isError);
  }
}

function keyButton(key, what) {
  const button = make("button", "key");
  button.type = "button";
  button.append(make("kbd", "", SHOWN[key] ?? key), make("span", "", what));
  return button;
}
