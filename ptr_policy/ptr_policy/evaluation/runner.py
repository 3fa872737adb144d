# SPDX-License-Identifier: Apache-2.0
"""The sequence of an evaluation: stage, record, run, judge, write down; trial after trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from ptr_policy.evaluation.summary import summarise, write_json
from ptr_policy.evaluation.trials import Judgement, Result, Trial, TrialFile, TrialsError

ATTEMPTS = 3  # a trial that the simulator calls invalid is made so often in all; a person decides how often they try


@dataclass(frozen=True)
class RunEnd:
    """How a run of the policy ended: the result of the action /run_policy.

    Attributes:
        completed: False: a fault ended it.
        mean_q: None when no action was sent.
        duration: s.
        q, human_steps, pictures: see `Result`.
    """

    completed: bool
    message: str
    steps: int
    held_steps: int
    mean_q: float | None
    duration: float
    q: tuple[float | None, ...] = ()
    human_steps: tuple[int, ...] = ()
    pictures: tuple[str, ...] = ()


class Bench(Protocol):
    """What a trial needs of the robot and of the people around it."""

    def stage(self, trial: Trial) -> None:
        """Lay out the scene and bring the arm to its start."""

    def start_recording(self, trial: Trial) -> None:
        """Begin a bag, if trials are recorded."""

    def run_policy(self, trial: Trial) -> RunEnd:
        """Let the policy act until it ends, or a moment after the task has succeeded; a person may take over."""

    def judge(self, trial: Trial, run: RunEnd) -> Judgement:
        """Success or failure, now that nothing moves any more."""

    def stop_recording(self, judgement: Judgement | None) -> str:
        """End the bag with its label (none: unlabelled) and return its folder; empty: not recorded."""


def make_trial(bench: Bench, trial: Trial) -> Result:
    """Make one trial. The bag is kept whatever happens in it."""
    started = datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
    bench.stage(trial)
    bench.start_recording(trial)
    judgement = None
    try:
        run = bench.run_policy(trial)
        judgement = bench.judge(trial, run)
    finally:
        bag = bench.stop_recording(judgement)
    return Result(
        trial=trial,
        outcome=judgement.outcome,
        reason=judgement.reason,
        score=judgement.score,
        judge=judgement.judge,
        steps=run.steps,
        held_steps=run.held_steps,
        mean_q=run.mean_q,
        duration=round(run.duration, 3),
        bag=bag,
        started=started,
        q=run.q,
        human_steps=run.human_steps,
        pictures=run.pictures,
    )


def evaluate(
    bench: Bench, planned: Sequence[Trial], directory: Path, report: Callable[[Result], None]
) -> dict[str, Any]:
    """Make the trials of a plan that are not in `directory` yet, and return the summary of all.

    Writes `trials.jsonl`, one line per finished trial, and `summary.json` anew after each.

    Args:
        report: called with each trial that was made.
    Raises:
        TrialsError: the simulator called a trial invalid in all its attempts, or the files can't be used.
    """
    file = TrialFile(directory / "trials.jsonl")
    for trial in file.remaining(planned):
        left = ATTEMPTS
        while left:
            result = make_trial(bench, trial)
            file.append(result)
            report(result)
            write_summary(directory, planned, file)
            if result.outcome != "invalid":
                break
            left -= result.judge == "simulator"
        else:
            raise TrialsError(f"trial {trial.index + 1} was invalid {ATTEMPTS} times: {result.reason}")
    return write_summary(directory, planned, file)


def write_summary(directory: Path, planned: Sequence[Trial], file: TrialFile) -> dict[str, Any]:
    """Write `summary.json` from the trials so far, and return what is in it."""
    summary = summarise(planned, file.read())
    write_json(directory / "summary.json", summary)
    return summary
