// SPDX-License-Identifier: Apache-2.0
// A panel in front of the person in the headset: camera image, state of the arm and the recorder.

const WIDTH = 1024, HEIGHT = 640; // pixels of the panel's image
const HALF_WIDTH = 0.5, HALF_HEIGHT = 0.3125; // m
const DISTANCE = 1.3, BELOW = 0.25; // m from the eyes
const PERIOD = 100; // ms between two images

const VERTEX = `
attribute vec2 corner; uniform mat4 projection, view, model; varying vec2 at;
void main() { at = corner * vec2(0.5, -0.5) + 0.5;
  gl_Position = projection * view * model * vec4(corner * vec2(${HALF_WIDTH}, ${HALF_HEIGHT}), 0.0, 1.0); }`;
const FRAGMENT = `
precision mediump float; varying vec2 at; uniform sampler2D image;
void main() { gl_FragColor = texture2D(image, at); }`;

export class Panel {
  #gl;
  #program;
  #pen;
  #model = null;
  #drawn = -PERIOD;

  constructor(gl) {
    this.#gl = gl;
    this.#pen = Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT }).getContext("2d");
    this.#program = link(gl);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const [name, value] of [["MIN_FILTER", "LINEAR"], ["WRAP_S", "CLAMP_TO_EDGE"], ["WRAP_T", "CLAMP_TO_EDGE"]]) {
      gl.texParameteri(gl.TEXTURE_2D, gl[`TEXTURE_${name}`], gl[value]);
    }
  }

  // content: {camera: canvas or null, title, lines, colour}
  draw(time, viewer, layer, content) {
    const gl = this.#gl;
    this.#model ??= inFrontOf(viewer.transform);
    gl.bindFramebuffer(gl.FRAMEBUFFER, layer.framebuffer);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(this.#program);
    if (time - this.#drawn >= PERIOD) {
      this.#drawn = time;
      this.#paint(content);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, this.#pen.canvas);
    }
    const place = (name, matrix) => gl.uniformMatrix4fv(gl.getUniformLocation(this.#program, name), false, matrix);
    place("model", this.#model);
    for (const view of viewer.views) {
      const { x, y, width, height } = layer.getViewport(view);
      gl.viewport(x, y, width, height);
      place("projection", view.projectionMatrix);
      place("view", view.transform.inverse.matrix);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
  }

  #paint({ camera, title, lines, colour }) {
    const pen = this.#pen;
    pen.fillStyle = "#111817";
    pen.fillRect(0, 0, WIDTH, HEIGHT);
    if (camera) pen.drawImage(camera, 0, 0, 704, 528);
    pen.fillStyle = colour;
    pen.fillRect(0, 528, WIDTH, 112);
    pen.fillStyle = "#fff";
    pen.font = "600 44px system-ui, sans-serif";
    pen.fillText(title, 24, 600, WIDTH - 48);
    pen.font = "28px system-ui, sans-serif";
    lines.forEach((text, index) => pen.fillText(text, 728, 60 + 44 * index, 280));
  }
}

function link(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.bindAttribLocation(program, 0, "corner");
  gl.linkProgram(program);
  return program;
}

// Upright, facing the person, where they first looked; column-major.
function inFrontOf({ position, matrix }) {
  const [x, z] = [matrix[8], matrix[10]]; // +z of the viewer: backwards
  const length = Math.hypot(x, z) || 1;
  const [sin, cos] = [x / length, z / length];
  return new Float32Array([
    cos, 0, -sin, 0, 0, 1, 0, 0, sin, 0, cos, 0,
    position.x - DISTANCE * sin, position.y - BELOW, position.z - DISTANCE * cos, 1,
  ]);
}
