// SPDX-License-Identifier: Apache-2.0
// Plays a saved episode: its images, and below them Q, actions and events.
import { byId, make, sentence, setText } from "./dom.js";
import { drawTimeline, timeAt } from "./timeline.js";

const TICK = 33; // ms between two updates

export class Player {
  #id = "";
  #recording = null;
  #views = []; // per camera: {name, times, canvas, shown, busy}
  #time = 0;
  #timer = 0;
  #updatedAt = 0;

  constructor() {
    byId("player-close").addEventListener("click", () => this.close());
    byId("player-play").addEventListener("click", () => (this.#timer ? this.pause() : this.#play()));
    byId("player-time").addEventListener("input", () => this.#seek(Number(byId("player-time").value)));
    byId("player-values").addEventListener("click", () => this.#readValues());
    const curves = byId("player-curves");
    const point = (event) => event.buttons && this.#recording && this.#seek(timeAt(curves, event, this.#recording.duration));
    curves.addEventListener("pointerdown", point);
    curves.addEventListener("pointermove", point);
    addEventListener("resize", () => this.#recording && this.#paint());
  }

  async open(id) {
    this.close();
    this.#id = id;
    byId("player").hidden = false;
    setText(byId("player-title"), id);
    this.#showMessage("Loading the episode.", false);
    byId("player").scrollIntoView({ block: "start" });
    const recording = await this.#fetch(`/episodes/${encodeURIComponent(id)}/recording`);
    if (!recording || this.#id !== id) return;
    this.#recording = recording;
    this.#showMessage(recording.problem ? `Its steps can't be shown: ${recording.problem}` : "", Boolean(recording.problem));
    this.#lay();
    this.#play();
  }

  close() {
    this.pause();
    [this.#id, this.#recording, this.#views] = ["", null, []];
    byId("player").hidden = true;
    byId("player-images").replaceChildren();
    byId("player-events").replaceChildren();
    setText(byId("player-now"), "");
    setText(byId("player-legend"), "");
  }

  pause() {
    clearInterval(this.#timer);
    this.#timer = 0;
    byId("player-play").setAttribute("aria-pressed", "false");
    setText(byId("player-play"), "Play");
  }

  #play() {
    if (!this.#recording) return;
    if (this.#time >= this.#recording.duration) this.#time = 0;
    this.#updatedAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK);
    byId("player-play").setAttribute("aria-pressed", "true");
    setText(byId("player-play"), "Pause");
  }

  #tick() {
    const now = performance.now();
    const time = this.#time + ((now - this.#updatedAt) / 1000) * Number(byId("player-speed").value);
    this.#updatedAt = now;
    if (time >= this.#recording.duration) this.pause();
    this.#seek(Math.min(time, this.#recording.duration));
  }

  #seek(time) {
    this.#time = time;
    this.#paint();
  }

  #lay() {
    this.#time = 0;
    this.#views = Object.entries(this.#recording.cameras).map(([name, times]) => {
      const canvas = make("canvas");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `Recorded image of the camera ${name}`);
      return { name, times, canvas, shown: -1, busy: false };
    });
    byId("player-images").replaceChildren(...this.#views.map(({ name, canvas }) => {
      const figure = make("figure", "camera");
      figure.append(canvas, make("figcaption", "", `${name.replaceAll("_", " ")}, recorded`));
      return figure;
    }));
    byId("player-time").max = String(this.#recording.duration);
    byId("player-events").replaceChildren(...this.#recording.events.map((event) => {
      const row = make("li");
      const button = make("button", "quiet", `${event.at.toFixed(1)} s · ${eventText(event)}`);
      button.type = "button";
      button.addEventListener("click", () => this.#seek(Math.min(Math.max(event.at, 0), this.#recording.duration)));
      row.append(button);
      return row;
    }));
    this.#offerValues();
    this.#paint();
  }

  #offerValues() {
    const { q, values, steps } = this.#recording;
    byId("player-values").hidden = Boolean(q) || !values || steps.length === 0;
    setText(byId("player-legend"), `${q ? `Q of ${q.of}. ` : "Q is not known. "}Motion in cm per step along x (red), y (green), z (blue). ` +
      "Gripper: open above, closed below. Vertical lines: events.");
  }

  async #readValues() {
    const id = this.#id;
    byId("player-values").disabled = true;
    this.#showMessage("Computing Q.", false);
    const q = await this.#fetch(`/episodes/${encodeURIComponent(id)}/values`);
    byId("player-values").disabled = false;
    if (!q || this.#id !== id) return;
    this.#recording.q = q;
    this.#showMessage("", false);
    this.#offerValues();
    this.#paint();
  }

  #paint() {
    const recording = this.#recording;
    byId("player-time").value = String(this.#time);
    drawTimeline(byId("player-curves"), recording, this.#time);
    setText(byId("player-now"), describe(recording, this.#time));
    for (const view of this.#views) this.#show(view);
  }

  // Requests the image at the current time. Only one request is open at a time, so that no image is late.
  async #show(view) {
    const index = asOf(view.times, this.#time);
    if (view.busy || index === view.shown || index < 0) return;
    view.busy = true;
    const address = `/episodes/${encodeURIComponent(this.#id)}/images/${encodeURIComponent(view.name)}/${index}`;
    try {
      const response = await fetch(address);
      if (!response.ok) throw new Error(response.statusText);
      const image = await createImageBitmap(await response.blob());
      [view.canvas.width, view.canvas.height] = [image.width, image.height];
      view.canvas.getContext("2d").drawImage(image, 0, 0);
      image.close();
    } catch {
      this.#showMessage("An image of this episode can't be shown.", true);
    }
    view.shown = index;
    view.busy = false;
    if (this.#views.includes(view)) this.#show(view);
  }

  // The JSON at an address; null: an error, which the player shows.
  async #fetch(address) {
    const response = await fetch(address, { cache: "no-store" }).catch(() => null);
    if (response?.ok) return response.json();
    this.#showMessage(response ? await response.text() : "the console does not respond", true);
    return null;
  }

  #showMessage(text, isError) {
    setText(byId("player-message"), sentence(text));
    byId("player-message").classList.toggle("grave", isError);
  }
}

// Index of the newest time that is not after `now`, at least 0; -1: there are no times.
export function asOf(times, now) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= now) low = middle + 1;
    else high = middle;
  }
  return times.length ? Math.max(low - 1, 0) : -1;
}

function eventText({ kind, text }) {
  return text ? `${kind}: ${text}` : kind;
}

// The current step, Q and event in one line.
function describe({ steps, actions, events, q, duration }, now) {
  const words = [`${now.toFixed(1)} of ${duration.toFixed(1)} s`];
  const step = now < steps[0] ? -1 : asOf(steps.slice(0, -1), now);
  if (step >= 0) {
    const [x, y, z, , , , gripper] = actions[step];
    words.push(`step ${step + 1} of ${actions.length}: ${[x, y, z].map((v) => (100 * v).toFixed(1)).join("  ")} cm`);
    words.push(`gripper ${Math.round(100 * gripper)} % open`);
  }
  const value = q && now >= q.at[0] ? q.q[asOf(q.at, now)] : undefined;
  if (value !== undefined) words.push(`Q ${value.toFixed(2)}`);
  const event = events.findLast(({ at }) => at <= now && now - at < 1.5);
  if (event) words.push(eventText(event));
  return words.join(" · ");
}
