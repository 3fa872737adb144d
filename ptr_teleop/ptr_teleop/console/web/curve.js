// SPDX-License-Identifier: Apache-2.0
// Q of the running policy's actions as a curve, over the range of Q in the demonstrations.
import { byId } from "./dom.js";

const MAX_POINTS = 600;
const MARGIN = { left: 44, right: 8, top: 8, bottom: 8 }; // CSS pixels

export class Curve {
  #points = []; // [step, q, spread of the critics, q of the mode]
  #range = null; // [lowest, highest] Q of the task's demonstrations

  // Sets the range of Q; returns true if the curve must be redrawn.
  setRange(status) {
    const known = status && status.q_low !== null && status.q_high !== null;
    const range = known ? [status.q_low, status.q_high] : null;
    if (JSON.stringify(range) === JSON.stringify(this.#range)) return false;
    this.#range = range;
    return true;
  }

  add(points) {
    if (points.length === 0) return false;
    for (const point of points) {
      if (this.#points.length && point[0] < this.#points.at(-1)[0]) this.#points = []; // a new run
      this.#points.push(point);
    }
    this.#points = this.#points.slice(-MAX_POINTS);
    return true;
  }

  draw() {
    const canvas = byId("curve");
    const scale = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (width === 0) return;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const points = this.#points.filter((point) => point[1] !== null);
    if (points.length === 0) return;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    this.#plot(pen, points, width, height);
    const last = points.at(-1)[1].toFixed(2);
    canvas.setAttribute("aria-label", `Q of the actions over the last ${points.length} steps; now ${last}`);
  }

  #plot(pen, points, width, height) {
    const tops = points.map((point) => point[1] + (point[2] ?? 0));
    const range = this.#range ?? [];
    let [low, high] = [Math.min(...points.map((point) => point[1]), ...range), Math.max(...tops, ...range)];
    if (high - low < 0.1) [low, high] = [(low + high) / 2 - 0.05, (low + high) / 2 + 0.05];
    const span = Math.max(points.length - 1, 1);
    const x = (index) => MARGIN.left + (index / span) * (width - MARGIN.left - MARGIN.right);
    const y = (value) => MARGIN.top + ((high - value) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name);

    if (range.length) {
      pen.fillStyle = colour("--good-soft");
      pen.fillRect(MARGIN.left, y(range[1]), width - MARGIN.left - MARGIN.right, y(range[0]) - y(range[1]));
    }
    pen.fillStyle = colour("--soft");
    pen.strokeStyle = colour("--line");
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    for (const value of [low, (low + high) / 2, high]) {
      pen.fillText(value.toFixed(2), 0, y(value));
      line(pen, [[MARGIN.left, y(value)], [width - MARGIN.right, y(value)]]);
    }
    pen.fillStyle = colour("--band");
    pen.beginPath();
    points.forEach((point, index) => pen.lineTo(x(index), y(tops[index])));
    points.toReversed().forEach((point, index) => pen.lineTo(x(points.length - 1 - index), y(point[1])));
    pen.fill();
    pen.strokeStyle = colour("--accent");
    pen.lineWidth = 2;
    line(pen, points.map((point, index) => [x(index), y(point[1])]));
  }
}

function line(pen, corners) {
  pen.beginPath();
  for (const [x, y] of corners) pen.lineTo(x, y);
  pen.stroke();
}
