// SPDX-License-Identifier: Apache-2.0
// The trials of an evaluation so far, and Wilson's interval of their success rate.
import { byId, make, setChildren, setText } from "./dom.js";

export function showEvaluation(evaluation) {
  byId("evaluation").hidden = !evaluation;
  if (!evaluation) return;
  const { judged, planned, successes, low, high } = evaluation;
  setText(byId("evaluation-count"), `${judged} of ${planned} trials`);
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
  byId("interval-rate").style.left = judged ? `${(100 * successes) / judged}%` : "-10%";
  setText(byId("evaluation-message"),
    `${evaluation.policy ? `${evaluation.policy}: ` : ""}${successes} of ${judged} succeeded on ${evaluation.task}; ` +
    `95 % Wilson interval ${percent(low)} to ${percent(high)}.`);
}
