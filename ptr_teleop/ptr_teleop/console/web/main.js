// SPDX-License-Identifier: Apache-2.0
// The page: gives each part the newest state, and turns grey when there is none.
import { Camera } from "./cameras.js";
import { Connection } from "./connection.js";
import { byId, sentence, setText } from "./dom.js";
import { Episode } from "./episode.js";
import { KeyboardDriving } from "./keyboard.js";
import { Curve, showEvaluation, showPolicy } from "./policy.js";
import { showArm, showEvents, showStreams } from "./robot_view.js";
import { HeadsetDriving } from "./vr.js";

if (location.search) history.replaceState(null, "", "/"); // the token is in a cookie now

const connection = new Connection();
const episode = new Episode(connection);
const curve = new Curve();
const cameras = [];
let newest = { safety: { reasons: [] } };

new KeyboardDriving(connection);
const headset = new HeadsetDriving(connection, () => ({ ...newest, camera: cameras[0]?.canvas ?? null }));

byId("release").addEventListener("click", async () => {
  const answer = await connection.ask("release");
  if (!answer.done) setText(byId("drive-message"), sentence(answer.text));
});

connection.addEventListener("hello", ({ detail }) => {
  episode.hello(detail);
  if (cameras.length === 0) cameras.push(...detail.cameras.map((name) => new Camera(name, byId("cameras"))));
});

connection.addEventListener("state", ({ detail: state }) => {
  const grew = state.safety.reasons.length > newest.safety.reasons.length;
  newest = state;
  showArm(state);
  showStreams(state.streams);
  showEvents(state.events);
  episode.show(state.recorder, Date.now());
  for (const camera of cameras) camera.show(state.streams);
  showTeleop(state);
  showPolicy(state.policy, curve, curve.add(state.points));
  showEvaluation(state.evaluation);
  if (grew) headset.buzz();
});

connection.addEventListener("lost", ({ detail }) => {
  document.body.classList.add("lost");
  byId("main").inert = true;
  byId("lost").hidden = false;
  setText(byId("lost"), detail);
  setText(byId("connection"), "no connection");
  byId("connection").dataset.level = "error";
});

connection.addEventListener("found", () => connected());
connection.addEventListener("hello", () => connected());

function connected() {
  document.body.classList.remove("lost");
  byId("main").inert = false;
  byId("lost").hidden = true;
  setText(byId("connection"), "connected");
  byId("connection").dataset.level = "ok";
}

// When the console answers but refuses this page, it says why.
connection.addEventListener("retry", async () => {
  const response = await fetch("/", { cache: "no-store" }).catch(() => null);
  if (response && !response.ok) setText(byId("lost"), `${await response.text()} The arm holds.`);
});

function showTeleop({ teleop, driver }) {
  setText(byId("device"), teleop ? teleop.device || "no device" : "no teleoperation");
  byId("device").dataset.level = teleop ? teleop.level : "off";
  const elsewhere = driver ? ` The page at ${driver} is open to drive.` : "";
  setText(byId("teleop-message"), teleop ? sentence(teleop.message) + elsewhere : "");
}
