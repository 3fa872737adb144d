# SPDX-License-Identifier: Apache-2.0
"""Trials: the plan of them, and the file that each finished one is written to at once."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptr_bringup.sim.staging import scene_seed
from ptr_models.errors import PtrError
from ptr_policy.evaluation.statistics import wilson_interval

OUTCOMES = ("success", "failure", "partial", "invalid")


class TrialsError(PtrError):
    """The file of trials can't be read or written, or holds other trials."""


@dataclass(frozen=True)
class Trial:
    """One trial that is to be made.

    Attributes:
        index: 0 is the first.
        seed: of the scene and of the arm's start.
    """

    index: int
    task: str
    kitchen: str
    policy: str
    seed: int


@dataclass(frozen=True)
class Result:
    """One trial that was made.

    Attributes:
        outcome: one of OUTCOMES; an invalid trial (a fault of the set-up) counts neither way.
        reason: one sentence on what the outcome rests on.
        score: 0..1 of a partial success.
        judge: `simulator` or `person`.
        steps, held_steps: control steps of the policy, and those without an action.
        mean_q: mean Q of the actions; None when none was sent.
        duration: s, of the run.
        bag: folder of the recording, relative to the file of trials where it lies below; empty: none.
        started: ISO 8601, UTC.
    """

    trial: Trial
    outcome: str
    reason: str
    score: float | None = None
    judge: str = "simulator"
    steps: int = 0
    held_steps: int = 0
    mean_q: float | None = None
    duration: float = 0.0
    bag: str = ""
    started: str = ""

    def to_json(self) -> str:
        """One line of the file."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        """The inverse of `to_json`, after parsing."""
        return cls(**{**values, "trial": Trial(**values["trial"])})


def plan_trials(task: str, kitchen: str, policy: str, trials: int, seed: int) -> tuple[Trial, ...]:
    """Trials with the same scenes for every policy, and none of a demonstration's scenes."""
    return tuple(Trial(i, task, kitchen, policy, scene_seed("trial", seed, i)) for i in range(trials))


class TrialFile:
    """One JSON line per finished trial, on disk before the next one starts; a crash loses none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrialsError(f"trials cannot be written to {path.parent}: {error.strerror}") from error

    def read(self) -> list[Result]:
        """Finished trials. A last line that a crash cut off is removed from the file.

        Raises:
            TrialsError: another line is damaged.
        """
        if not self.path.exists():
            return []
        content = self.path.read_bytes()
        whole, _, rest = content.rpartition(b"\n")
        if rest:
            with self.path.open("r+b") as file:
                file.truncate(len(content) - len(rest))
        results = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                results.append(Result.from_dict(json.loads(line)))
            except (ValueError, TypeError, KeyError) as error:
                raise TrialsError(f"{self.path}, line {number}: no trial ({error}); move it away") from error
        return results

    def append(self, result: Result) -> None:
        """Write a finished trial through to the disk."""
        try:
            with self.path.open("ab") as file:
                file.write(result.to_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TrialsError(f"trials cannot be written to {self.path}: {error.strerror}") from error

    def remaining(self, planned: Sequence[Trial]) -> list[Trial]:
        """Trials of the plan that are not finished; invalid ones are made again.

        Raises:
            TrialsError: the file holds trials that are not of this plan.
        """
        results = self.read()
        strangers = [result.trial for result in results if result.trial not in planned]
        if strangers:
            raise TrialsError(
                f"{self.path} holds a trial of another plan ({strangers[0]}); give another directory"
            )
        finished = {result.trial for result in results if result.outcome != "invalid"}
        return [trial for trial in planned if trial not in finished]


def summarise(planned: Sequence[Trial], results: Iterable[Result]) -> dict[str, Any]:
    """Counts, success rate with its 95 % Wilson interval, and the trials; for `summary.json`."""
    newest = {result.trial: result for result in results}
    made = [newest[trial] for trial in planned if trial in newest]
    counts = {outcome: sum(result.outcome == outcome for result in made) for outcome in OUTCOMES}
    judged = len(made) - counts["invalid"]
    low, high = wilson_interval(counts["success"], judged)
    first = planned[0]
    return {
        "task": first.task,
        "kitchen": first.kitchen,
        "policy": first.policy,
        "planned": len(planned),
        "judged": judged,
        "successes": counts["success"],
        "counts": counts,
        "success_rate": counts["success"] / judged if judged else None,
        "wilson_95": [low, high],
        "trials": [dataclasses.asdict(result) for result in made],
    }
