// SPDX-License-Identifier: Apache-2.0
// The socket of a page that drives. A packet that can't be sent at once is dropped: an old command is worse than none.
import { socketUrl } from "./connection.js";

const MAX_BUFFERED = 2048; // bytes waiting in the browser, above which packets are dropped

export class DrivingSocket {
  // device: webxr or page_keyboard; show(text, isError): shows a message; opened(), ended(event): socket callbacks.
  constructor(device, { show, opened = () => {}, ended }) {
    this.session = randomHex(8);
    this.sequence = 0;
    this.socket = new WebSocket(socketUrl(`/drive/${device}`));
    this.socket.addEventListener("message", (event) => {
      const answer = JSON.parse(event.data);
      if (!answer.done) show(answer.text, true);
    });
    this.socket.addEventListener("open", opened);
    this.socket.addEventListener("close", ended);
  }

  // Adds version, session, sequence and the page's own clock (ms).
  send(fields, time = performance.now()) {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > MAX_BUFFERED) return;
    const packet = { v: 1, session: this.session, seq: this.sequence++, t: Math.round(10 * time) / 10, ...fields };
    this.socket.send(JSON.stringify(packet));
  }

  close() {
    this.socket.close();
  }
}

function randomHex(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
}
