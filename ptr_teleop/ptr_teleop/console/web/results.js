// SPDX-License-Identifier: Apache-2.0
// The trials of an evaluation so far, and Wilson's interval of their success rate.
import { byId, make, setChildren, setText } from "./dom.js";
import { policyName } from "./policy.js";

export function showEvaluation({ evaluation, policy_status: status, trial }) {
  byId("evaluation").hidden = !evaluation;
  if (!evaluation) return;
  const { judged, planned, successes, low, high } = evaluation;
  byId("interval").hidden = judged === 0;
  setText(byId("evaluation-count"), planned ? `${judged} of ${planned} trials` : "no trials planned");
  setChildren(byId("trials"), evaluation.outcomes.join(" "), () =>
    evaluation.outcomes.map((outcome, index) => {
      const dot = make("li", outcome);
      dot.title = `trial ${index + 1}: ${outcome}`;
      dot.setAttribute("aria-label", dot.title);
      return dot;
    }));
  const percent = (value) => `${Math.round(100 * value)} %`;
  const range = byId("interval-range").style;
  [range.left, range.right] = [`${100 * low}%`, `${100 * (1 - high)}%`];
  byId("interval-rate").style.left = `${(100 * successes) / Math.max(judged, 1)}%`;
  const name = evaluation.policy && (policyName(status, trial) || evaluation.policy);
  const task = evaluation.task.replaceAll("_", " ");
  setText(byId("evaluation-message"), judged === 0
    ? `No trial of "${task}" has been judged yet.`
    : `${name ? `${name}: ` : ""}${successes} of ${judged} trials of "${task}" succeeded; ` +
      `the 95 % Wilson interval of the rate is ${percent(low)} to ${percent(high)}.`);
}
