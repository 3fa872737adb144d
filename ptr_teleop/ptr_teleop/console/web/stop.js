// SPDX-License-Identifier: Apache-2.0
// The stop button. It needs no other script, and no script at all: without this one the form is sent as it is.
"use strict";
{
  const form = document.getElementById("stop");
  const answer = document.getElementById("stop-answer");
  const patience = 2000; // ms
  const say = (text, grave) => {
    answer.textContent = text;
    answer.hidden = false;
    answer.classList.toggle("grave", grave);
  };

  const stop = async () => {
    say("Stopping …", false);
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), patience);
    try {
      const response = await fetch("/stop", {
        method: "POST",
        headers: { Accept: "application/json" },
        signal: control.signal,
        keepalive: true,
      });
      const body = await response.json();
      say(body.text, !body.done);
      if (body.done) setTimeout(() => (answer.hidden = true), 4000);
    } catch {
      say("The console did not answer: use the arm's power switch.", true);
    } finally {
      clearTimeout(timer);
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    stop();
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.repeat) stop();
  });
  document.getElementById("overlay-stop").addEventListener("click", stop);
}
