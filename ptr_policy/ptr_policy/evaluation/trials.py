# SPDX-License-Identifier: Apache-2.0
"""Trials, their results, and the file to which each finished one is written at once."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_models.json_input import parse_object

OUTCOMES = ("success", "failure", "partial", "invalid")
SIMULATOR = "simulator"
"""Judge of a trial that no person judged."""
LISTS = ("q", "human_steps", "pictures")  # fields of a result that are lists in JSON


class TrialsError(PtrError):
    """The trials file can't be read or written, or holds other trials."""


@dataclass(frozen=True)
class Trial:
    """One planned trial.

    Attributes:
        index: 0 is the first.
        policy: its name, or its letter while names are hidden.
        seed: of the scene and the arm's start.
        scene: index of the scene, 0 is the first; -1 (files of older versions): its own scene.
    """

    index: int
    task: str
    kitchen: str
    policy: str
    seed: int
    scene: int = -1

    def __post_init__(self) -> None:
        if self.scene < 0:
            object.__setattr__(self, "scene", self.index)


@dataclass(frozen=True)
class Result:
    """One finished trial.

    Attributes:
        outcome: one of OUTCOMES; an invalid trial (a fault of the setup) does not count.
        reason: one sentence.
        score: 0..1 of a partial success.
        judge: `simulator`, `person`, or the person's name.
        steps, held_steps: control steps of the policy, and those without an action.
        mean_q: mean Q of the actions; None: none was sent.
        duration: duration of the run, s.
        bag: folder of the recording, relative to the trials file if below it; empty: none.
        started: ISO 8601, UTC.
        q: Q of the action of each control step; None: no action.
        human_steps: control steps of the policy during which a person drove the arm.
        pictures: images of the scene before and after, relative to the trials file; none: no camera.
    """

    trial: Trial
    outcome: str
    reason: str
    score: float | None = None
    judge: str = SIMULATOR
    steps: int = 0
    held_steps: int = 0
    mean_q: float | None = None
    duration: float = 0.0
    bag: str = ""
    started: str = ""
    q: tuple[float | None, ...] = ()
    human_steps: tuple[int, ...] = ()
    pictures: tuple[str, ...] = ()

    @property
    def assisted(self) -> bool:
        """Whether a person drove the arm during the trial."""
        return bool(self.human_steps)

    @property
    def autonomous_success(self) -> bool:
        """Whether the policy succeeded without a person's help."""
        return self.outcome == "success" and not self.assisted

    def judged(self, judgment: Judgment) -> Result:
        """The same run of the policy with another judgment."""
        return dataclasses.replace(self, **dataclasses.asdict(judgment))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        lists = {name: list(getattr(self, name)) for name in LISTS}
        return {**dataclasses.asdict(self), **lists}

    def to_json(self) -> str:
        """One line of the file."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Result:
        """The inverse of `to_json`, after parsing.

        Raises:
            TrialsError: its outcome is unknown.
            TypeError, KeyError: it is not a trial.
        """
        if values["outcome"] not in OUTCOMES:
            raise TrialsError(f"its outcome is {values['outcome']!r}; known: {', '.join(OUTCOMES)}")
        lists = {name: tuple(values[name]) for name in LISTS if name in values}
        return cls(**{**values, **lists, "trial": Trial(**values["trial"])})


@dataclass(frozen=True)
class Judgment:
    """The outcome of a trial and its judge; see `Result`."""

    outcome: str
    reason: str
    score: float | None = None
    judge: str = SIMULATOR


class TrialFile:
    """One JSON line per finished trial, on disk before the next one starts, so that a crash loses none."""

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
                results.append(Result.from_dict(parse_object(line, "it", TrialsError)))
            except (TrialsError, ValueError, TypeError, KeyError) as error:
                raise TrialsError(f"{self.path}, line {number}: not a trial ({error}); move the file away") from error
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
        """Unfinished trials of the plan; invalid ones are repeated.

        Raises:
            TrialsError: the file holds trials of another plan.
        """
        results = self.read()
        strangers = [result.trial for result in results if result.trial not in planned]
        if strangers:
            raise TrialsError(f"{self.path} holds a trial of another plan ({strangers[0]}); give another directory")
        newest = {result.trial: result.outcome for result in results}
        finished = {trial for trial, outcome in newest.items() if outcome != "invalid"}
        return [trial for trial in planned if trial not in finished]
