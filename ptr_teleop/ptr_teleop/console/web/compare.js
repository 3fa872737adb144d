// SPDX-License-Identifier: Apache-2.0
// The start image that a trial's scene has to match, over the live image: blended, or as their difference.
import { byId, make, setText } from "./dom.js";

const RETRY = 1000; // ms before a reference that did not arrive is requested again

export class Compare {
  #image = make("img", "reference");
  #number = null;
  #loaded = false;
  #difference = false;
  #aside = false; // the reference is hidden while the key or image is held: switching reveals small shifts best

  // shortcuts(): are key shortcuts active?
  constructor(shortcuts) {
    this.#image.alt = "Reference start image";
    this.#image.addEventListener("load", () => this.#arrived(true));
    this.#image.addEventListener("error", () => this.#arrived(false));
    byId("opacity").addEventListener("input", () => this.#paint());
    byId("difference").addEventListener("click", () => this.#toggle());
    addEventListener("keydown", (event) => {
      if (event.key === "o" && !event.repeat && shortcuts(event)) this.#flip(true);
      if (event.key === "d" && !event.repeat && shortcuts(event)) this.#toggle();
    });
    addEventListener("keyup", (event) => event.key === "o" && this.#flip(false));
    this.#image.addEventListener("pointerdown", () => this.#flip(true));
    for (const end of ["pointerup", "pointercancel", "blur"]) addEventListener(end, () => this.#flip(false));
  }

  // reference: {camera, number} or null; wanted: the view shows it.
  show({ reference, trial }, cameras, wanted) {
    const layingOut = wanted && ["staging", "ready"].includes(trial?.phase);
    const camera = layingOut && reference ? cameras.find(({ name }) => name === reference.camera) : null;
    if (camera && this.#number !== reference.number) this.#load(reference.number);
    byId("no-reference").hidden = !layingOut || trial.phase !== "ready" || Boolean(reference);
    byId("compare").hidden = !camera || !this.#loaded;
    if (byId("compare").hidden) {
      this.#image.remove();
      return;
    }
    if (this.#image.parentElement !== camera.image) camera.canvas.after(this.#image);
    this.#paint();
  }

  #load(number) {
    this.#loaded = false;
    this.#number = number;
    this.#image.src = `/reference?${number}`;
  }

  #arrived(loaded) {
    this.#loaded = loaded;
    if (!loaded) setTimeout(() => (this.#number = null), RETRY); // then it is requested again
  }

  #toggle() {
    if (byId("compare").hidden) return;
    this.#difference = !this.#difference;
    this.#paint();
  }

  #flip(aside) {
    this.#aside = aside;
    this.#paint();
  }

  #paint() {
    byId("difference").setAttribute("aria-pressed", String(this.#difference));
    byId("opacity").disabled = this.#difference;
    setText(byId("compare-hint"), this.#difference
      ? "Black where the scene matches. Move objects until everything is black."
      : "Move objects until both images match. Hold the image (or O) to see only the live one.");
    const share = this.#difference ? 1 : byId("opacity").value / 100;
    this.#image.style.opacity = String(this.#aside ? 0 : share);
    this.#image.style.mixBlendMode = this.#difference ? "difference" : "normal";
    this.#image.parentElement?.classList.toggle("difference", this.#difference && !this.#aside);
  }
}
