# SPDX-License-Identifier: Apache-2.0
"""Corrects the judgment of a trial, and writes the report again."""

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
        number: number of the trial, as in the terminal and the report; 1 is the first.
        outcome: one of `trials.OUTCOMES` (an invalid trial is repeated by the next `ptr evaluate`), or UNDO: restore
            the previous judgment.
    Raises:
        TrialsError: no such trial, nothing to undo, or the files can't be read or written.
        FolderInUseError: the evaluation is running.
    """
    with locked(directory):
        evaluation, file = read_evaluation(directory), TrialFile(directory / "trials.jsonl")
        judged = [result for result in file.read() if result.trial.index == number - 1]
        if not judged:
            made = ", ".join(str(result.trial.index + 1) for result in evaluation.results)
            raise TrialsError(f"{directory} has no finished trial {number}; finished ones: {made}")
        fresh = _before(judged, number) if outcome == UNDO else _judged(judged[-1], outcome, reason, score)
        file.append(fresh)
        write_json(directory / "summary.json", summarise(evaluation.planned, file.read()))
        write_report(directory)
    return fresh


def _judged(last: Result, outcome: str, reason: str, score: float | None) -> Result:
    stated = reason or f"judged again; before: {last.outcome}"
    return last.judged(Judgment(outcome, stated, score, "person"))


def _before(judged: list[Result], number: int) -> Result:
    """The last judgment of the same run that differs from the newest one."""
    last = judged[-1]
    earlier = [one for one in judged[:-1] if one.started == last.started and one != last]
    if not earlier:
        raise TrialsError(f"trial {number} was judged only once; give the right outcome instead of {UNDO}")
    return earlier[-1]
