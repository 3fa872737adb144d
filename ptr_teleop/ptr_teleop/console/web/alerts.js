// SPDX-License-Identifier: Apache-2.0
// Alerts at the top of the page: the latched stop, the motors, the policy.
import { byId, make, sentence, setChildren } from "./dom.js";

// shown: name of the current view; go(view): switches to another one.
export function showAlerts(state, shown, go) {
  byId("latched").hidden = state.arm?.mode !== "stopped";
  const alerts = [...motorAlerts(state.motors), ...policyAlerts(state.policy_status)];
  setChildren(byId("alerts"), JSON.stringify([alerts, shown]), () => alerts.map((alert) => card(alert, shown, go)));
}

function motorAlerts(motors) {
  if (!motors || motors.level === "ok") return [];
  const alert = { text: motors.message, view: "robot" };
  return [motors.level === "warn"
    ? { ...alert, level: "warn", title: "Motors", action: "See the motors" }
    : { ...alert, level: "error", title: "A motor has a fault", action: "Recover the arm" }];
}

function policyAlerts(status) {
  if (!status || status.level === "ok") return [];
  const ended = status.level === "error" && status.ended;
  const title = ended ? "The policy has ended" : status.drift ? "The policy is outside its training data" : "Policy";
  return [{ level: status.level, title, text: status.message, view: "policy", action: "See the policy" }];
}

function card({ level, title, text, view, action }, shown, go) {
  const alert = make("div", `card alert ${level}`);
  const words = make("p");
  words.append(make("strong", "", sentence(title)), document.createTextNode(` ${sentence(text)}`));
  alert.append(words);
  if (view === shown) return alert;
  const button = make("button", "", action);
  button.type = "button";
  button.addEventListener("click", () => go(view));
  alert.append(button);
  return alert;
}
