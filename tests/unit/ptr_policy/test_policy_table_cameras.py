# SPDX-License-Identifier: Apache-2.0
"""A table of policies that see several cameras: all its stages see the same ones, from the bags to the trials."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from ptr_bringup.sim.names import teach_names
from ptr_models import cli
from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.contract_cli import contract_from
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import find_episodes, read_episode
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_policy.stages import Stage
from ptr_policy.table.cli import check_cameras, check_targets, plan_from
from ptr_policy.table.judged import missing_trials
from ptr_policy.table.plan import TablePlan, all_stages
from ptr_policy.table.plan_file import with_existing, write_plan
from ptr_policy.table.report import caption

BOTH = ("over_shoulder", "wrist")
CORN, TOWEL = "put_corn_in_pot", "fold_towel"
TINY = ["networks.latent=16", "networks.hidden=[16, 16, 16]", "networks.precision=fp32", "batch_size=4"]


def bag(folder: Path, name: str, cameras: tuple[str, ...], task: str = "put_carrot_on_plate") -> None:
    """A demonstration of a real arm that stands before its cameras."""
    images = {camera: np.full((4, 64, 64, 3), 60 + 90 * k, np.uint8) for k, camera in enumerate(cameras)}
    still = {
        "measured_position": np.tile([0.25, 0.0, 0.2], (4, 1)),
        "measured_rotation": np.tile(np.eye(3), (4, 1, 1)),
        "gripper": np.ones(4),
        "start_ns": 10**18,
    }
    about = EpisodeMetadata(name, task, robot="wx250s", outcome="success", contract=Contract().with_cameras(cameras))
    write_episode(folder, about, Trajectory.from_actions(np.zeros((3, 7)), images=images, **still))


def plan_of(tmp_path: Path, *words: str) -> TablePlan:
    """The plan of a command whose pre-training bags are in `tmp_path/pretraining`."""
    teach_names()
    place = ["--data", str(tmp_path / "pretraining"), "--out", str(tmp_path / "table")]
    return plan_from(cli.build_parser()[0].parse_args(["table", *place, "--methods", "ptr", "bc_target", *words]))


def finish_pretraining(plan: TablePlan) -> None:
    for method in plan.methods:
        place = plan.pretraining(method, 0) / "checkpoints" / "step_00022000"
        place.mkdir(parents=True)
        (place / "checkpoint.json").write_text('{"step": 22000}')


def after(stage: Stage, option: str, count: int = 1) -> list[str]:
    """The words behind an option of a stage's command."""
    begin = list(stage.command).index(option) + 1
    return list(stage.command)[begin : begin + count]


def test_demonstrations_and_policies_have_the_cameras_of_the_pretraining_bags(tmp_path: Path) -> None:
    bag(tmp_path / "pretraining", "a", BOTH)
    plan = plan_of(tmp_path, "--task", CORN)
    assert plan.cameras == BOTH and not plan.is_full
    finish_pretraining(plan)
    stages = {stage.name: stage for stage in all_stages(plan)}
    assert after(stages[f"demonstrate_{CORN}_0"], "--camera", 2) == list(BOTH)
    assert after(stages[f"train_bc_target_{CORN}_0"], "--set") == ["data.cameras=[over_shoulder, wrist]"]
    assert "--set" not in stages[f"train_ptr_{CORN}_0"].command  # its checkpoint says it
    assert "Policies see the cameras over_shoulder and wrist." in caption(plan)
    assert "Policies see" not in caption(dataclasses.replace(plan, cameras=BOTH[:1]))


def test_cameras_that_are_chosen_are_those_of_the_demonstrations_too(tmp_path: Path) -> None:
    bag(tmp_path / "pretraining", "a", BOTH)
    plan = plan_of(tmp_path, "--task", CORN, "--set", "data.cameras=[wrist]", "--set", "batch_size=4")
    assert plan.cameras == ("wrist",)
    assert after(next(all_stages(plan)), "--camera", 2)[0] == "wrist"
    with pytest.raises(PtrError, match="data.cameras is front, but the bags have over_shoulder, wrist"):
        plan_of(tmp_path, "--task", CORN, "--set", "data.cameras=[front]")


def test_every_training_gets_the_present_name_of_a_former_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag(tmp_path / "pretraining", "a", BOTH)
    plan = plan_of(tmp_path, "--task", CORN, "--set", "algorithm.actor_rate=1e-3")
    assert plan.settings == ("algorithm.actor_lr=1e-3",)
    assert capsys.readouterr().err == "algorithm.actor_rate is now called algorithm.actor_lr\n"


def test_own_demonstrations_need_the_cameras_and_are_judged_at_a_robot_with_them(tmp_path: Path) -> None:
    bag(tmp_path / "pretraining", "a", BOTH)
    bag(tmp_path / "towel", "a", BOTH, TOWEL)
    plan = plan_of(tmp_path, "--target", str(tmp_path / "towel"))
    check_targets(plan)
    finish_pretraining(plan)
    place = plan.run(plan.methods[0], TOWEL, 0) / "checkpoints" / "step_00022500"
    place.mkdir(parents=True)
    (place / "checkpoint.json").write_text('{"step": 22500}')
    assert "cameras:=over_shoulder,wrist" in missing_trials(plan, [])[0].command
    assert "cameras:=" not in missing_trials(dataclasses.replace(plan, cameras=BOTH[:1]), [])[0].command
    bag(tmp_path / "towel", "b", BOTH[:1], TOWEL)
    with pytest.raises(PtrError, match="fold_towel does not fit the pre-training bags: .*wrist"):
        check_targets(plan_of(tmp_path, "--target", str(tmp_path / "towel")))


def test_a_camera_that_the_simulator_lacks_is_refused_where_trials_are_simulated(tmp_path: Path) -> None:
    bag(tmp_path / "pretraining", "a", ("over_shoulder", "side_1"))
    with pytest.raises(PtrError, match="has no camera 'side_1', only over_shoulder, wrist; choose cameras with"):
        check_cameras(plan_of(tmp_path, "--task", CORN))
    check_cameras(plan_of(tmp_path, "--task", CORN, "--set", "data.cameras=[over_shoulder]"))
    bag(tmp_path / "towel", "a", ("over_shoulder", "side_1"), TOWEL)
    check_cameras(plan_of(tmp_path, "--target", str(tmp_path / "towel")))


def test_a_table_of_before_had_one_camera(tmp_path: Path) -> None:
    bag(tmp_path / "pretraining", "a", BOTH)
    two = plan_of(tmp_path, "--task", CORN)
    one = dataclasses.replace(two, cameras=BOTH[:1])
    stored = {key: value for key, value in one.to_dict().items() if key != "cameras"}
    write_plan(two.out, stored)
    assert with_existing(one) == one
    with pytest.raises(PtrError, match=r"cameras = \['over_shoulder'\], not \['over_shoulder', 'wrist'\]"):
        with_existing(two)


def test_a_tiny_table_of_two_cameras_from_simulated_bags_to_a_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Policies that have learned nothing: what counts is that each stage takes what the one before it made."""
    bags, out = tmp_path / "bags", tmp_path / "table"
    small = ["--width", "80", "--height", "64", "--manner", "machine", "--jobs", "1"]
    place = ["--task", "put_carrot_on_plate", "--kitchen", "toykitchen1", "--out", str(bags)]
    assert main(["sim", "collect", "--camera", *BOTH, "--episodes", "2", *place, *small]) == 0
    sizes = "--pretraining-steps 3 --finetuning-steps 2 --episodes 1 --trials 1 --validation 0".split()
    settings = [word for setting in TINY for word in ("--set", setting)]
    words = ["--methods", "bc", "--task", CORN, "--manner", "machine", *sizes, *settings]
    assert main(["table", "--data", str(bags), "--out", str(out), *words]) == 0, capsys.readouterr()
    (demonstration,) = find_episodes([out / "demonstrations"])
    recorded = read_episode(demonstration)
    assert tuple(recorded.images) == BOTH and (recorded.images["wrist"] != recorded.images["over_shoulder"]).any()
    run = out / "bc" / f"{CORN}-s0"
    assert contract_from(run) == Contract().with_cameras(BOTH)
    assert len(json.loads((run / "trials-mode.json").read_text())) == 1
    (entry,) = json.loads((out / "results.json").read_text())
    assert (entry["trials"], entry["settings"]["cameras"]) == (1, list(BOTH))
    assert "Policies see the cameras over_shoulder and wrist." in (out / "table.html").read_text()
