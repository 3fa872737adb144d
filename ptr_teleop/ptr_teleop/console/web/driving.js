// SPDX-License-Identifier: Apache-2.0
// The socket of a page that drives. What can't be sent at once is not sent: an old wish is worse than none.
import { socketUrl } from "./connection.js";

const FULL = 2048; // bytes that wait in the browser; more than this, and packets are left out

export class DrivingSocket {
  // device: webxr or page_keyboard; say(text, grave): tells the person; opened(), ended(): of the socket.
  constructor(device, { say, opened = () => {}, ended }) {
    this.session = randomHex(8);
    this.sequence = 0;
    this.socket = new WebSocket(socketUrl(`/drive/${device}`));
    this.socket.addEventListener("message", (event) => {
      const answer = JSON.parse(event.data);
      if (!answer.done) say(answer.text, true);
    });
    this.socket.addEventListener("open", opened);
    this.socket.addEventListener("close", ended);
  }

  // Adds version, session, sequence and the page's own clock (ms).
  send(fields, time = performance.now()) {
    if (this.socket.readyState !== WebSocket.OPEN || this.socket.bufferedAmount > FULL) return;
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
