# SPDX-License-Identifier: Apache-2.0
"""The person at the robot: sets up scenes and judges trials, at the terminal or on the operator's page.

Both ask at the same time; the first answer counts.
"""

from __future__ import annotations

import math
import select
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol, TextIO

from ptr_policy.evaluation.trials import OUTCOMES, Judgment, Trial, TrialsError

POLL_PERIOD = 0.1  # s between two checks for an answer
UNDO = "u"  # typed at the terminal to undo the previous judgment
REVIEW_TIME = 60.0  # s in which the last judgment can be undone before the evaluation ends by itself


class Page(Protocol):
    """Input from the operator's page."""

    def pop_ready(self) -> bool:
        """True once after the page has confirmed the scene, or the last judgment."""

    def pop_undo(self) -> bool:
        """True once after the page has undone the previous judgment."""

    @property
    def labelled(self) -> bool:
        """Whether the page has sent a label that has not been popped yet."""

    def pop_label(self) -> Judgment | None:
        """That label, once."""


@dataclass(frozen=True)
class Terminal:
    """A terminal with non-blocking input.

    Attributes:
        print: prints a line.
        line: the next line that was typed; None: none.
    """

    print: Callable[[str], None]
    line: Callable[[], str | None]


def open_terminal(output: Callable[[str], None] = print, stream: TextIO | None = None) -> Terminal | None:
    """The terminal of this process; None: it has none, for example under a launch file."""
    stream = stream or sys.stdin
    if stream is None or not stream.isatty():
        return None

    def line() -> str | None:
        ready, _, _ = select.select([stream], [], [], 0.0)
        return (stream.readline() or None) if ready else None  # an empty one is the end of the input

    return Terminal(output, line)


def judgment(outcome: str, score: float | None, reason: str, judge: str) -> Judgment:
    """A person's label.

    Raises:
        TrialsError: unknown outcome, or a missing score or reason.
    """
    reason, judge = reason.strip(), judge.strip() or "person"
    if outcome not in OUTCOMES:
        raise TrialsError(f"outcome {outcome!r} is unknown; known: {', '.join(OUTCOMES)}")
    if outcome == "partial" and not (score is not None and math.isfinite(score) and 0.0 <= score <= 1.0):
        raise TrialsError(f"a partial success needs a score between 0 and 1, not {score}")
    if outcome in ("partial", "invalid") and not reason:
        raise TrialsError(f"a trial that is {outcome} needs a reason; describe in a few words what happened")
    stated = reason or f"the person at the robot judged it a {outcome}"
    return Judgment(outcome, stated, score if outcome == "partial" else None, judge)


def questions() -> Generator[str, str, Judgment]:
    """The terminal's questions after a trial: yields each question, is sent the typed line, returns the label.

    After an invalid line, the question is repeated.
    """
    outcome, score, reason = "", None, ""
    while not outcome:
        outcome = _outcome((yield "(s)uccess, (f)ailure, (p)artial or (i)nvalid?"))
    while outcome == "partial" and score is None:
        score = _share((yield "How much of the task, in percent (0-100)?"))
    while outcome in ("partial", "invalid") and not reason:
        reason = (yield "Why?").strip()
    return judgment(outcome, score, reason, "person")


def _outcome(text: str) -> str:
    """The outcome that starts with a text, such as `s` or `fail`; empty: none, as for `stop`."""
    prefix = text.strip().lower()
    return next((outcome for outcome in OUTCOMES if prefix and outcome.startswith(prefix)), "")


def _share(text: str) -> float | None:
    """0..1 from a text like `60 %`; None: not a percentage."""
    try:
        percent = float(text.strip().rstrip("%"))
    except ValueError:
        return None
    return percent / 100.0 if 0.0 <= percent <= 100.0 else None


class Interview:
    """The questions after a trial; the first may be answered during the trial.

    Attributes:
        question: the open question.
        label: result of the answers; None: a question is open.
        started: an outcome was given.
    """

    def __init__(self) -> None:
        self._asking = questions()
        self.question = next(self._asking)
        self.label: Judgment | None = None
        self.started = False

    def answer(self, line: str) -> None:
        """Process a typed line."""
        try:
            question = self._asking.send(line)
        except StopIteration as end:
            self.label, self.started = end.value, True
            return
        self.started = self.started or question != self.question
        self.question = question


class HumanJudge:
    """Asks on the page and, if there is one, at the terminal; the first answer counts.

    Args:
        pause: waits for a number of seconds; raises if the session ends.
    """

    def __init__(self, page: Page, terminal: Terminal | None, pause: Callable[[float], None]) -> None:
        self._page, self._terminal, self._pause = page, terminal, pause
        self._interview = Interview()

    def lay_out(self, trial: Trial, undo: str = "") -> bool:
        """Wait until the scene is ready; False: the previous judgment is undone instead.

        Args:
            undo: the judgment that can be undone, in words; empty: none.
        """
        name = f"Trial {trial.index + 1}, scene {trial.scene + 1}, {trial.task}"
        return self.confirm(f"{name}: set up the scene, step back, then press Enter.", undo)

    def finish(self, undo: str) -> bool:
        """After the last trial, wait for confirmation, at most `REVIEW_TIME`; `undo` and result as in `lay_out`."""
        request = f"All trials are done. Press Enter to finish (it ends in {REVIEW_TIME:.0f} s)."
        return self.confirm(request, undo, REVIEW_TIME)

    def confirm(self, request: str, undo: str = "", limit: float = math.inf) -> bool:
        """Wait for the person's confirmation, at most `limit` s; `undo` and result as in `lay_out`."""
        self._ask(f"{request} To undo ({undo}): {UNDO}, Enter." if undo else request)
        waited = 0.0
        while waited < limit:
            if undo and self._page.pop_undo():
                return False
            if self._page.pop_ready():
                return True
            line = self._line()
            if line is not None and line.strip().lower() != UNDO:
                return True
            if line is not None and undo:
                return False
            if line is not None:
                self._print(f"There is no judgment to undo. {request}")
            self._pause(POLL_PERIOD)
            waited += POLL_PERIOD
        return True

    def judge_again(self, trial: Trial, note: str) -> Judgment:
        """Ask again for the judgment of a trial; arguments as in `judge`."""
        self._interview = Interview()
        return self.judge(trial, note)

    def attend(self, trial: Trial) -> None:
        """The policy starts; from now on the person can judge the trial."""
        self._interview = Interview()
        self._ask(f"Trial {trial.index + 1}: the policy is acting. Judging ends the trial: {self._interview.question}")

    @property
    def judging(self) -> bool:
        """Whether the person has started to judge the trial; the terminal's next question is asked at once."""
        self._read_answers()
        return self._page.labelled or self._interview.started

    def judge(self, trial: Trial, note: str = "") -> Judgment:
        """Ask for the judgment of the trial, unless it was given during the trial.

        Args:
            note: information for the person, such as why the run ended early.
        """
        self._read_answers()
        if not (self._page.labelled or self._interview.started):
            self._print(f"{note} Trial {trial.index + 1}: {self._interview.question}".strip())
        while True:
            label = self._page.pop_label() or self._interview.label
            if label is not None:
                return label
            self._pause(POLL_PERIOD)
            self._read_answers()

    def _read_answers(self) -> None:
        """Process typed lines as answers, and ask the following questions."""
        while self._interview.label is None and (line := self._line()) is not None:
            self._interview.answer(line)
            if self._interview.label is None:
                self._print(self._interview.question)

    def _ask(self, question: str) -> None:
        """Ask a question; lines typed before do not count as answers."""
        while self._line() is not None:
            pass
        self._print(question)

    def _print(self, text: str) -> None:
        if self._terminal is not None:
            self._terminal.print(text)

    def _line(self) -> str | None:
        return None if self._terminal is None else self._terminal.line()
