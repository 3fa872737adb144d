// SPDX-License-Identifier: Apache-2.0
// Driving with a headset, or with a phone as its own controller: every frame sends poses and buttons.
import { byId, sentence, setText } from "./dom.js";
import { DrivingSocket } from "./driving.js";
import { sentencesOf } from "./sentences.js";
import { packetOf } from "./xr_packet.js";
import { Panel } from "./xr_panel.js";

const GRADE_COLOURS = { 1: "#8a5a00", 2: "#b3261e", 3: "#b3261e" }; // command changed, refused; fault
const COLOURS = { recording: "#b3261e", saving: "#8a5a00", idle: "#0f5f59", none: "#3d4745" };

export class HeadsetDriving {
  #connection;
  #getState;
  #mode = null;
  #session = null;
  #socket = null;
  #phone = { grip: 0, trigger: 0 };

  // getState(): the newest state and `camera`, a canvas or null, for the panel.
  constructor(connection, getState) {
    this.#connection = connection;
    this.#getState = getState;
    byId("vr").addEventListener("click", () => (this.#session ? this.#session.end() : this.#enter()));
    connection.addEventListener("lost", () => this.#interrupt());
    this.#wireOverlay();
    this.#offer();
  }

  // Prefer passthrough (AR) if the device supports it, so that the person sees the arm itself.
  async #offer() {
    for (const mode of ["immersive-ar", "immersive-vr"]) {
      if (await navigator.xr?.isSessionSupported(mode).catch(() => false)) {
        this.#mode = mode;
        byId("vr").disabled = false;
        byId("vr-note").hidden = true;
        return;
      }
    }
  }

  async #enter() {
    const options = { requiredFeatures: ["local-floor"] };
    if (this.#mode === "immersive-ar") {
      Object.assign(options, { optionalFeatures: ["dom-overlay"], domOverlay: { root: byId("overlay") } });
    }
    try {
      const session = await navigator.xr.requestSession(this.#mode, options); // first, because it requires the click
      this.#start(session);
      await this.#run(session);
    } catch (error) {
      this.#showMessage(`The VR session could not start: ${error.message}`, true);
      await this.#session?.end();
    }
  }

  #start(session) {
    this.#session = session;
    session.addEventListener("end", () => this.#ended());
    byId("overlay").hidden = !isPhone(session);
    setText(byId("vr"), "Leave VR");
  }

  async #run(session) {
    const gl = document.createElement("canvas").getContext("webgl", { xrCompatible: true, alpha: true });
    await gl.makeXRCompatible();
    const layer = new XRWebGLLayer(session, gl);
    session.updateRenderState({ baseLayer: layer });
    const space = await session.requestReferenceSpace("local-floor");
    const answer = await this.#connection.ask("device", { device: "webxr" });
    if (!answer.done) throw new Error(answer.text);
    this.#showMessage("");
    this.#socket = new DrivingSocket("webxr", {
      show: (text, isError) => this.#showMessage(text, isError),
      ended: () => this.#session?.end(),
    });
    const panel = new Panel(gl);
    const phone = isPhone(session);
    const onFrame = (time, frame) => {
      session.requestAnimationFrame(onFrame);
      this.#socket?.send(packetOf(frame, space, phone ? this.#phone : null), time);
      const viewer = frame.getViewerPose(space);
      if (viewer && !phone) panel.draw(time, viewer, layer, this.#image());
    };
    session.requestAnimationFrame(onFrame);
  }

  #interrupt() {
    if (!this.#session) return;
    this.#showMessage("The connection was interrupted, so VR ended. Click \"Enter VR\" to continue.", true);
    this.#session.end();
  }

  #ended() {
    this.#session = null;
    this.#socket?.close();
    this.#socket = null;
    Object.assign(this.#phone, { grip: 0, trigger: 0 });
    byId("overlay").hidden = true;
    setText(byId("vr"), "Enter VR");
  }

  // A short buzz in both hands when the gate starts to change or refuse commands.
  buzz() {
    for (const source of this.#session?.inputSources ?? []) {
      source.gamepad?.hapticActuators?.[0]?.pulse?.(0.6, 60);
    }
  }

  // The title shows the most severe item in its color; the rest is beside the camera's image.
  #image() {
    const state = this.#getState();
    const { camera, arm, recorder, teleop, trial } = state;
    const news = sentencesOf(state).sort((one, other) => other.grade - one.grade);
    const count = recorder?.goal ? `${recorder.saved} of ${recorder.goal} saved` : `${recorder?.saved ?? 0} saved`;
    const lines = [recorder?.state ?? "no recorder", recorder?.task ?? "", count, `arm: ${arm?.mode ?? "no data"}`];
    if (trial) lines.push(`trial ${trial.number} of ${trial.planned}`, trial.policy_label && `policy ${trial.policy_label}`);
    return {
      camera,
      title: news[0]?.text ?? sentence(teleop?.message ?? "no teleoperation"),
      lines: [...lines, ...news.slice(1, 5).map(({ text }) => text)].filter(Boolean),
      colour: GRADE_COLOURS[news[0]?.grade] ?? COLOURS[recorder?.state ?? "none"] ?? COLOURS.none,
    };
  }

  #wireOverlay() {
    const move = byId("overlay-move"), gripper = byId("overlay-gripper");
    move.addEventListener("pointerdown", (event) => {
      move.setPointerCapture(event.pointerId);
      this.#phone.grip = 1;
    });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
      move.addEventListener(end, () => (this.#phone.grip = 0));
    }
    gripper.addEventListener("click", () => {
      this.#phone.trigger = 1 - this.#phone.trigger;
      gripper.setAttribute("aria-pressed", String(this.#phone.trigger === 1));
      setText(gripper, this.#phone.trigger ? "Open the gripper" : "Close the gripper");
    });
    byId("overlay-leave").addEventListener("click", () => this.#session?.end());
    byId("overlay").addEventListener("beforexrselect", (event) => event.preventDefault());
  }

  #showMessage(text, isError = false) {
    setText(byId("drive-message"), sentence(text));
    setText(byId("overlay-text"), sentence(text));
    byId("drive-message").classList.toggle("grave", isError);
  }
}

// A phone with a camera view on its screen and the overlay's buttons on top is its own controller.
function isPhone(session) {
  return session.interactionMode === "screen-space" && Boolean(session.domOverlayState);
}
