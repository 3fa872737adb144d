// SPDX-License-Identifier: Apache-2.0
// The trial that an evaluation is at: lay out the scene, say that it is ready, and judge what came of it.
import { byId, sentence, setText } from "./dom.js";

const PHASES = {
  idle: "between trials", staging: "the arm goes to its start", ready: "waits for you", running: "the policy drives",
  label: "judge it", done: "done",
};
const JUDGEMENTS = { y: "success", n: "failure", p: "partial", x: "invalid" };
const NEEDS_REASON = ["partial", "invalid"];

export class Trial {
  #connection;
  #trial = null;
  #busy = false;
  #place = ""; // trial and phase
  #answered = false; // what it waits for here: its buttons rest until the evaluator goes on
  #readBy = 0; // ms; until then a refusal stays to be read

  // shortcuts(): may keys act now?
  constructor(connection, shortcuts) {
    this.#connection = connection;
    this.shortcuts = shortcuts;
    byId("scene-ready").addEventListener("click", () => this.#ready());
    for (const outcome of Object.values(JUDGEMENTS)) {
      byId(`judge-${outcome}`).addEventListener("click", () => this.#judge(outcome));
    }
    byId("judge-score").addEventListener("input", () =>
      setText(byId("judge-score-text"), `${byId("judge-score").value}\u00a0%`));
    addEventListener("keydown", (event) => this.#onKey(event));
  }

  show(trial) {
    this.#trial = trial;
    const phase = trial?.phase ?? null;
    byId("trial").hidden = !trial;
    byId("no-evaluation").hidden = Boolean(trial) || !byId("evaluation").hidden;
    if (!trial) return;
    const place = `${trial.number} ${phase}`;
    if (place !== this.#place) [this.#place, this.#answered] = [place, false];
    setText(byId("trial-title"), trial.planned ? `Trial ${trial.number} of ${trial.planned}` : "Trial");
    setText(byId("trial-phase"), PHASES[phase]);
    byId("trial-phase").dataset.level = phase === "ready" || phase === "label" ? "warn" : phase === "running" ? "live" : "ok";
    setText(byId("trial-policy"), trial.policy_label || "–");
    setText(byId("trial-task"), trial.instruction || trial.task.replaceAll("_", " ") || "–");
    setText(byId("trial-kitchen"), trial.kitchen.replaceAll("_", " ") || "–");
    setText(byId("trial-takeover"), `${trial.takeover_steps} steps`);
    byId("trial-takeover").parentElement.hidden = trial.takeover_steps === 0;
    if (!this.#busy && performance.now() > this.#readBy) this.#say(trial.message, false);
    byId("laying-out").hidden = phase !== "ready";
    byId("judging").hidden = !trial.may_label;
    byId("judging-ends").hidden = phase !== "running";
    this.#enable();
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
      this.#refuse(`Say in a few words why the trial is ${outcome}`);
      return;
    }
    const score = outcome === "partial" ? byId("judge-score").value / 100 : null;
    const answer = await this.#ask("judge", { outcome, score, reason, by: byId("operator").value });
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
    if (answer.done) this.#say(answer.text, false);
    else this.#refuse(answer.text);
    return answer;
  }

  #refuse(text) {
    this.#readBy = performance.now() + 4000;
    this.#say(text, true);
  }

  #say(text, grave) {
    setText(byId("trial-message"), sentence(text));
    byId("trial-message").classList.toggle("grave", grave);
  }

  #onKey(event) {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !this.shortcuts(event)) return;
    const button = this.#buttonOf(event.key.toLowerCase());
    if (!button || button.disabled) return;
    event.preventDefault();
    button.click();
  }

  #buttonOf(key) {
    if (this.#trial?.phase === "ready") return key === "r" ? byId("scene-ready") : null;
    return this.#trial?.may_label && JUDGEMENTS[key] ? byId(`judge-${JUDGEMENTS[key]}`) : null;
  }
}
