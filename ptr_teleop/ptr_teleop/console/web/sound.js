// SPDX-License-Identifier: Apache-2.0
// Speech, if the browser supports it, and short tones. Nothing waits for a sound.
import { byId, setText } from "./dom.js";

const STORAGE_KEY = "ptr-console-sound";
const TONES = { 1: [880, 0.07], 2: [330, 0.16], 3: [220, 0.4] }; // grade: Hz, s
const TONE_GAP = 350; // ms between two tones
const SPEECH_TIMEOUT = 12000; // ms after which an engine that never reports its end counts as silent

export class Sound {
  #on = readChoice();
  #audio = null;
  #endsBy = -Infinity;
  #lastTone = -Infinity;

  constructor() {
    const button = byId("sound");
    button.addEventListener("click", () => this.#switch(!this.#on));
    this.#show();
    // Browsers allow sound only after a user gesture.
    const wake = () => this.#wake();
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, wake, { capture: true });
  }

  get speaking() {
    return this.#on && canSpeak() && speechSynthesis.speaking && performance.now() < this.#endsBy;
  }

  speak(text, urgent = false) {
    if (!this.#on || !canSpeak()) return;
    const utterance = new SpeechSynthesisUtterance(pronounceable(text));
    Object.assign(utterance, { lang: "en-US", rate: 1.1 });
    if (urgent || speechSynthesis.speaking) speechSynthesis.cancel();
    speechSynthesis.speak(utterance);
    this.#endsBy = performance.now() + SPEECH_TIMEOUT;
  }

  // A short tone; the more severe, the lower and longer. None for a remark.
  cue(grade) {
    const now = performance.now();
    if (!this.#on || !TONES[grade] || this.#audio?.state !== "running" || now - this.#lastTone < TONE_GAP) return;
    this.#lastTone = now;
    const [frequency, seconds] = TONES[grade];
    const tone = this.#audio.createOscillator(), volume = this.#audio.createGain();
    const [begin, end] = [this.#audio.currentTime, this.#audio.currentTime + seconds];
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0.15, begin);
    volume.gain.exponentialRampToValueAtTime(0.001, end);
    tone.connect(volume).connect(this.#audio.destination);
    tone.start(begin);
    tone.stop(end);
  }

  #switch(on) {
    this.#on = on;
    if (!on && canSpeak()) speechSynthesis.cancel();
    try {
      localStorage.setItem(STORAGE_KEY, on ? "on" : "off");
    } catch { /* the browser stores nothing: the choice holds for this visit */ }
    this.#show();
    if (on) this.speak("Sound on.");
  }

  #show() {
    const button = byId("sound");
    button.setAttribute("aria-pressed", String(this.#on));
    setText(button, this.#on ? "Sound on" : "Sound off");
    button.title = canSpeak() ? "Announces why commands are changed or refused" : "This browser does not support speech: tones only";
  }

  #wake() {
    if (!this.#on || !globalThis.AudioContext) return;
    this.#audio ??= new AudioContext();
    if (this.#audio.state === "suspended") this.#audio.resume().catch(() => {});
  }
}

// Text for the speech engine.
function pronounceable(text) {
  return text.replaceAll("`", "").replace(/(deg C|°C)/g, "degrees");
}

function canSpeak() {
  return "speechSynthesis" in window && "SpeechSynthesisUtterance" in window;
}

function readChoice() {
  try {
    return localStorage.getItem(STORAGE_KEY) !== "off";
  } catch {
    return true;
  }
}
