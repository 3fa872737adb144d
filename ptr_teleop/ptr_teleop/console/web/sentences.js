// SPDX-License-Identifier: Apache-2.0
// The current state as short plain sentences: spoken, and shown in the headset.
import { sentence } from "./dom.js";

const GRADES = { hold: 1, clip: 1, refuse: 2, warn: 1, error: 2, fault: 3 };

// [{key, text, grade}]: grade 0 a remark, 1 a changed command, 2 a refusal or a component's fault, 3 a fault of the arm.
export function sentencesOf(state) {
  return [...reasons(state), ...motors(state), ...policy(state), ...cameras(state), ...trial(state)];
}

// During a motor fault, the motors' own message covers these reasons.
function reasons({ safety, motors }) {
  const covered = motors?.level === "fault" ? ["stopped", "motor_fault"] : [];
  return safety.reasons.filter(({ code }) => !covered.includes(code)).map(({ grade, text }) => ({ key: `reason ${text}`, text: sentence(text), grade: GRADES[grade] }));
}

function motors({ motors }) {
  if (!motors || motors.level === "ok") return [];
  const fallback = motors.level === "warn" ? "let the arm rest" : "a motor has a fault";
  return [{ key: `motors ${motors.level}`, text: sentence(motors.message || fallback), grade: GRADES[motors.level] }];
}

function policy({ policy_status: status }) {
  if (!status || status.level === "ok" || !status.message) return [];
  return [{ key: `policy ${status.level} ${status.drift}`, text: sentence(status.message), grade: GRADES[status.level] }];
}

function cameras({ cameras = {} }) {
  return Object.entries(cameras).flatMap(([name, health]) => {
    if (health?.level !== "error") return []; // a slow or dark camera has a badge and is not announced
    const what = health.state || health.message;
    const text = sentence(`camera ${name.replaceAll("_", " ")}: ${what}`);
    return [{ key: `camera ${name} ${what}`, text, grade: GRADES[health.level] }];
  });
}

function trial({ trial }) {
  if (!trial) return [];
  const place = `trial ${trial.number} of ${trial.planned}`;
  const texts = {
    ready: `${place}: ${trial.message || "set up the scene"}`,
    label: `${place}: how did it go?`,
    review: trial.message,
  };
  const text = texts[trial.phase];
  return text ? [{ key: text, text: sentence(text), grade: 0 }] : [];
}
