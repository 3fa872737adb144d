// SPDX-License-Identifier: Apache-2.0
// The axes along which the keys move the hand, drawn over a camera's image.

const AXES = [ // of base_link: color, key for +, key for -
  ["#ff6b5e", "w", "s"],
  ["#5fe08a", "a", "d"],
  ["#6fb4ff", "q", "e"],
];
const OUTLINE = "#000c";
const HEAD = 9; // CSS pixels of an arrow's head
const SHORT = 14; // CSS pixels: an axis that points at the camera gets no letter behind it

// canvas: over the image; axes: {hand, ahead, behind} as shares of the image's size, or null.
export function drawHandAxes(canvas, axes) {
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (width === 0) return;
  const scale = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  if (!axes) return;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  Object.assign(pen, { lineCap: "round", font: "700 13px ui-monospace, monospace", textAlign: "center", textBaseline: "middle" });
  const at = ([x, y]) => [x * width, y * height];
  const hand = at(axes.hand);
  AXES.forEach(([colour, ahead, behind], index) => {
    const [tip, tail] = [at(axes.ahead[index]), at(axes.behind[index])];
    line(pen, colour, tail, tip);
    arrowHead(pen, colour, hand, tip);
    letter(pen, colour, ahead, hand, tip);
    if (Math.hypot(tail[0] - hand[0], tail[1] - hand[1]) >= SHORT) letter(pen, colour, behind, hand, tail);
  });
}

function line(pen, colour, from, to) {
  for (const [style, width] of [[OUTLINE, 5], [colour, 2.5]]) {
    [pen.strokeStyle, pen.lineWidth] = [style, width];
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
  }
}

function arrowHead(pen, colour, from, [x, y]) {
  const angle = Math.atan2(y - from[1], x - from[0]);
  const corner = (turn) => [x - HEAD * Math.cos(angle + turn), y - HEAD * Math.sin(angle + turn)];
  for (const turn of [-0.45, 0.45]) line(pen, colour, corner(turn), [x, y]);
}

function letter(pen, colour, text, from, [x, y]) {
  const angle = Math.atan2(y - from[1], x - from[0]);
  const place = [x + 12 * Math.cos(angle), y + 12 * Math.sin(angle)];
  [pen.strokeStyle, pen.lineWidth, pen.fillStyle] = [OUTLINE, 4, colour];
  pen.strokeText(text.toUpperCase(), ...place);
  pen.fillText(text.toUpperCase(), ...place);
}
