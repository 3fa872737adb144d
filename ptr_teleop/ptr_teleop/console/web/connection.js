// SPDX-License-Identifier: Apache-2.0
// The socket for state and requests. It reports when the console is gone, and reconnects by itself.

const STATE_TIMEOUT = 1000; // ms without a state after which the connection counts as lost
const RETRIES = [250, 500, 1000, 2000]; // ms
const TIMEOUT = 15000; // ms for a response: an episode is audited before the console responds
const NO_RESPONSE = `The console did not respond within ${TIMEOUT / 1000} s and may still do it. Check the state before you try again.`;

export function socketUrl(path) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  return `${scheme}//${location.host}${path}`;
}

export class Connection extends EventTarget {
  // Events: hello (detail: settings), state (detail: state), lost (detail: sentence), found,
  // retry (the console could not be reached; another attempt follows).
  #socket = null;
  #receivedAt = 0;
  #lost = false;
  #attempt = 0;
  #next = 1;
  #waiting = new Map();

  constructor() {
    super();
    this.#open();
    setInterval(() => this.#watch(), 200);
  }

  // Resolves to {done, text}; never rejects.
  ask(request, fields = {}) {
    if (this.#lost || this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.resolve({ done: false, text: "There is no connection to the console. Try again once the page is connected." });
    }
    const id = this.#next++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(id, { done: false, text: NO_RESPONSE }), TIMEOUT);
      this.#waiting.set(id, { resolve, timer });
      this.#socket.send(JSON.stringify({ id, request, ...fields }));
    });
  }

  #open() {
    const socket = new WebSocket(socketUrl("/socket"));
    this.#socket = socket;
    this.#receivedAt = performance.now();
    socket.addEventListener("message", (event) => {
      if (socket === this.#socket) this.#receive(JSON.parse(event.data));
    });
    socket.addEventListener("close", () => {
      if (socket === this.#socket) this.#retry();
    });
  }

  #receive(message) {
    this.#receivedAt = performance.now();
    if (message.kind === "answer") {
      this.#settle(message.id, message);
      return;
    }
    if (message.kind === "state" && this.#lost) {
      this.#lost = false;
      this.dispatchEvent(new Event("found"));
    }
    this.#attempt = 0;
    this.dispatchEvent(new CustomEvent(message.kind, { detail: message }));
  }

  #settle(id, answer) {
    const waiting = this.#waiting.get(id);
    if (!waiting) return;
    clearTimeout(waiting.timer);
    this.#waiting.delete(id);
    waiting.resolve(answer);
  }

  #watch() {
    if (performance.now() - this.#receivedAt > STATE_TIMEOUT) this.#disconnect();
  }

  #disconnect() {
    if (this.#lost) return;
    this.#lost = true;
    for (const id of [...this.#waiting.keys()]) {
      this.#settle(id, { done: false, text: "The connection was interrupted before the console responded. Try again." });
    }
    this.dispatchEvent(new CustomEvent("lost", { detail: "The connection to the console is lost. The arm holds." }));
  }

  #retry() {
    this.#socket = null;
    this.#disconnect();
    this.dispatchEvent(new Event("retry"));
    const wait = RETRIES[Math.min(this.#attempt++, RETRIES.length - 1)];
    setTimeout(() => this.#open(), wait);
  }
}
