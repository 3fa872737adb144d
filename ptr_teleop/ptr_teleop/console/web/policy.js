// SPDX-License-Identifier: Apache-2.0
// The running policy: what it does, its progress, and whether its Q is within the range of the demonstrations.
import { byId, sentence, setText } from "./dom.js";

export function showPolicy({ policy, policy_status: status, trial }) {
  const present = Boolean(policy || status);
  byId("policy").hidden = !present;
  byId("no-policy").hidden = present;
  if (!present) return;
  const [words, level] = stateOf(policy, status);
  setText(byId("policy-state"), words);
  byId("policy-state").dataset.level = level;
  setText(byId("policy-message"), sentence(policy?.held ? policy.reason : status?.message ?? ""));
  const letter = trial?.policy_label ? `${trial.policy_label} (blind)` : "";
  fact("checkpoint", nameOf(status?.checkpoint) || (trial?.blind ? letter : policyName(status, trial)));
  fact("task", policy?.task.replaceAll("_", " "));
  fact("goal", nameOf(status?.goal));
  fact("speed", policy?.milliseconds == null ? "" : `${policy.milliseconds.toFixed(0)} ms a step`);
  fact("held", status?.held_steps);
  fact("late", status?.late_steps);
  const known = status && status.q_low !== null && status.q_high !== null;
  fact("range", known ? `${status.q_low.toFixed(2)} to ${status.q_high.toFixed(2)}` : "");
  byId("policy-legend").hidden = !known;
}

function stateOf(policy, status) {
  if (status?.ended) return ["ended", status.level === "error" ? "error" : "off"];
  if (status?.drift) return ["outside its training data", "warn"];
  if (policy?.held) return ["holds", "warn"];
  if (policy) return [`step ${policy.step}`, status && status.level !== "ok" ? "warn" : "ok"];
  return ["not running", "off"];
}

function fact(name, text) {
  byId(`policy-${name}`).parentElement.hidden = !text;
  setText(byId(`policy-${name}`), text || "");
}

// Name of a trial's policy: its letter while names are hidden, else its checkpoint.
export function policyName(status, trial) {
  if (trial?.blind) return trial.policy_label;
  return nameOf(status?.checkpoint) || trial?.policy_label || "";
}

// The last two parts of a path: runs/carrot/best is carrot/best.
function nameOf(path) {
  return (path ?? "").split("/").filter(Boolean).slice(-2).join("/");
}
