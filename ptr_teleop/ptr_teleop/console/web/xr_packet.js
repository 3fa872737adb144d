// SPDX-License-Identifier: Apache-2.0
// One frame of an XR session as a packet: poses in the local-floor space (x right, y up, z back; m), and buttons.
// Button numbers are those of the xr-standard mapping of the WebXR Gamepads Module.

const TRIGGER = 0, SQUEEZE = 1, STICK_PRESS = 3, A = 4, B = 5;
const round = (value) => Math.round(1e6 * value) / 1e6;

// phone: {grip, trigger} of the overlay's buttons if the device is its own controller; otherwise null.
export function packetOf(frame, space, phone) {
  const hands = {};
  for (const source of frame.session.inputSources) {
    if (source.handedness === "left" || source.handedness === "right") {
      const hand = handOf(frame, space, source);
      if (hand) hands[source.handedness] = hand;
    }
  }
  if (phone && Object.keys(hands).length === 0) {
    const viewer = poseOf(frame.getViewerPose(space));
    if (viewer) hands.none = { ...viewer, ...phone, a: false, b: false, stick: [0, 0], stick_pressed: false };
  }
  return { hands };
}

function handOf(frame, space, source) {
  const pose = poseOf(frame.getPose(source.gripSpace ?? source.targetRaySpace, space));
  if (!pose) return null;
  const ray = frame.getPose(source.targetRaySpace, space);
  const buttons = source.gamepad?.buttons ?? [];
  const axes = source.gamepad?.axes ?? [];
  const pressed = (index) => buttons[index]?.pressed ?? false;
  return {
    ...pose,
    ...(ray && { ray: forward(ray.transform.matrix) }),
    grip: round(buttons[SQUEEZE]?.value ?? 0),
    trigger: round(buttons[TRIGGER]?.value ?? 0),
    a: pressed(A),
    b: pressed(B),
    stick: [round(axes[2] ?? 0), round(axes[3] ?? 0)],
    stick_pressed: pressed(STICK_PRESS),
  };
}

// Null for a pose that the device only estimates.
function poseOf(pose) {
  if (!pose || pose.emulatedPosition) return null;
  const { position: p, orientation: q } = pose.transform;
  return { position: [p.x, p.y, p.z].map(round), orientation: [q.x, q.y, q.z, q.w].map(round) };
}

// Where -z of a space points: the third column of its matrix, reversed.
function forward(matrix) {
  return [-matrix[8], -matrix[9], -matrix[10]].map(round);
}
