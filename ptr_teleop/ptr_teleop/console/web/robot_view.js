// SPDX-License-Identifier: Apache-2.0
// The arm, why its gate changes commands, the streams, and recent events.
import { byId, make, sentence, setChildren, setText } from "./dom.js";

const MODES = {
  idle: "holds", teleop: "a person drives", policy: "the policy drives", hold: "holds: no commands",
  stopped: "stopped", moving: "moves to a pose", unknown: "unknown",
};

const GRADES = ["refuse", "clip"]; // the more severe one colors the frame of the cameras

export function showArm(state) {
  const { arm, safety } = state;
  const mode = byId("arm-mode");
  setText(mode, arm ? MODES[arm.mode] : "no data");
  mode.dataset.level = !arm || arm.mode === "stopped" ? "error" : arm.mode === "hold" ? "warn" : "ok";
  document.body.dataset.grade = GRADES.find((grade) => safety.reasons.some((reason) => reason.grade === grade)) ?? "";
  setText(byId("arm-source"), arm && arm.source ? arm.source : "nobody");
  const known = arm && arm.position.every((value) => value !== null);
  setText(byId("arm-position"), known ? `${arm.position.map((v) => (100 * v).toFixed(1)).join("  ")} cm` : "–");
  byId("arm-gripper").value = arm?.gripper ?? 0;
  setText(byId("arm-gripper"), arm?.gripper == null ? "–" : `${Math.round(100 * arm.gripper)} % open`);
  setChildren(byId("reasons"), JSON.stringify(safety.reasons), () =>
    safety.reasons.map((reason) => make("li", `reason ${reason.grade}`, reason.text)));
  setText(byId("safety-detail"), safety.reasons.length ? sentence(safety.detail) : "");
}

export function showStreams(streams) {
  const list = byId("streams");
  setChildren(list, streams.map((stream) => stream.name).join(" "), () =>
    streams.map((stream) => {
      const row = make("li", "stream");
      row.append(make("span", "stream-name", stream.name.replace("/image/compressed", "")), make("span", "stream-rate"));
      return row;
    }));
  streams.forEach((stream, index) => {
    const row = list.children[index];
    row.dataset.alive = String(stream.alive);
    setText(row.lastChild, describe(stream));
  });
}

function describe(stream) {
  if (!stream.alive) return stream.age === null ? "no data yet" : `silent for ${stream.age.toFixed(1)} s`;
  return stream.rate === null ? "alive" : `${stream.rate.toFixed(0)} Hz`;
}

export function showCameraHealth(cameras) {
  const unheard = { level: "off", state: "no data", message: "" };
  const rows = Object.entries(cameras).map(([name, health]) => [name, health ?? unheard]);
  byId("camera-health-card").hidden = rows.length === 0;
  setChildren(byId("camera-health"), JSON.stringify(rows), () => rows.map(([name, health]) => {
    const row = make("li", "health");
    const pill = make("span", "pill", health.state || health.level);
    pill.dataset.level = health.level;
    const title = make("span", "stream-name", name.replaceAll("_", " "));
    row.append(title, pill, make("p", "message", sentence(health.message)));
    return row;
  }));
}

const MAX_EVENTS = 30;

export function showEvents(events) {
  const list = byId("events");
  for (const event of events) {
    const row = make("li", event.level);
    const time = new Date(1000 * event.at).toLocaleTimeString([], { hour12: false });
    row.append(make("time", "", time), make("span", "", sentence(event.text)));
    list.prepend(row);
  }
  while (list.children.length > MAX_EVENTS) list.lastChild.remove();
}
