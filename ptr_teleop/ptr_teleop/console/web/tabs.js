// SPDX-License-Identifier: Apache-2.0
// The page's five views. Until a person chooses one, the page shows the view of the current activity.

const NAMES = ["record", "episodes", "policy", "evaluate", "robot"];

export class Tabs {
  #chosen = null;
  #shown = "";
  #tabs = new Map(NAMES.map((name) => [name, document.getElementById(`tab-${name}`)]));

  // changed(name): called when another view is shown.
  constructor(changed) {
    this.changed = changed;
    for (const [name, tab] of this.#tabs) {
      tab.addEventListener("click", () => this.choose(name));
      tab.addEventListener("keydown", (event) => this.#onKey(event, name));
      panelOf(tab).addEventListener("pointerdown", () => (this.#chosen ??= name)); // using a view counts as choosing it
    }
    const wanted = location.hash.slice(1);
    if (NAMES.includes(wanted)) this.choose(wanted);
    else this.#show("record");
    addEventListener("hashchange", () => NAMES.includes(location.hash.slice(1)) && this.choose(location.hash.slice(1)));
  }

  get shown() {
    return this.#shown;
  }

  choose(name) {
    this.#chosen = name;
    if (location.hash !== `#${name}`) history.replaceState(null, "", `#${name}`);
    this.#show(name);
  }

  // name: view of the current activity; empty: none.
  suggest(name) {
    if (name && this.#chosen === null) this.#show(name);
  }

  // levels: {name: "", "warn" or "error"}: dots on the tabs of views that need attention.
  mark(levels) {
    for (const [name, tab] of this.#tabs) {
      if (tab.dataset.level === (levels[name] ?? "")) continue;
      tab.dataset.level = levels[name] ?? "";
      tab.title = levels[name] ? "This view needs attention" : "";
    }
  }

  #show(name) {
    if (this.#shown === name) return;
    this.#shown = name;
    document.body.dataset.view = name;
    for (const [other, tab] of this.#tabs) {
      tab.setAttribute("aria-selected", String(other === name));
      tab.tabIndex = other === name ? 0 : -1;
      panelOf(tab).hidden = other !== name;
    }
    this.changed(name);
  }

  #onKey(event, name) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = NAMES[(NAMES.indexOf(name) + step + NAMES.length) % NAMES.length];
    this.choose(next);
    this.#tabs.get(next).focus();
    event.preventDefault();
  }
}

function panelOf(tab) {
  return document.getElementById(tab.getAttribute("aria-controls"));
}
