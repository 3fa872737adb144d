// SPDX-License-Identifier: Apache-2.0
// The saved episodes: play, relabel or discard them, and undo.
import { byId, make, sentence, setChildren, setText } from "./dom.js";
import { Player } from "./player.js";

const OUTCOMES = [
  ["success", "success"], ["failure", "failure"], ["partial 0.25", "partial, 25 %"], ["partial 0.5", "partial, 50 %"],
  ["partial 0.75", "partial, 75 %"], ["unlabelled", "no label"],
];
const SIMULATED = 1e9; // s; clocks of bulk simulations start at 0
const REVERSED = { discard: "restore", restore: "discard", relabel: "undo" };

export class Episodes {
  #connection;
  #player;
  #visible = false;
  #key = ""; // the recorder's state when the list was read
  #undo = null; // {request, episode} that reverses the last action
  #listing = null;
  #takesGoal = false; // the served policy gets its task as a goal image

  constructor(connection) {
    this.#connection = connection;
    this.#player = new Player();
    byId("show-discarded").addEventListener("change", () => this.#paint());
    byId("episodes-undo").addEventListener("click", () => this.#undo && this.#ask(this.#undo.request, this.#undo.episode));
  }

  // visible: whether the view is shown.
  shown(visible) {
    this.#visible = visible;
    if (visible) this.#read();
    else this.#player.pause();
  }

  // A visible list is reloaded when the recorder has saved, labeled or audited an episode.
  show(recorder, policyStatus) {
    const takesGoal = Boolean(policyStatus?.takes_goal);
    if (takesGoal !== this.#takesGoal) {
      this.#takesGoal = takesGoal;
      byId("episodes").dataset.key = "";
      this.#paint();
    }
    const key = recorder ? [recorder.directory, recorder.episode, recorder.state, recorder.message].join("\n") : "";
    if (!this.#visible || key === this.#key) return;
    this.#key = key;
    this.#read();
  }

  async #read() {
    const response = await fetch("/episodes", { cache: "no-store" }).catch(() => null);
    if (!response?.ok) {
      this.#listing = null;
      this.#showMessage(response ? await response.text() : "the console does not respond", true);
    } else {
      this.#listing = await response.json();
      if (byId("episodes-message").classList.contains("grave")) this.#showMessage("", false);
    }
    this.#paint();
  }

  #paint() {
    const { episodes = [], count = 0, discarded = 0 } = this.#listing ?? {};
    const rows = episodes.filter((episode) => byId("show-discarded").checked || !episode.discarded);
    setText(byId("episodes-count"), `${count} saved, ${discarded} discarded`);
    byId("episodes-count").hidden = !this.#listing;
    byId("show-discarded").parentElement.hidden = discarded === 0;
    byId("episodes-undo").hidden = !this.#undo;
    setChildren(byId("episodes"), JSON.stringify(rows), () => rows.map((episode) => this.#row(episode)));
  }

  #row(episode) {
    const row = make("li", episode.discarded ? "saved discarded" : "saved");
    const words = make("div", "saved-words");
    words.append(make("strong", "", (episode.task ?? episode.id).replaceAll("_", " ")), make("span", "hint", about(episode)));
    if (episode.problem) words.append(make("span", "hint grave", sentence(episode.problem)));
    row.append(this.#thumbnail(episode), words, this.#actions(episode));
    return row;
  }

  #thumbnail(episode) {
    const button = make("button", "thumbnail");
    button.type = "button";
    button.setAttribute("aria-label", `Play ${episode.id}`);
    const image = make("img");
    Object.assign(image, { alt: "", loading: "lazy", src: `/episodes/${encodeURIComponent(episode.id)}/thumbnail` });
    image.addEventListener("error", () => image.replaceWith(make("span", "hint", "no image")));
    button.append(image, make("span", "play", "▶"));
    button.addEventListener("click", () => this.#player.open(episode.id));
    return button;
  }

  #actions(episode) {
    const actions = make("div", "saved-actions");
    if (!episode.problem && !episode.discarded) {
      actions.append(this.#judgment(episode));
      actions.append(this.#button("Undo", episode.judgments === 0, () => this.#ask("undo", episode.id)));
      actions.lastChild.title = "Undo the newest judgment";
      if (this.#takesGoal) {
        actions.append(this.#button("Use as goal", false, () => this.#ask("goal", episode.id)));
        actions.lastChild.title = "Use its last image as the policy's goal";
      }
    }
    const [name, request] = episode.discarded ? ["Restore", "restore"] : ["Discard", "discard"];
    actions.append(this.#button(name, false, () => this.#ask(request, episode.id)));
    return actions;
  }

  #judgment(episode) {
    const select = make("select");
    select.setAttribute("aria-label", `Judgment of ${episode.id}`);
    const now = episode.outcome === "partial" ? `partial ${episode.score}` : episode.outcome;
    const own = OUTCOMES.some(([value]) => value === now) ? [] : [[now, `partial, ${Math.round(100 * episode.score)} %`]];
    for (const [value, text] of [...own, ...OUTCOMES]) {
      const option = make("option", "", text);
      option.value = value;
      select.append(option);
    }
    select.value = now;
    select.addEventListener("change", () => {
      const [outcome, score] = select.value.split(" ");
      this.#ask("relabel", episode.id, { outcome, score: score === undefined ? null : Number(score), note: "" });
    });
    return select;
  }

  #button(name, disabled, act) {
    const button = make("button", "", name);
    Object.assign(button, { type: "button", disabled });
    button.addEventListener("click", act);
    return button;
  }

  async #ask(request, episode, fields = {}) {
    const answer = await this.#connection.ask(request, { episode, ...fields });
    this.#showMessage(answer.text, !answer.done);
    if (answer.done) this.#undo = REVERSED[request] ? { request: REVERSED[request], episode } : null;
    byId("episodes").dataset.key = ""; // a refused choice reverts to the actual label
    await this.#read();
  }

  #showMessage(text, isError) {
    setText(byId("episodes-message"), sentence(text));
    byId("episodes-message").classList.toggle("grave", isError);
  }
}

// Date, length and operator in one line.
function about({ id, start, seconds, operator, device, kind }) {
  const when = start > SIMULATED ? new Date(1000 * start).toLocaleString([], { dateStyle: "medium", timeStyle: "short", hour12: false }) : id;
  const length = seconds === null || seconds === undefined ? "" : `${seconds.toFixed(1)}\u00a0s`;
  const who = [...new Set([operator, device])];
  return [when, length, kind === "demonstration" ? "" : kind, ...who].filter(Boolean).join(" · ");
}
