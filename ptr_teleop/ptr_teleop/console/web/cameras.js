// SPDX-License-Identifier: Apache-2.0
// Live images. The page requests the next one when the last one is drawn, so that it never lags behind.
import { make, sentence, setText } from "./dom.js";
import { socketUrl } from "./connection.js";
import { drawHandAxes } from "./hand_axes.js";

const RETRY = 1000; // ms before a lost camera socket is reopened

export class Camera {
  constructor(name, parent) {
    this.name = name;
    this.stream = `/camera/${name}/image/compressed`;
    this.canvas = make("canvas");
    this.canvas.setAttribute("role", "img");
    this.canvas.setAttribute("aria-label", `Live image of the camera ${name}`);
    this.canvas.width = 640;
    this.canvas.height = 480;
    this.badge = make("span", "badge", "no image yet");
    this.trouble = make("p", "trouble");
    this.trouble.hidden = true;
    this.overlay = make("canvas", "hand-axes");
    this.overlay.setAttribute("aria-hidden", "true");
    this.image = make("div", "image");
    this.image.append(this.canvas, this.overlay, this.trouble);
    this.figure = make("figure", "camera stale");
    const caption = make("figcaption", "", name.replaceAll("_", " "));
    caption.append(this.badge);
    this.figure.append(this.image, caption);
    parent.append(this.figure);
    this.#open();
  }

  // health: {level, state, message} from /diagnostics, or undefined.
  show(streams, health) {
    const stream = streams.find((entry) => entry.name === this.stream);
    if (!stream) return;
    const ill = Boolean(health) && health.level !== "ok";
    this.figure.classList.toggle("stale", !stream.alive || (ill && health.level === "error"));
    const silent = stream.age === null ? "no image yet" : `no image for ${stream.age.toFixed(1)} s`;
    setText(this.badge, stream.alive ? `${stream.rate.toFixed(0)} Hz` : silent);
    this.trouble.hidden = !ill;
    setText(this.trouble, ill ? health.state || sentence(health.message) : "");
    this.trouble.dataset.level = health?.level ?? "";
    this.trouble.title = health?.message ?? "";
  }

  // axes: directions in which the keys move the hand in this image, or null.
  showAxes(axes) {
    this.overlay.hidden = !axes;
    if (axes) drawHandAxes(this.overlay, axes);
  }

  #open() {
    const socket = new WebSocket(socketUrl(`/camera/${this.name}`));
    socket.binaryType = "blob";
    socket.addEventListener("open", () => socket.send("next"));
    socket.addEventListener("message", async (event) => {
      await this.#draw(event.data);
      if (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
      if (socket.readyState === WebSocket.OPEN) socket.send("next");
    });
    socket.addEventListener("close", () => setTimeout(() => this.#open(), RETRY));
  }

  async #draw(blob) {
    try {
      const image = await createImageBitmap(new Blob([blob], { type: "image/jpeg" }));
      if (this.canvas.width !== image.width) this.canvas.width = image.width;
      if (this.canvas.height !== image.height) this.canvas.height = image.height;
      this.canvas.getContext("2d").drawImage(image, 0, 0);
      image.close();
    } catch {
      this.badge.textContent = "the image can't be shown";
    }
  }
}
