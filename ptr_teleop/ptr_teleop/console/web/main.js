// SPDX-License-Identifier: Apache-2.0
// The page: passes the newest state to each part, and turns gray without one.
import { showAlerts } from "./alerts.js";
import { Announcer } from "./announcer.js";
import { Camera } from "./cameras.js";
import { Compare } from "./compare.js";
import { Connection } from "./connection.js";
import { Curve } from "./curve.js";
import { byId, sentence, setText, writes } from "./dom.js";
import { Episode } from "./episode.js";
import { Episodes } from "./episodes.js";
import { KeyboardDriving } from "./keyboard.js";
import { Motors } from "./motors.js";
import { showPolicy } from "./policy.js";
import { showEvaluation } from "./results.js";
import { showArm, showCameraHealth, showEvents, showStreams } from "./robot_view.js";
import { sentencesOf } from "./sentences.js";
import { Sound } from "./sound.js";
import { Tabs } from "./tabs.js";
import { Trial, waitsFor } from "./trial.js";
import { HeadsetDriving } from "./vr.js";

if (location.search) history.replaceState(null, "", `/${location.hash}`); // the token is in a cookie now

const connection = new Connection();
const sound = new Sound();
const announcer = new Announcer((text, urgent) => sound.speak(text, urgent));
const episode = new Episode(connection);
const motors = new Motors(connection);
const curve = new Curve();
const cameras = [];
let newest = { safety: { reasons: [] } };

const keys = new KeyboardDriving(connection, episode);
const headset = new HeadsetDriving(connection, () => ({ ...newest, camera: cameras[0]?.canvas ?? null }));
const episodes = new Episodes(connection);
const tabs = new Tabs((name) => {
  if (name === "policy") curve.draw();
  episodes.shown(name === "episodes");
});
const evaluating = (event) => tabs.shown === "evaluate" && !keys.driving && !writes(event.target);
const trial = new Trial(connection, evaluating);
const compare = new Compare(evaluating);

byId("release").addEventListener("click", async () => {
  const answer = await connection.ask("release");
  setText(byId("release-message"), answer.done ? "" : sentence(answer.text));
});

connection.addEventListener("hello", ({ detail }) => {
  episode.hello(detail);
  nameRobot(detail.robot);
  if (cameras.length === 0) cameras.push(...detail.cameras.map((name) => new Camera(name, byId("cameras"))));
});

connection.addEventListener("state", ({ detail: state }) => {
  newest = state;
  tabs.suggest(state.trial && state.trial.phase !== "idle" ? "evaluate" : state.policy ? "policy" : "");
  tabs.mark(levelsOf(state));
  showAlerts(state, tabs.shown, (view) => tabs.choose(view));
  showScene(state);
  showWork(state);
  announce(state);
});

function nameRobot(robot) { // namespace of the page's robot; empty: none
  const title = robot ? `${robot}: PTR console` : "PTR console";
  document.title = title;
  setText(byId("title"), title);
}

function showScene(state) {
  showArm(state);
  showEvents(state.events);
  for (const camera of cameras) {
    camera.show(state.streams, state.cameras[camera.name]);
    camera.showAxes(keys.driving ? state.arm?.axes?.[camera.name] : null);
  }
  compare.show(state, cameras, tabs.shown === "evaluate");
}

function showWork(state) {
  episode.show(state, Date.now());
  episodes.show(state.recorder, state.policy_status);
  showTeleop(state);
  showPolicy(state);
  const changed = [curve.add(state.points), curve.setRange(state.policy_status)].some(Boolean);
  if (changed && tabs.shown === "policy") curve.draw();
  showEvaluation(state);
  trial.show(state);
  motors.show(state);
  showCameraHealth(state.cameras);
  showStreams(state.streams);
}

function announce(state) {
  const grade = announcer.update(performance.now(), sentencesOf(state), sound.speaking);
  sound.cue(grade);
  if (grade > 0) headset.buzz();
}

// Views that need attention.
function levelsOf({ motors, cameras, streams, policy_status: status, trial, recorder }) {
  const ill = Object.values(cameras).some((health) => health?.level === "error");
  const broken = motors?.level === "fault" || ill || streams.some((stream) => stream.age !== null && !stream.alive);
  return {
    record: recorder?.state === "fault" ? "error" : "",
    policy: status && status.level !== "ok" ? status.level : "",
    evaluate: waitsFor(trial) ? "warn" : "",
    robot: broken ? "error" : motors?.level === "warn" ? "warn" : "",
  };
}

connection.addEventListener("lost", ({ detail }) => {
  document.body.classList.add("lost");
  byId("main").inert = true;
  byId("lost").hidden = false;
  setText(byId("lost"), detail);
  setText(byId("connection"), "no connection");
  byId("connection").dataset.level = "error";
  sound.cue(3);
  sound.speak(detail, true);
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

// If the console responds but refuses this page, show why.
connection.addEventListener("retry", async () => {
  const response = await fetch("/", { cache: "no-store" }).catch(() => null);
  if (response && !response.ok) setText(byId("lost"), `${await response.text()} The arm holds.`);
});

function showTeleop({ teleop, driver, arm }) {
  setText(byId("device"), teleop ? teleop.device || "no device" : "no teleoperation");
  byId("device").dataset.level = teleop ? teleop.level : "off";
  const elsewhere = driver && !keys.driving ? ` The page at ${driver} has control.` : "";
  const stopped = arm?.mode === "stopped";
  const words = stopped ? "The arm is stopped. Release the stop to drive." : sentence(teleop?.message ?? "");
  setText(byId("teleop-message"), teleop ? words + elsewhere : "");
}
