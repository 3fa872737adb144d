// SPDX-License-Identifier: Apache-2.0
// The current trial of an evaluation: set up the scene, confirm it, judge the trial or undo a judgment, and finish.
import { byId, sentence, setText } from "./dom.js";
import { policyName } from "./policy.js";

const PHASES = {
  idle: "between trials", staging: "the arm moves to its start", ready: "waiting for you", running: "the policy drives",
  label: "judge it", review: "all trials are done", done: "done",
};
const GO_AHEAD = { ready: "The scene is ready", review: "Finish the evaluation" };
const JUDGMENTS = { y: "success", n: "failure", p: "partial", x: "invalid" };
const NEEDS_REASON = ["partial", "invalid"];

// Is the trial waiting for a person?
export function waitsFor(trial) {
  return Boolean(trial) && (trial.phase === "label" || trial.phase in GO_AHEAD);
}

export class Trial {
  #connection;
  #trial = null;
  #busy = false;
  #place = ""; // trial and phase
  #answered = false; // the request was accepted: buttons stay disabled until the evaluator continues
  #readBy = 0; // ms; an error stays visible until then

  // shortcuts(): are key shortcuts active?
  constructor(connection, shortcuts) {
    this.#connection = connection;
    this.shortcuts = shortcuts;
    byId("scene-ready").addEventListener("click", () => this.#ready());
    byId("undo-judgment").addEventListener("click", () => this.#ask("undo_judgment", {}));
    for (const outcome of Object.values(JUDGMENTS)) {
      byId(`judge-${outcome}`).addEventListener("click", () => this.#judge(outcome));
    }
    byId("judge-score").addEventListener("input", () =>
      setText(byId("judge-score-text"), `${byId("judge-score").value}\u00a0%`));
    addEventListener("keydown", (event) => this.#onKey(event));
  }

  show({ trial, arm, motors, policy_status: status }) {
    this.#trial = trial;
    const phase = trial?.phase ?? null;
    byId("trial").hidden = !trial;
    byId("no-evaluation").hidden = Boolean(trial) || !byId("evaluation").hidden;
    if (!trial) return;
    const place = `${trial.number} ${phase}`;
    if (place !== this.#place) [this.#place, this.#answered] = [place, false];
    setText(byId("trial-title"), trial.planned ? `Trial ${trial.number} of ${trial.planned}` : "Trial");
    setText(byId("trial-phase"), PHASES[phase]);
    byId("trial-phase").dataset.level = waitsFor(trial) ? "warn" : phase === "running" ? "live" : "ok";
    setText(byId("trial-policy"), policyName(status, trial) || "–");
    setText(byId("trial-task"), trial.instruction || trial.task.replaceAll("_", " ") || "–");
    setText(byId("trial-kitchen"), trial.kitchen.replaceAll("_", " ") || "–");
    setText(byId("trial-takeover"), `${trial.takeover_steps} steps`);
    byId("trial-takeover").parentElement.hidden = trial.takeover_steps === 0;
    if (!this.#busy && performance.now() > this.#readBy) this.#showMessage(trial.message, false);
    byId("laying-out").hidden = !GO_AHEAD[phase];
    setText(byId("scene-ready-text"), GO_AHEAD[phase] ?? "");
    byId("undo-judgment").hidden = !trial.undo;
    setText(byId("undo-judgment-text"), trial.undo);
    byId("judging").hidden = !trial.may_label;
    byId("judging-ends").hidden = phase !== "running";
    if (trial.may_label) this.#offer(trial.fault || faultOf(arm, motors));
    this.#enable();
  }

  // After a fault the trial is most likely invalid: offer that judgment first, with the fault as the reason.
  #offer(fault) {
    const judging = byId("judging");
    const before = judging.dataset.fault;
    if (before === fault) return;
    judging.dataset.fault = fault;
    const invalid = byId("judge-invalid");
    invalid.classList.toggle("primary", Boolean(fault));
    if (fault) byId("judge-first").append(invalid);
    else byId("judge-last").append(invalid);
    byId("judge-first").hidden = !fault;
    const reason = byId("judge-reason");
    if (!reason.value || reason.value === before) reason.value = fault;
  }

  #enable() {
    for (const button of document.querySelectorAll("#laying-out button, #judging button")) {
      button.disabled = this.#busy || this.#answered;
    }
  }

  #ready() {
    return this.#ask("ready", {});
  }

  async #judge(outcome) {
    const reason = byId("judge-reason").value.trim();
    if (NEEDS_REASON.includes(outcome) && !reason) {
      byId("judge-reason").focus();
      this.#refuse(`Enter in a few words why the trial is ${outcome}`);
      return;
    }
    const score = outcome === "partial" ? byId("judge-score").value / 100 : null;
    const answer = await this.#ask("judge", { outcome, score, reason, annotator: byId("operator").value });
    if (answer.done) byId("judge-reason").value = "";
  }

  async #ask(request, fields) {
    const place = this.#place;
    this.#busy = true;
    this.#enable();
    const answer = await this.#connection.ask(request, fields);
    this.#busy = false;
    this.#answered = answer.done && place === this.#place;
    this.#enable();
    if (answer.done) this.#showMessage(answer.text, false);
    else this.#refuse(answer.text);
    return answer;
  }

  #refuse(text) {
    this.#readBy = performance.now() + 4000;
    this.#showMessage(text, true);
  }

  #showMessage(text, isError) {
    setText(byId("trial-message"), sentence(text));
    byId("trial-message").classList.toggle("grave", isError);
  }

  #onKey(event) {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !this.shortcuts(event)) return;
    const button = this.#buttonOf(event.key.toLowerCase());
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  }

  #buttonOf(key) {
    if (GO_AHEAD[this.#trial?.phase]) {
      if (key === "u") return this.#trial.undo ? byId("undo-judgment") : null;
      return key === "r" ? byId("scene-ready") : null;
    }
    return this.#trial?.may_label && JUDGMENTS[key] ? byId(`judge-${JUDGMENTS[key]}`) : null;
  }
}

// A fault of the arm itself, as a sentence; empty: none.
function faultOf(arm, motors) {
  if (motors?.level === "fault") return sentence(motors.message || "a motor has a fault");
  return arm?.mode === "stopped" ? "The arm was stopped." : "";
}
