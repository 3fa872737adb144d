# SPDX-License-Identifier: Apache-2.0
"""Questions to the person beside a real robot, on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ptr_models.errors import PtrError
from ptr_policy.evaluation.runner import Judgement
from ptr_policy.evaluation.trials import Trial

ANSWERS = {"s": "success", "f": "failure", "p": "partial", "i": "invalid"}


class NobodyError(PtrError):
    """A person would have to answer, but there is no terminal."""


class Person:
    """Asks and takes the answer again until it is one.

    Args:
        ask: prints a question and returns the line that is typed.
    """

    def __init__(self, ask: Callable[[str], str] = input) -> None:
        if ask is input and not sys.stdin.isatty():
            raise NobodyError(
                "no simulator answers and standard input is no terminal, so nobody can lay out and judge the "
                "trials; start the simulator, or run `ptr evaluate` in a terminal"
            )
        self._ask = ask

    def lay_out(self, trial: Trial) -> None:
        """Wait until the scene is ready."""
        self._ask(f"Trial {trial.index + 1}, {trial.task}: lay out the scene, step back, then press Enter. ")

    def judge(self, trial: Trial) -> Judgement:
        """Ask what came of the trial."""
        answer = ""
        while answer not in ANSWERS:
            text = self._ask(f"Trial {trial.index + 1}: (s)uccess, (f)ailure, (p)artial or (i)nvalid? ")
            answer = text.strip().lower()[:1]
        outcome = ANSWERS[answer]
        score = self._score() if outcome == "partial" else None
        reason = self._ask("Why? ").strip() if outcome in ("partial", "invalid") else ""
        return Judgement(outcome, reason or f"the person beside the robot says {outcome}", score, "person")

    def _score(self) -> float:
        while True:
            try:
                percent = float(self._ask("How much of the task, in percent (0-100)? ").strip().rstrip("%"))
            except ValueError:
                continue
            if 0.0 <= percent <= 100.0:
                return percent / 100.0
