// SPDX-License-Identifier: Apache-2.0
// Recording: start, end with an outcome, change the last label, and count towards the goal.
import { byId, make, sentence, setChildren, setText } from "./dom.js";

const STATES = { idle: "not recording", recording: "recording", saving: "saving", fault: "fault", unknown: "unknown" };

export class Episode {
  #connection;
  #busy = false;
  #state = null;
  #last = ""; // id of the last episode
  #result = ""; // result of an action on this page since the recorder's last message
  #message = ""; // the recorder's last message
  #discarded = ""; // id of the episode that was discarded here
  #stopped = false; // the arm is stopped
  #evaluating = false; // the evaluation controls the recorder

  constructor(connection) {
    this.#connection = connection;
    const on = (id, act) => byId(id).addEventListener("click", act);
    on("record", () => this.#ask("record", { task: byId("task").value, operator: byId("operator").value }));
    on("next-scene", () => this.#ask("next_scene", {}, "The arm is moving to its start; keep clear of it."));
    on("success", () => this.#finish(true, "success"));
    on("failure", () => this.#finish(true, "failure"));
    on("partial", () => this.#finish(true, "partial"));
    on("discard", () => this.#finish(false, "unlabelled"));
    on("relabel-button", () => this.#relabel());
    on("last-discard", () => this.#withLast(this.#discarded === this.#last ? "restore" : "discard"));
    on("last-undo", () => this.#withLast("undo"));
    for (const id of ["task", "operator"]) byId(id).addEventListener("change", () => this.#choose());
    byId("score").addEventListener("input", () => setText(byId("score-text"), `${byId("score").value}\u00a0%`));
  }

  hello(settings) {
    byId("tasks").replaceChildren(...settings.tasks.map((name) => {
      const option = make("option");
      option.value = name;
      return option;
    }));
    if (!byId("task").value) byId("task").value = settings.task;
    if (!byId("operator").value) byId("operator").value = settings.operator;
  }

  // Can record, success, failure or discard be pressed now?
  can(name) {
    if (this.#busy || this.#evaluating) return false;
    return name === "record" ? this.#free && !this.#stopped : this.#state === "recording";
  }

  press(name) {
    if (this.can(name)) byId(name).click();
  }

  // The next episode can start while the last one is being audited.
  get #free() {
    return ["idle", "fault", "saving"].includes(this.#state);
  }

  show({ recorder, arm, trial }, arrivedAt) {
    this.#state = recorder?.state ?? null;
    this.#stopped = arm?.mode === "stopped";
    this.#evaluating = Boolean(trial) && trial.phase !== "idle";
    const recording = this.#state === "recording";
    const pill = byId("recorder-state");
    const elapsed = recording ? ` ${clock(arrivedAt / 1000 - recorder.started)}` : "";
    const halted = this.#stopped && this.#state === "idle";
    setText(pill, halted ? "arm stopped" : recorder ? STATES[recorder.state] + elapsed : "no recorder");
    pill.dataset.level = halted || !recorder || this.#state === "fault" ? "error" : recording ? "live" : "off";
    setText(byId("saved"), String(recorder?.saved ?? 0));
    setText(byId("goal"), recorder?.goal ? ` of ${recorder.goal}` : "");
    byId("progress").hidden = !recorder?.goal;
    byId("progress").max = recorder?.goal || 1;
    byId("progress").value = Math.min(recorder?.saved ?? 0, recorder?.goal || 1);
    byId("record").hidden = recording;
    byId("record").disabled = this.#busy || this.#stopped || !this.#free;
    byId("next-scene").hidden = recording || this.#evaluating || !recorder;
    byId("next-scene").disabled = this.#busy || this.#stopped;
    byId("finish").hidden = !recording;
    byId("task").disabled = byId("operator").disabled = recording;
    this.#last = recording ? "" : recorder?.episode ?? "";
    byId("last").hidden = byId("relabel").hidden = !this.#last;
    setText(byId("last-discard"), this.#discarded === this.#last ? "Restore it" : "Discard it");
    byId("last-undo").disabled = this.#busy || this.#discarded === this.#last;
    if (this.#discarded === this.#last) byId("relabel").hidden = true;
    if (recorder?.message !== this.#message) [this.#message, this.#result] = [recorder?.message, ""];
    if (recorder && !this.#busy) setText(byId("episode-message"), sentence(this.#result || recorder.message));
    this.#showAudit(recorder);
  }

  #showAudit(recorder) {
    const audit = byId("audit");
    audit.hidden = !recorder?.recommendation || recorder.state === "recording";
    if (audit.hidden) return;
    audit.dataset.recommendation = recorder.recommendation;
    setChildren(audit, JSON.stringify([recorder.episode, recorder.recommendation, recorder.findings]), () => [
      make("p", "", `The audit of the last episode recommends: ${recorder.recommendation} it.`),
      ...recorder.findings.map((finding) => make("p", "finding", sentence(finding))),
    ]);
  }

  // A device's button may start the episode, which should then record the task chosen here.
  #choose() {
    const task = byId("task").value;
    if (task.trim()) this.#connection.ask("task", { task, operator: byId("operator").value });
  }

  #finish(save, outcome) {
    const note = byId("note").value;
    const score = outcome === "partial" ? byId("score").value / 100 : null;
    return this.#ask("finish", { save, outcome, score, note }).then((answer) => {
      if (answer.done) byId("note").value = "";
    });
  }

  #relabel() {
    const outcome = byId("new-outcome").value;
    const score = outcome === "partial" ? byId("score").value / 100 : null;
    return this.#ask("relabel", { outcome, score, note: "" });
  }

  async #withLast(request) {
    const episode = this.#last;
    const answer = await this.#ask(request, { episode });
    if (answer.done && request !== "undo") this.#discarded = request === "discard" ? episode : "";
    this.#result = answer.done ? answer.text : "";
  }

  async #ask(request, fields, meanwhile = "Waiting for the recorder.") {
    this.#busy = true;
    for (const button of document.querySelectorAll(".episode button")) button.disabled = true;
    setText(byId("episode-message"), meanwhile);
    const answer = await this.#connection.ask(request, fields);
    for (const button of document.querySelectorAll(".episode button")) button.disabled = false;
    setText(byId("episode-message"), sentence(answer.text));
    byId("episode-message").classList.toggle("grave", !answer.done);
    setTimeout(() => (this.#busy = false), answer.done ? 0 : 4000); // an error stays long enough to be read
    return answer;
  }
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
