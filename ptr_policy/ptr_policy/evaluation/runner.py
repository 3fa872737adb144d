# SPDX-License-Identifier: Apache-2.0
"""The sequence of an evaluation: for each trial set up, record, run, judge and save."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from ptr_policy.evaluation.summary import summarise, write_json
from ptr_policy.evaluation.trials import SIMULATOR, Judgment, Result, Trial, TrialFile, TrialsError

ATTEMPTS = 3  # for a trial that the simulator judges invalid; a person decides how often to repeat one


@dataclass(frozen=True)
class RunEnd:
    """The result of a policy run (action /run_policy).

    Attributes:
        completed: False: a fault ended it.
        mean_q: None: no action was sent.
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
    """Interface of a trial to the robot and the judge."""

    def stage(self, trial: Trial, undoable: Result | None) -> bool:
        """Set up the scene and move the arm to its start.

        Args:
            undoable: the result whose judgment a person may undo; None: none.
        Returns:
            False: the judgment was undone, and the trial does not start.
        """

    def confirm_last(self, last: Result) -> bool:
        """All trials are done; False: a person undoes the judgment of the last one."""

    def judge_again(self, result: Result) -> Judgment:
        """Judge a trial again and relabel its bag, whose history keeps the previous label."""

    def start_recording(self, trial: Trial) -> None:
        """Start a bag, if trials are recorded."""

    def run_policy(self, trial: Trial) -> RunEnd:
        """Run the policy until it ends or shortly after success; a person may take over."""

    def judge(self, trial: Trial, run: RunEnd) -> Judgment:
        """Judge the trial, now that nothing moves."""

    def stop_recording(self, judgment: Judgment | None) -> str:
        """End the bag with its label (None: unlabelled) and return its folder; empty: not recorded."""


def make_trial(bench: Bench, trial: Trial, undoable: Result | None = None) -> Result:
    """Run one trial, or judge the previous one again. The bag is kept in any case."""
    started = datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
    if not bench.stage(trial, undoable):
        assert undoable is not None
        return undoable.judged(bench.judge_again(undoable))
    bench.start_recording(trial)
    judgment = None
    try:
        run = bench.run_policy(trial)
        judgment = bench.judge(trial, run)
    finally:
        bag = bench.stop_recording(judgment)
    return Result(
        trial=trial,
        outcome=judgment.outcome,
        reason=judgment.reason,
        score=judgment.score,
        judge=judgment.judge,
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
    """Run the trials of a plan that are not in `directory` yet, and return the summary of all.

    Writes `trials.jsonl`, one line per finished trial, and updates `summary.json`. A person may undo the newest
    judgment before the next trial starts, or the last one before the evaluation ends. The new one gets its own line.

    Args:
        report: called with each trial that was finished or judged again.
    Raises:
        TrialsError: the simulator judged a trial invalid in all attempts, or the files can't be read or written.
    """
    file = TrialFile(directory / "trials.jsonl")
    failed: Counter[Trial] = Counter()
    result = None
    while True:
        remaining, undoable = file.remaining(planned), undoable_result(file)
        if remaining:
            result = make_trial(bench, remaining[0], undoable)
        elif result is None or undoable is None or bench.confirm_last(undoable):
            return write_summary(directory, planned, file)
        else:
            result = undoable.judged(bench.judge_again(undoable))
        file.append(result)
        report(result)
        write_summary(directory, planned, file)
        failed[result.trial] += result.outcome == "invalid" and result.judge == SIMULATOR
        if failed[result.trial] == ATTEMPTS:
            raise TrialsError(f"trial {result.trial.index + 1} was invalid {ATTEMPTS} times: {result.reason}")


def undoable_result(file: TrialFile) -> Result | None:
    """The newest result, if a person judged it."""
    newest = file.read()[-1:]
    return newest[0] if newest and newest[0].judge != SIMULATOR else None


def write_summary(directory: Path, planned: Sequence[Trial], file: TrialFile) -> dict[str, Any]:
    """Write `summary.json` from the trials so far, and return its content."""
    summary = summarise(planned, file.read())
    write_json(directory / "summary.json", summary)
    return summary
