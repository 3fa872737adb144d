// SPDX-License-Identifier: Apache-2.0
// Q, motion and gripper of a recorded episode over time, with its events as vertical lines.

const LEFT = 52; // CSS pixels for the labels
const RIGHT = 8;
const GAP = 6;
const COLOURS = ["#e0463a", "#2f9e58", "#3b82d6"]; // x, y, z
const MIN_MOTION = 0.5; // cm, minimum half-height of the scale

export function timeAt(canvas, event, duration) {
  const { left, width } = canvas.getBoundingClientRect();
  const share = (event.clientX - left - LEFT) / Math.max(width - LEFT - RIGHT, 1);
  return duration * Math.min(Math.max(share, 0), 1);
}

export function drawTimeline(canvas, recording, now) {
  const scale = devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (width === 0) return;
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.font = "12px system-ui, sans-serif";
  pen.textBaseline = "middle";
  const x = (time) => LEFT + (time / Math.max(recording.duration, 1e-6)) * (width - LEFT - RIGHT);
  const bands = bandsOf(recording);
  const each = (height - GAP * (bands.length - 1)) / bands.length;
  bands.forEach((band, index) => drawBand(pen, band, { x, width, top: index * (each + GAP), height: each }));
  for (const event of recording.events) upright(pen, x(event.at), height, colour("--warn"), 1);
  upright(pen, x(now), height, colour("--ink"), 2);
}

function bandsOf({ q, steps, actions }) {
  const times = steps.slice(0, -1);
  const column = (index, factor = 1) => actions.map((action, k) => [times[k], factor * action[index]]);
  const largest = Math.max(MIN_MOTION, ...actions.flatMap((action) => action.slice(0, 3).map((v) => Math.abs(100 * v))));
  const bands = [
    { name: "cm", low: -largest, high: largest, lines: [0, 1, 2].map((index) => [COLOURS[index], column(index, 100)]) },
    { name: "gripper", low: -0.05, high: 1.05, lines: [[colour("--soft"), column(6)]], steps: true },
  ];
  if (!q) return bands;
  let [low, high] = [Math.min(...q.q), Math.max(...q.q)];
  if (high - low < 0.1) [low, high] = [(low + high) / 2 - 0.05, (low + high) / 2 + 0.05];
  return [{ name: "Q", low, high, lines: [[colour("--accent"), q.at.map((at, k) => [at, q.q[k]])]], numbers: true }, ...bands];
}

function drawBand(pen, { name, low, high, lines, steps, numbers }, { x, width, top, height }) {
  const y = (value) => top + ((high - value) / (high - low)) * height;
  pen.fillStyle = colour("--page");
  pen.fillRect(LEFT, top, width - LEFT - RIGHT, height);
  pen.fillStyle = colour("--soft");
  pen.fillText(name, 0, top + height / 2);
  if (numbers) for (const value of [low, high]) pen.fillText(value.toFixed(2), 12, y(value) + (value === low ? -7 : 7));
  for (const [style, points] of lines) {
    [pen.strokeStyle, pen.lineWidth] = [style, 1.8];
    pen.beginPath();
    points.forEach(([time, value], index) => {
      if (steps && index) pen.lineTo(x(time), y(points[index - 1][1]));
      pen.lineTo(x(time), y(value));
    });
    pen.stroke();
  }
}

function upright(pen, x, height, style, width) {
  [pen.strokeStyle, pen.lineWidth] = [style, width];
  pen.beginPath();
  pen.moveTo(x, 0);
  pen.lineTo(x, height);
  pen.stroke();
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name);
}
