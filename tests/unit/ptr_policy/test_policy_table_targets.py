# SPDX-License-Identifier: Apache-2.0
"""Own demonstrations in the table: what is refused, who tries them, and how judged trials come into its cells."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptr_bringup.sim.names import teach_names
from ptr_models import cli
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.manifest import write_manifest
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_policy.evaluation.checkpoints import Checkpoint, seal
from ptr_policy.evaluation.protocol import Protocol
from ptr_policy.evaluation.trials import Result, TrialFile
from ptr_policy.table.cli import check_targets, plan_from
from ptr_policy.table.forecast import all_work
from ptr_policy.table.judged import OWN_CHOICE, missing_trials, read_evaluations, unmatched_policies
from ptr_policy.table.plan import TablePlan, all_stages
from ptr_policy.table.plan_file import with_existing, write_plan
from ptr_policy.table.report import read_rows, write_report

TOWEL = "fold_towel"


def bag(folder: Path, name: str, task: str, size: tuple[int, int] = (96, 128), **metadata: Any) -> None:
    values = {"robot": "wx250s", "outcome": "success", "contract": Contract()} | metadata
    still = {
        "measured_position": np.tile([0.25, 0.0, 0.2], (4, 1)),
        "measured_rotation": np.tile(np.eye(3), (4, 1, 1)),
        "gripper": np.ones(4),
        "start_ns": 10**18,
    }
    images = {"over_shoulder": np.full((4, *size, 3), 90, np.uint8)}
    trajectory = Trajectory.from_actions(np.zeros((3, 7)), images=images, **still)
    write_episode(folder, EpisodeMetadata(episode_id=name, task=task, **values), trajectory)


def plan_of(tmp_path: Path, *words: str) -> TablePlan:
    """The plan of a command."""
    teach_names()
    bag(tmp_path / "pretraining", "one", "put_carrot_on_plate") if not (tmp_path / "pretraining").exists() else None
    parser = cli.build_parser()[0]
    out = ["--data", str(tmp_path / "pretraining"), "--out", str(tmp_path / "table")]
    options: argparse.Namespace = parser.parse_args(["table", *out, "--methods", "ptr", "bc", "--trials", "2", *words])
    return plan_from(options)


@pytest.fixture
def towel(tmp_path: Path) -> TablePlan:
    """A table of a task on a real arm whose methods are trained."""
    for name in ("a", "b"):
        bag(tmp_path / "towel", name, TOWEL)
    plan = plan_of(tmp_path, "--target", str(tmp_path / "towel"))
    for method in plan.methods:
        place = plan.run(method, TOWEL, 0) / "checkpoints" / "step_00022500"
        place.mkdir(parents=True)
        (place / "checkpoint.json").write_text('{"step": 22500}')
        pretraining = plan.pretraining(method, 0) / "checkpoints" / "step_00022000"
        pretraining.mkdir(parents=True)
        (pretraining / "checkpoint.json").write_text('{"step": 22000}')
    return plan


def evaluation(
    directory: Path, paths: dict[str, str], wins: dict[str, int], made: int | None = None, **protocol: Any
) -> None:
    """Two trials with each policy, of which so many succeed; `made`: so many trials in all."""
    asked = Protocol(TOWEL, "", tuple(paths), 2, seed=0, paths=paths, **protocol)
    file = TrialFile(directory / "trials.jsonl")
    for trial in asked.save(directory).trials()[:made]:
        outcome = "success" if trial.scene < wins[trial.policy] else "failure"
        file.append(Result(trial, outcome, "seen", judge="person", started="2026-01-01T00:00:00+00:00"))


def test_bags_of_a_simulated_kitchen_are_tried_there_and_those_of_an_arm_by_a_person(tmp_path: Path) -> None:
    simulated = {"robot": "sim", "kitchen": "toykitchen_target1"}
    bag(tmp_path / "potato", "a", "put_sweet_potato_on_plate", **simulated)
    bag(tmp_path / "towel", "a", TOWEL, kitchen="toykitchen_target1")
    bag(tmp_path / "made_up", "a", "juggle", **simulated)
    folders = [str(tmp_path / name) for name in ("potato", "towel", "made_up")]
    plan = plan_of(tmp_path, "--target", *folders, "--task", "put_corn_in_pot:toykitchen_target2")
    assert dict(plan.tasks) == {
        "put_sweet_potato_on_plate": "toykitchen_target1",
        TOWEL: "",
        "juggle": "",
        "put_corn_in_pot": "toykitchen_target2",
    }
    assert plan.judged_tasks == [TOWEL, "juggle"]


def test_a_set_of_bags_is_a_target_too(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        bag(tmp_path / "towel", name, TOWEL)
    (tmp_path / "sets").mkdir()
    chosen = tmp_path / "sets" / "two.json"
    write_manifest(chosen, [tmp_path / "towel" / name for name in ("a", "b")])
    target = plan_of(tmp_path, "--target", str(chosen)).targets[TOWEL]
    assert (target.folder, target.bags) == (chosen, ("../towel/a", "../towel/b"))


def test_every_method_learns_from_the_own_bags_and_a_person_s_trials_are_no_stage(towel: TablePlan) -> None:
    chosen = dataclasses.replace(
        towel, seeds=(0, 1), checkpoints={m.name: towel.pretraining(m, 0) for m in towel.methods}
    )
    stages = list(all_stages(chosen))
    assert [stage.kind for stage in stages] == ["train"] * 4
    targets = {stage.command[list(stage.command).index("--target") + 1] for stage in stages}
    assert targets == {str(towel.targets[TOWEL].folder)}
    assert {work.kind for work in all_work(chosen)} == {"train"}
    assert not chosen.is_full


def test_simulated_own_bags_are_validated_and_tried_like_made_ones(tmp_path: Path) -> None:
    bag(tmp_path / "potato", "a", "put_sweet_potato_on_plate", robot="sim", kitchen="toykitchen_target1")
    plan = plan_of(tmp_path, "--target", str(tmp_path / "potato"))
    assert [work.kind for work in all_work(plan)] == ["pretrain", "train", "validate", "try"] * 2


@pytest.mark.parametrize(
    ("bags", "sentence"),
    [
        (
            [("one", "a", {}), ("one", "b", {"task": "wipe"})],
            r"one holds demonstrations of several tasks: .*wipe \(1\)",
        ),
        ([("one", "a", {}), ("two", "b", {})], "both hold demonstrations of fold_towel; put them into one folder"),
        ([("one", "a", {"outcome": "unlabelled"})], "a is unlabelled, so training would leave it out"),
        (
            [
                ("one", name, {"robot": "sim", "task": "put_corn_in_pot", "kitchen": f"toykitchen{name}"})
                for name in "12"
            ],
            "several kitchens: toykitchen1",
        ),
    ],
)
def test_folders_that_are_not_one_task_s_demonstrations_are_refused(
    tmp_path: Path, bags: list[tuple[str, str, dict[str, str]]], sentence: str
) -> None:
    for folder, name, changes in bags:
        bag(tmp_path / folder, name, **({"task": TOWEL} | changes))
    folders = sorted({str(tmp_path / folder) for folder, _, _ in bags})
    with pytest.raises(PtrError, match=sentence):
        plan_of(tmp_path, "--target", *folders)


def test_a_task_is_either_simulated_or_given(tmp_path: Path) -> None:
    bag(tmp_path / "corn", "a", "put_corn_in_pot")
    with pytest.raises(PtrError, match="--target has demonstrations of put_corn_in_pot; leave it out of --task"):
        plan_of(tmp_path, "--target", str(tmp_path / "corn"), "--task", "put_corn_in_pot")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"contract": dataclasses.replace(Contract(), control_rate=10.0)}, r"control_rate: 5\.0 != 10\.0"),
        ({"contract": Contract().with_image_size(24, 32), "size": (24, 32)}, "fold_towel does not fit .*32x24"),
    ],
)
def test_bags_of_another_contract_or_with_too_small_images_are_refused_before_training(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    bag(tmp_path / "towel", "a", TOWEL)
    check_targets(plan_of(tmp_path, "--target", str(tmp_path / "towel")))
    bag(tmp_path / "towel", "b", TOWEL, **changes)
    with pytest.raises(PtrError, match=sentence):
        check_targets(plan_of(tmp_path, "--target", str(tmp_path / "towel")))


def test_a_task_of_the_pretraining_bags_and_another_level_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bag(tmp_path / "pretraining", "one", "put_carrot_on_plate")
    bag(tmp_path / "carrot", "a", "put_carrot_on_plate", robot="sim", kitchen="toykitchen1", extra={"level": "hard"})
    words = ("--target", str(tmp_path / "carrot"), "--level", "standard")
    with caplog.at_level(logging.WARNING):
        check_targets(plan_of(tmp_path, *words))
    assert "1 of the pre-training bags are of put_carrot_on_plate" in caplog.text
    assert "of level hard, its trials of level standard" in caplog.text
    caplog.clear()
    bag(tmp_path / "pretraining", "two", "wipe")
    check_targets(plan_of(tmp_path, *words, "--exclude", "one"))
    assert "pre-training bags are of" not in caplog.text


def test_a_table_goes_on_with_the_same_demonstrations_alone(towel: TablePlan, tmp_path: Path) -> None:
    write_plan(towel.out, towel.to_dict())
    bag(tmp_path / "towel", "c", TOWEL)
    with pytest.raises(PtrError, match="holds a table with targets = "):
        with_existing(plan_of(tmp_path, "--target", str(tmp_path / "towel")))


def test_the_missing_cells_get_one_blind_evaluation_that_the_launch_file_knows(towel: TablePlan) -> None:
    (step,) = missing_trials(towel, read_evaluations(towel))
    assert step.about == "fold towel: no trials yet of PTR (seed 0), BC (fine-tune) (seed 0). Make them at the arm:"
    words = shlex.split(step.command)
    assert words[:4] == ["ptr", "launch", "ptr_bringup", "evaluate.launch.xml"]
    given = dict(word.split(":=") for word in words[4:])
    runs = {method.name: towel.run(method, TOWEL, 0) for method in towel.methods}
    assert given == {
        "robot": "wx250s",
        "task": TOWEL,
        "trials": "2",
        "checkpoint": f"ptr-s0={runs['ptr']},bc-s0={runs['bc']}",
        "directory": str(towel.out / "evaluations" / TOWEL),
        "reference": str(towel.targets[TOWEL].folder),
    }
    more = dataclasses.replace(towel, budget=dataclasses.replace(towel.budget, trials=3))
    assert "reference:=" not in missing_trials(more, [])[0].command  # two demonstrations show no three scenes
    page = write_report(towel)[1].with_suffix(".html").read_text()
    assert "Missing trials" in page and f"task:={TOWEL}" in page


def test_trials_of_the_table_s_own_folder_and_of_others_fill_their_cells(towel: TablePlan, tmp_path: Path) -> None:
    ptr, bc = (str(towel.run(method, TOWEL, 0) / "checkpoints" / "step_00022500") for method in towel.methods)
    evaluation(towel.evaluations / TOWEL, {"any": ptr}, {"any": 2})
    evaluation(tmp_path / "elsewhere" / "x", {"mine": bc}, {"mine": 1}, action_choice="mode")
    chosen = dataclasses.replace(towel, trials_from=(tmp_path / "elsewhere",))
    found = read_evaluations(chosen)
    assert [str(row.total) for row in read_rows(chosen, found)] == ["2/2", "1/2"]
    assert [str(row.of(best=False)) for row in read_rows(chosen, found)] == ["-", "1/2"]
    assert (missing_trials(chosen, found), unmatched_policies(chosen, found)) == ([], [])
    text, _ = write_report(chosen)
    assert "| PTR | 2/2 | 2/2 |" in text and "Judged by a person, with `ptr evaluate`: fold towel." in text
    assert "Simulation" not in text
    entries = json.loads((towel.out / "results.json").read_text())
    assert [(entry["judge"], entry["decoding"]) for entry in entries] == [("person", OWN_CHOICE), ("person", "mode")]


def test_checkpoints_of_another_machine_are_told_by_the_name_of_their_policy(towel: TablePlan) -> None:
    paths = {"bc-s0": "/home/robot/bc/step_00022500", "ptr": "/home/robot/ptr/step_00022500"}
    evaluation(towel.evaluations / "x", paths, {"bc-s0": 1, "ptr": 2}, made=4)
    found = read_evaluations(towel)
    assert [str(row.total) for row in read_rows(towel, found)] == ["-", "1/2"]
    (sentence,) = unmatched_policies(towel, found)
    assert ": ptr, task fold_towel, is not a cell of this table" in sentence


def test_an_unfinished_blind_evaluation_counts_nothing_yet_and_is_gone_on_with(towel: TablePlan) -> None:
    directory = towel.evaluations / TOWEL
    runs = {method.name: towel.run(method, TOWEL, 0) for method in towel.methods}
    letters = seal(directory, [Checkpoint(f"{name}-s0", str(run)) for name, run in runs.items()])
    wins = {letter: 2 if it.name == "ptr-s0" else 0 for letter, it in letters.items()}
    asked = Protocol(TOWEL, "", tuple(letters), 2, seed=0, blind=True)
    file, planned = TrialFile(directory / "trials.jsonl"), asked.save(directory).trials()
    for trial in planned[:3]:
        file.append(Result(trial, "success" if trial.scene < wins[trial.policy] else "failure", "seen"))
    found = read_evaluations(towel)
    assert [str(row.total) for row in read_rows(towel, found)] == ["-", "-"] and not unmatched_policies(towel, found)
    (step,) = missing_trials(towel, found)
    assert step.about.startswith("fold towel: 3 of 4 trials are judged.")
    assert step.command == (
        f"ptr evaluate --task {TOWEL} --trials 2 --checkpoint bc-s0={runs['bc']} --checkpoint ptr-s0={runs['ptr']} "
        f"--out {directory}"
    )
    file.append(Result(planned[3], "success" if planned[3].scene < wins[planned[3].policy] else "failure", "seen"))
    found = read_evaluations(towel)
    assert [str(row.total) for row in read_rows(towel, found)] == ["2/2", "0/2"] and not missing_trials(towel, found)


def test_a_cell_whose_actions_were_chosen_in_two_ways_is_refused(towel: TablePlan) -> None:
    path = str(towel.run(towel.methods[0], TOWEL, 0) / "checkpoints" / "step_00022500")
    evaluation(towel.evaluations / "x", {"a": path}, {"a": 1}, action_choice="mode")
    evaluation(towel.evaluations / "y", {"a": path}, {"a": 1}, action_choice="sample")
    with pytest.raises(PtrError, match="ptr, fold towel, seed 0 was tried with actions chosen by mode, and by sample"):
        read_rows(towel, read_evaluations(towel))


def test_a_folder_without_trials_is_refused(towel: TablePlan, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PtrError, match="empty holds no trials of `ptr evaluate`"):
        read_evaluations(dataclasses.replace(towel, trials_from=(tmp_path / "empty",)))
