// SPDX-License-Identifier: Apache-2.0
// The stop button. It depends on no other script; without this one, the plain form is sent.
"use strict";
{
  const form = document.getElementById("stop");
  const answer = document.getElementById("stop-answer");
  const timeout = 2000; // ms
  const show = (text, isError) => {
    answer.textContent = text;
    answer.hidden = false;
    answer.classList.toggle("grave", isError);
  };

  const stop = async () => {
    show("Stopping …", false);
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), timeout);
    try {
      const response = await fetch("/stop", {
        method: "POST",
        headers: { Accept: "application/json" },
        signal: control.signal,
        keepalive: true,
      });
      const body = await response.json();
      show(body.text, !body.done);
      if (body.done) setTimeout(() => (answer.hidden = true), 4000);
    } catch {
      show("The console did not respond: use the arm's power switch.", true);
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
