# SPDX-License-Identifier: Apache-2.0
"""Trials: their plan, the file of them, and the sequence of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_policy.evaluation.protocol import plan_trials
from ptr_policy.evaluation.runner import RunEnd, evaluate, undoable_result
from ptr_policy.evaluation.summary import summarise
from ptr_policy.evaluation.trials import Judgment, Result, Trial, TrialFile, TrialsError

PLAN = plan_trials("put_knife_in_pot", "kitchen", ["finetuned"], 5, seed=3)
PAIRED = plan_trials("put_knife_in_pot", "kitchen", ["A", "B"], 3, seed=3)


class ScriptedBench:
    """Does as it is told: outcomes per attempt, in order; `undo X` before the next one judges the one before again.

    So it does at the end, where an outcome is left.
    """

    def __init__(self, *outcomes: str | Exception) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[str] = []

    def stage(self, trial: Trial, undoable: Result | None) -> bool:
        self.calls.append(f"stage {trial.index}")
        return undoable is None or not str(self.outcomes[0]).startswith("undo")

    def confirm_last(self, last: Result) -> bool:
        self.calls.append(f"confirm {last.trial.index}")
        return not self.outcomes

    def judge_again(self, result: Result) -> Judgment:
        self.calls.append(f"again {result.trial.index}")
        return Judgment(str(self.outcomes.pop(0)).removeprefix("undo "), "seen again", judge="Anna")

    def start_recording(self, trial: Trial) -> None:
        self.calls.append("record")

    def run_policy(self, trial: Trial) -> RunEnd:
        outcome = self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return RunEnd(True, "done", 23, 1, 4.5, 4.6)

    def judge(self, trial: Trial, run: RunEnd) -> Judgment:
        return Judgment(self.outcomes.pop(0), "as told")

    def stop_recording(self, judgment: Judgment | None) -> str:
        self.calls.append("unlabelled" if judgment is None else judgment.outcome)
        return "bags/one"


def result(trial: Trial, outcome: str = "success") -> Result:
    return Result(trial, outcome, "because", steps=20, mean_q=1.25, bag="bags/x", started="2026-01-01T00:00")


def test_an_evaluation_stages_records_and_writes_each_trial(tmp_path: Path) -> None:
    bench = ScriptedBench("success", "failure", "success", "success", "partial")
    shown: list[Result] = []
    summary = evaluate(bench, PLAN, tmp_path, shown.append)
    assert bench.calls[:3] == ["stage 0", "record", "success"]
    assert [item.outcome for item in shown] == ["success", "failure", "success", "success", "partial"]
    assert (summary["successes"], summary["judged"]) == (3, 5)
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    lines = (tmp_path / "trials.jsonl").read_text().splitlines()
    assert [Result.from_dict(json.loads(line)) for line in lines] == shown


def test_after_a_crash_only_the_missing_trials_are_made(tmp_path: Path) -> None:
    bench = ScriptedBench("success", "failure", RuntimeError("power cut"))
    with pytest.raises(RuntimeError, match="power cut"):
        evaluate(bench, PLAN, tmp_path, lambda _: None)
    assert bench.calls[-1] == "unlabelled"  # the bag of the trial that broke off is kept
    again = ScriptedBench("success", "success", "failure")
    summary = evaluate(again, PLAN, tmp_path, lambda _: None)
    assert [call for call in again.calls if call.startswith("stage")] == ["stage 2", "stage 3", "stage 4"]
    assert (summary["successes"], summary["judged"], summary["planned"]) == (3, 5, 5)


def test_an_invalid_trial_is_made_again_and_counts_neither_way(tmp_path: Path) -> None:
    bench = ScriptedBench("invalid", "success", "success", "success", "success", "success")
    summary = evaluate(bench, PLAN, tmp_path, lambda _: None)
    assert [call for call in bench.calls if call.startswith("stage")][:2] == ["stage 0", "stage 0"]
    assert (summary["successes"], summary["judged"], summary["counts"]["invalid"]) == (5, 5, 0)


def test_a_trial_that_stays_invalid_ends_the_evaluation(tmp_path: Path) -> None:
    with pytest.raises(TrialsError, match="trial 1 was invalid 3 times"):
        evaluate(ScriptedBench("invalid", "invalid", "invalid"), PLAN, tmp_path, lambda _: None)


def test_a_person_may_call_a_trial_invalid_as_often_as_it_is(tmp_path: Path) -> None:
    bench = ScriptedBench(*["invalid"] * 5, *["success"] * 5)
    bench.judge = lambda trial, run: Judgment(bench.outcomes.pop(0), "the cable caught", judge="Anna")
    assert evaluate(bench, PLAN, tmp_path, lambda _: None)["judged"] == 5
    assert bench.calls.count("stage 0") == 6


def judged_by_anna(*outcomes: str) -> ScriptedBench:
    bench = ScriptedBench(*outcomes)
    bench.judge = lambda trial, run: Judgment(str(bench.outcomes.pop(0)), "seen", judge="Anna")
    return bench


def test_a_judgment_is_taken_back_and_given_again_and_the_counts_follow(tmp_path: Path) -> None:
    bench, shown = judged_by_anna("success", "undo failure", "undo partial", *["success"] * 4), []
    tallies: list[int] = []

    def report(made: Result) -> None:
        shown.append((made.trial.index, made.outcome))
        tallies.append(summarise(PLAN, TrialFile(tmp_path / "trials.jsonl").read())["successes"])

    summary = evaluate(bench, PLAN, tmp_path, report)
    assert shown[:4] == [(0, "success"), (0, "failure"), (0, "partial"), (1, "success")]
    assert tallies == [1, 0, 0, 1, 2, 3, 4]
    assert (summary["successes"], summary["judged"], summary["counts"]["partial"]) == (4, 5, 1)
    assert bench.calls[:5] == ["stage 0", "record", "success", "stage 1", "again 0"]
    lines = TrialFile(tmp_path / "trials.jsonl").read()
    assert [line.reason for line in lines[:3]] == ["seen", "seen again", "seen again"]  # the history stays
    assert len({(line.started, line.bag, line.steps) for line in lines[:3]}) == 1


def test_a_trial_that_is_invalid_after_an_undo_is_made_again_and_one_that_no_longer_is_is_not(tmp_path: Path) -> None:
    bench = judged_by_anna("success", "undo invalid", "invalid", "undo success", *["failure"] * 4)
    assert evaluate(bench, PLAN, tmp_path, lambda _: None)["successes"] == 1
    assert [call for call in bench.calls if call[:5] in ("stage", "again")] == [
        *("stage 0", "stage 1", "again 0", "stage 0", "stage 0", "again 0"),
        *("stage 1", "stage 2", "stage 3", "stage 4"),
    ]


def test_the_last_judgment_is_taken_back_before_the_evaluation_ends(tmp_path: Path) -> None:
    bench = judged_by_anna(*["success"] * 5, "undo failure", "undo partial")
    assert evaluate(bench, PLAN, tmp_path, lambda _: None)["successes"] == 4
    assert bench.calls[-5:] == ["confirm 4", "again 4", "confirm 4", "again 4", "confirm 4"]
    assert [line.outcome for line in TrialFile(tmp_path / "trials.jsonl").read()[-3:]] == [
        "success",
        "failure",
        "partial",
    ]


def test_a_last_trial_that_becomes_invalid_is_made_again(tmp_path: Path) -> None:
    bench = judged_by_anna(*["success"] * 5, "undo invalid", "failure")
    assert evaluate(bench, PLAN, tmp_path, lambda _: None)["successes"] == 4
    assert bench.calls[-5:] == ["again 4", "stage 4", "record", "failure", "confirm 4"]


def test_nobody_is_asked_at_the_end_of_simulated_or_finished_evaluations(tmp_path: Path) -> None:
    simulated, finished = ScriptedBench(*["success"] * 5), judged_by_anna()
    evaluate(simulated, PLAN, tmp_path / "simulated", lambda _: None)
    evaluate(judged_by_anna(*["success"] * 5), PLAN, tmp_path / "judged", lambda _: None)
    evaluate(finished, PLAN, tmp_path / "judged", lambda _: None)
    assert not [call for call in simulated.calls + finished.calls if call.startswith("confirm")]


def test_what_the_simulator_judged_is_not_taken_back(tmp_path: Path) -> None:
    file = TrialFile(tmp_path / "trials.jsonl")
    assert undoable_result(file) is None
    file.append(result(PLAN[0]))
    assert undoable_result(file) is None
    file.append(result(PLAN[1]).judged(Judgment("failure", "fell", judge="Anna")))
    assert undoable_result(file).outcome == "failure"


def test_trials_of_another_plan_are_not_mixed_in(tmp_path: Path) -> None:
    file = TrialFile(tmp_path / "trials.jsonl")
    file.append(result(plan_trials("put_knife_in_pot", "kitchen", ["other"], 1, seed=3)[0]))
    with pytest.raises(TrialsError, match="another plan"):
        file.remaining(PLAN)


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text(result(PLAN[0]).to_json() + "\nnonsense\n")
    with pytest.raises(TrialsError, match=r"trials.jsonl, line 2"):
        TrialFile(path).read()


@given(cut=st.integers(0, 2000))
def test_wherever_a_crash_cuts_the_file_the_whole_lines_stay(tmp_path_factory, cut: int) -> None:
    file = TrialFile(tmp_path_factory.mktemp("trials") / "trials.jsonl")
    lines = [result(trial).to_json().encode() + b"\n" for trial in PLAN]
    content = b"".join(lines)
    file.path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    assert file.read() == [result(trial) for trial in PLAN[:whole]]
    file.append(result(PLAN[whole % 5]))
    assert len(file.read()) == whole + 1


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrialsError, match="trials cannot be written to"):
        TrialFile(tmp_path / "file" / "trials.jsonl")


def test_the_summary_counts_the_newest_result_of_a_trial() -> None:
    summary = summarise(PLAN, [result(PLAN[0], "invalid"), result(PLAN[0]), result(PLAN[1], "failure")])
    assert (summary["successes"], summary["judged"], summary["success_rate"]) == (1, 2, 0.5)
    assert summary["wilson_95"] == pytest.approx([0.0945, 0.9055], abs=5e-5)
    assert summarise(PLAN, [])["success_rate"] is None


def test_a_crash_in_the_middle_of_a_scene_leaves_the_other_policy_to_be_tried_there(tmp_path: Path) -> None:
    bench = ScriptedBench("success", "failure", "success", RuntimeError("power cut"))
    with pytest.raises(RuntimeError, match="power cut"):
        evaluate(bench, PAIRED, tmp_path, lambda _: None)
    again = ScriptedBench("failure", "success", "success")
    summary = evaluate(again, PAIRED, tmp_path, lambda _: None)
    assert [call for call in again.calls if call.startswith("stage")] == ["stage 3", "stage 4", "stage 5"]
    assert {name: entry["judged"] for name, entry in summary["policies"].items()} == {"A": 3, "B": 3}
    assert sum(entry["successes"] for entry in summary["policies"].values()) == summary["successes"] == 4


def test_a_success_with_a_person_s_help_is_none_of_the_policy() -> None:
    helped = Result(PLAN[0], "success", "because", steps=20, human_steps=(7, 8, 9))
    summary = summarise(PLAN, [helped, result(PLAN[1])])
    assert (summary["successes"], summary["assisted"], summary["judged"]) == (1, 1, 2)
    assert summary["counts"]["success"] == 2


def test_a_result_survives_its_line() -> None:
    whole = Result(
        PAIRED[3], "partial", "lifted it", 0.5, "Anna", 31, 1, 4.5, 6.2, "bags/x", "2026-01-01T00:00:00+00:00",
        (1.0, None, 2.5), (1,), ("pictures/a.jpg",),
    )  # fmt: skip
    assert Result.from_dict(json.loads(whole.to_json())) == whole


def test_trials_of_older_versions_are_read_and_counted() -> None:
    trial = {"index": 2, "kitchen": "kitchen", "policy": "finetuned", "seed": PLAN[2].seed, "task": "put_knife_in_pot"}
    values = {"bag": "bags/x", "duration": 4.6, "held_steps": 0, "judge": "simulator", "mean_q": 1.25, "reason": ""}
    values |= {"outcome": "success", "score": None, "started": "2026-01-01T00:00:00+00:00", "steps": 23, "trial": trial}
    old = Result.from_dict(values)
    assert old.trial == PLAN[2]
    assert summarise(PLAN, [old])["successes"] == 1
