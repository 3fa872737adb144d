# SPDX-License-Identifier: Apache-2.0
"""A wrong judgment of a trial is corrected, undone, or has the trial made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ptr_models import cli
from ptr_policy.evaluation.findings import read_evaluation
from ptr_policy.evaluation.protocol import Protocol, read_protocol
from ptr_policy.evaluation.trials import Result, TrialFile, TrialsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An evaluation of three trials, of which the last one failed."""
    protocol = Protocol("put_knife_in_pot", "kitchen", ("mine",), 3, seed=1)
    file = TrialFile(tmp_path / "trials.jsonl")
    for trial, outcome in zip(protocol.save(tmp_path).trials(), ("success", "success", "failure"), strict=True):
        file.append(Result(trial, outcome, "as seen", started=f"2026-01-01T00:00:0{trial.index}+00:00"))
    return tmp_path


def test_fewer_scenes_than_were_tried_are_refused_and_change_nothing(folder: Path) -> None:
    before = (folder / "evaluation.json").read_text()
    with pytest.raises(TrialsError, match="a trial of another plan"):
        Protocol("put_knife_in_pot", "kitchen", ("mine",), 2, seed=1).save(folder)
    assert (folder / "evaluation.json").read_text() == before
    assert len(Protocol("put_knife_in_pot", "kitchen", ("mine",), 5, seed=1).save(folder).trials()) == 5


def test_an_outcome_that_does_not_exist_is_named(folder: Path) -> None:
    file = folder / "trials.jsonl"
    file.write_text(file.read_text().replace('"success"', '"sucess"', 1))
    with pytest.raises(TrialsError, match="line 1: .*'sucess'; known: success, failure, partial, invalid"):
        TrialFile(file).read()


def test_trials_of_which_the_plan_has_none_are_refused(folder: Path) -> None:
    (folder / "evaluation.json").unlink()
    Protocol("put_knife_in_pot", "kitchen", ("mine",), 3, seed=2).save(folder)
    with pytest.raises(TrialsError, match="none of the 3 trials"):
        read_evaluation(folder)


def judge(folder: Path, trial: int, *words: str) -> int:
    return cli.main(["evaluate", "judge", str(folder), "--trial", str(trial), *words])


def successes(folder: Path) -> tuple[int, int]:
    numbers = [json.loads((folder / name).read_text())["successes"] for name in ("summary.json",)]
    report = json.loads((folder / "report.json").read_text())["policies"][0]
    assert numbers == [report["successes"]]
    return report["successes"], report["judged"]


def test_another_judgment_counts_and_the_first_one_stays_in_the_file(folder: Path) -> None:
    assert judge(folder, 2, "--outcome", "failure", "--note", "it fell out") == 0
    assert successes(folder) == (1, 3)
    lines = TrialFile(folder / "trials.jsonl").read()
    assert [line.outcome for line in lines if line.trial.index == 1] == ["success", "failure"]
    assert (lines[-1].reason, lines[-1].judge) == ("it fell out", "person")


def test_a_judgment_is_undone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge(folder, 2, "--outcome", "failure")
    assert judge(folder, 2, "--outcome", "undo") == 0
    assert successes(folder) == (2, 3)
    assert judge(folder, 1, "--outcome", "undo") == 2
    assert "was judged only once" in capsys.readouterr().err


def test_an_invalid_trial_is_made_again(folder: Path) -> None:
    judge(folder, 3, "--outcome", "invalid")
    assert successes(folder) == (2, 2)
    planned = read_protocol(folder).trials()
    assert [trial.index for trial in TrialFile(folder / "trials.jsonl").remaining(planned)] == [2]


def test_a_trial_that_was_not_made_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(folder, 7, "--outcome", "success") == 2
    assert "has no finished trial 7; finished ones: 1, 2, 3" in capsys.readouterr().err
