# SPDX-License-Identifier: Apache-2.0
"""A judgment that was wrong: another one for the same trial, after which the report is written again."""

from __future__ import annotations

from pathlib import Path

from ptr_models.common.output_folder import locked
from ptr_policy.evaluation.findings import read_evaluation
from ptr_policy.evaluation.report import write_report
from ptr_policy.evaluation.summary import summarise, write_json
from ptr_policy.evaluation.trials import Judgment, Result, TrialFile, TrialsError

UNDO = "undo"


def rejudge(directory: Path, number: int, outcome: str, reason: str = "", score: float | None = None) -> Result:
    """Judge a trial again, as a person; the earlier judgment stays in trials.jsonl.

    Args:
        number: of the trial, as the terminal and the report count: 1 is the first.
        outcome: one of `trials.OUTCOMES` (an invalid trial is made again by the next `ptr evaluate`), or UNDO: the
            judgment before the newest one counts again.
    Raises:
        TrialsError: there is no such trial, nothing to undo, or the files can't be read or written.
        FolderInUseError: the evaluation is running.
    """
    with locked(directory):
        evaluation, file = read_evaluation(directory), TrialFile(directory / "trials.jsonl")
        judged = [result for result in file.read() if result.trial.index == number - 1]
        if not judged:
            made = ", ".join(str(result.trial.index + 1) for result in evaluation.results)
            raise TrialsError(f"{directory} has no trial {number} that was made; those that were: {made}")
        fresh = _before(judged, number) if outcome == UNDO else _judged(judged[-1], outcome, reason, score)
        file.append(fresh)
        write_json(directory / "summary.json", summarise(evaluation.planned, file.read()))
        write_report(directory)
    return fresh


def _judged(last: Result, outcome: str, reason: str, score: float | None) -> Result:
    said = reason or f"judged again; before: {last.outcome}"
    return last.judged(Judgment(outcome, said, score, "person"))


def _before(judged: list[Result], number: int) -> Result:
    """The judgment of the same run of the policy that differs from the newest one and came before it."""
    last = judged[-1]
    earlier = [one for one in judged[:-1] if one.started == last.started and one != last]
    if not earlier:
        raise TrialsError(f"trial {number} was judged once only; give the right outcome instead of {UNDO}")
    return earlier[-1]
