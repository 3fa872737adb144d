# SPDX-License-Identifier: Apache-2.0
"""The person beside the robot: lays out the scene and judges, at the terminal or on the operator's page.

Both are asked at the same time; the first answer counts.
"""

from __future__ import annotations

import math
import select
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol, TextIO

from ptr_policy.evaluation.trials import OUTCOMES, Judgment, Trial, TrialsError

POLL = 0.1  # s between two looks for an answer
UNDO = "u"  # typed at the terminal, it takes the judgment before back
REVIEW = 60.0  # s for an undo of the last judgment, after which the evaluation ends by itself


class Page(Protocol):
    """What the operator's page sends."""

    def take_ready(self) -> bool:
        """True once after the page has said that the scene is laid out, or that the last judgment stands."""

    def take_undo(self) -> bool:
        """True once after the page has taken the judgment before back."""

    @property
    def labelled(self) -> bool:
        """Whether the page has sent a label that nobody has taken yet."""

    def take_label(self) -> Judgment | None:
        """That label, once."""


@dataclass(frozen=True)
class Terminal:
    """Lines that are typed, taken without waiting for them.

    Attributes:
        say: prints a line.
        line: the next line that was typed, None when there is none.
    """

    say: Callable[[str], None]
    line: Callable[[], str | None]


def open_terminal(say: Callable[[str], None] = print, stream: TextIO | None = None) -> Terminal | None:
    """The terminal of this process, or None where it has none, as under a launch file."""
    stream = stream or sys.stdin
    if stream is None or not stream.isatty():
        return None

    def line() -> str | None:
        ready, _, _ = select.select([stream], [], [], 0.0)
        return (stream.readline() or None) if ready else None  # an empty one is the end of the input

    return Terminal(say, line)


def judgment(outcome: str, score: float | None, reason: str, judge: str) -> Judgment:
    """A person's label.

    Raises:
        TrialsError: it is none, or lacks what belongs to it; the sentence says what.
    """
    reason, judge = reason.strip(), judge.strip() or "person"
    if outcome not in OUTCOMES:
        raise TrialsError(f"outcome {outcome!r} is unknown; known: {', '.join(OUTCOMES)}")
    if outcome == "partial" and not (score is not None and math.isfinite(score) and 0.0 <= score <= 1.0):
        raise TrialsError(f"a partial success needs a score between 0 and 1, not {score}")
    if outcome in ("partial", "invalid") and not reason:
        raise TrialsError(f"a trial that is {outcome} needs a reason; say in a few words what happened")
    said = reason or f"the person beside the robot says {outcome}"
    return Judgment(outcome, said, score if outcome == "partial" else None, judge)


def questions() -> Generator[str, str, Judgment]:
    """What the terminal asks after a trial: yields each question, is sent the line that is typed, returns the label.

    A line that is no answer is asked for again.
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
    """The outcome that a text is or begins to be, such as `s` or `fail`; empty: none, such as `stop`."""
    said = text.strip().lower()
    return next((outcome for outcome in OUTCOMES if said and outcome.startswith(said)), "")


def _share(text: str) -> float | None:
    """0..1 of a text like `60 %`; None when it is no percentage."""
    try:
        percent = float(text.strip().rstrip("%"))
    except ValueError:
        return None
    return percent / 100.0 if 0.0 <= percent <= 100.0 else None


class Interview:
    """The questions after a trial, of which the first may be answered while it goes on.

    Attributes:
        question: that waits for an answer.
        label: what the answers came to; None: there is more to ask.
        begun: an outcome was said.
    """

    def __init__(self) -> None:
        self._asking = questions()
        self.question = next(self._asking)
        self.label: Judgment | None = None
        self.begun = False

    def answer(self, line: str) -> None:
        """Take a line that was typed."""
        try:
            question = self._asking.send(line)
        except StopIteration as end:
            self.label, self.begun = end.value, True
            return
        self.begun = self.begun or question != self.question
        self.question = question


class HumanJudge:
    """Asks at the terminal, where there is one, and on the page, and takes the answer that comes first.

    Args:
        pause: waits so many seconds, or raises when the session ends.
    """

    def __init__(self, page: Page, terminal: Terminal | None, pause: Callable[[float], None]) -> None:
        self._page, self._terminal, self._pause = page, terminal, pause
        self._interview = Interview()

    def lay_out(self, trial: Trial, undo: str = "") -> bool:
        """Wait until the scene is ready; False: the judgment before is taken back instead.

        Args:
            undo: the judgment that may be taken back, in words; empty: none.
        """
        name = f"Trial {trial.index + 1}, scene {trial.scene + 1}, {trial.task}"
        return self.confirm(f"{name}: lay out the scene, step back, then press Enter.", undo)

    def finish(self, undo: str) -> bool:
        """All trials are made: wait for the end, at most `REVIEW`; `undo` and the answer are as of `lay_out`."""
        return self.confirm(f"All trials are made. Press Enter to finish (it ends in {REVIEW:.0f} s).", undo, REVIEW)

    def confirm(self, wish: str, undo: str = "", limit: float = math.inf) -> bool:
        """Wait until the person says that something is done, or `limit` s; `undo` and the answer as of `lay_out`."""
        self._ask(f"{wish} To undo ({undo}): {UNDO}, Enter." if undo else wish)
        waited = 0.0
        while waited < limit:
            if undo and self._page.take_undo():
                return False
            if self._page.take_ready():
                return True
            line = self._line()
            if line is not None and line.strip().lower() != UNDO:
                return True
            if line is not None and undo:
                return False
            if line is not None:
                self._say(f"There is no judgment to undo. {wish}")
            self._pause(POLL)
            waited += POLL
        return True

    def judge_again(self, trial: Trial, note: str) -> Judgment:
        """Ask again what came of a trial; arguments as of `judge`."""
        self._interview = Interview()
        return self.judge(trial, note)

    def attend(self, trial: Trial) -> None:
        """The policy begins to act; from now on the trial may be judged."""
        self._interview = Interview()
        self._ask(f"Trial {trial.index + 1}: the policy acts. Judging ends the trial: {self._interview.question}")

    @property
    def judges(self) -> bool:
        """Whether somebody has begun to judge the trial; what the terminal has to ask yet is asked at once."""
        self._listen()
        return self._page.labelled or self._interview.begun

    def judge(self, trial: Trial, note: str = "") -> Judgment:
        """Ask what came of the trial, unless somebody has said so while it went on.

        Args:
            note: what the person should know, such as why the run ended early.
        """
        self._listen()
        if not (self._page.labelled or self._interview.begun):
            self._say(f"{note} Trial {trial.index + 1}: {self._interview.question}".strip())
        while True:
            label = self._page.take_label() or self._interview.label
            if label is not None:
                return label
            self._pause(POLL)
            self._listen()

    def _listen(self) -> None:
        """Take what was typed as answers, and ask what follows."""
        while self._interview.label is None and (line := self._line()) is not None:
            self._interview.answer(line)
            if self._interview.label is None:
                self._say(self._interview.question)

    def _ask(self, question: str) -> None:
        """Ask again; what was typed before does not answer it."""
        while self._line() is not None:
            pass
        self._say(question)

    def _say(self, text: str) -> None:
        if self._terminal is not None:
            self._terminal.say(text)

    def _line(self) -> str | None:
        return None if self._terminal is None else self._terminal.line()
