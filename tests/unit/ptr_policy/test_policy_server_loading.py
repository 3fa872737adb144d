# SPDX-License-Identifier: Apache-2.0
"""What may be served: the robot's contract, weights that are numbers, a control rate within reach, a device."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract, ContractError
from ptr_models.inference.policy import Policy
from ptr_models.training.devices import DeviceError
from ptr_policy.server.loading import LoadRequest, load
from ptr_policy.server.run import RunOptions, ServerError, rehearse

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration"))
from untrained import TASK, write_checkpoint  # noqa: E402


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("served") / "untrained")


def contract_file(folder: Path, contract: Contract) -> str:
    (folder / "contract.json").write_text(contract.to_json())
    return str(folder / "contract.json")


def test_a_checkpoint_is_loaded_under_the_name_that_was_given(checkpoint: Path, tmp_path: Path) -> None:
    alias = tmp_path / "A"
    alias.symlink_to(checkpoint)
    found = load(LoadRequest(str(alias), new_task="fold_towel"))
    assert (found.name, found.device, found.delay, found.warning) == (str(alias), "cpu", 0.0, "")
    assert found.contract == Contract()
    assert "fold_towel" in found.policy.tasks and TASK in found.policy.tasks


@pytest.mark.parametrize(("rate", "served"), [(0.5, False), (1.0, True), (50.0, True), (50.5, False)])
def test_rates_from_1_to_50_hz_are_served(tmp_path: Path, rate: float, served: bool) -> None:
    contract = Contract(control_rate=rate)
    wanted = LoadRequest(
        str(write_checkpoint(tmp_path / "c", contract)), contract_file=contract_file(tmp_path, contract)
    )
    if served:
        assert load(wanted).contract.period == pytest.approx(1 / rate)
    else:
        with pytest.raises(ServerError, match=f"has a control rate of {rate:g} Hz; 1 to 50 Hz are supported"):
            load(wanted)


def test_another_contract_is_refused_with_both_values(checkpoint: Path, tmp_path: Path) -> None:
    robot = contract_file(tmp_path, replace(Contract(), control_rate=10.0))
    with pytest.raises(ContractError, match=r"control_rate: 5\.0 != 10\.0"):
        load(LoadRequest(str(checkpoint), contract_file=robot))


def test_a_robot_with_more_cameras_serves_a_checkpoint_of_one_and_not_the_other_way_round(
    checkpoint: Path, tmp_path: Path
) -> None:
    both = ("wrist", "over_shoulder")
    assert load(LoadRequest(str(checkpoint), cameras=both)).contract == Contract()
    two = write_checkpoint(tmp_path / "two", Contract().with_cameras(both))
    assert [camera.name for camera in load(LoadRequest(str(two), cameras=both)).contract.cameras] == list(both)
    with pytest.raises(ContractError, match="the robot .*cameras: wrist, over_shoulder != over_shoulder"):
        load(LoadRequest(str(two)))


@pytest.mark.parametrize("part", ["actor", "critic"])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, part: str) -> None:
    broken = write_checkpoint(tmp_path / "nan", nan=f"{part}.")
    with pytest.raises(ServerError, match=f"weights that are not finite \\({part}\\."):
        load(LoadRequest(str(broken)))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_named_and_auto_takes_the_processor(checkpoint: Path) -> None:
    with pytest.raises(DeviceError, match="there is no device 'cuda'"):
        load(LoadRequest(str(checkpoint), device="cuda"))
    assert load(LoadRequest(str(checkpoint), device="auto")).device == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_decides_as_the_processor_does(checkpoint: Path) -> None:
    image, state = np.full((64, 64, 3), 120, np.uint8), np.zeros(7, np.float32)
    here, there = (load(LoadRequest(str(checkpoint), device=device)).policy for device in ("cpu", "cuda"))
    assert np.allclose(here.act(image, state, TASK).scaled, there.act(image, state, TASK).scaled, atol=2e-2)


def test_a_slower_camera_delays_the_observation_and_is_told(checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "latency.yaml"
    file.write_text(yaml.safe_dump({"cameras": {"over_shoulder": 0.15}, "command": 0.05}))
    found = load(LoadRequest(str(checkpoint), latency_file=str(file)))
    assert found.delay == 0.15
    assert found.contract.cameras[0].latency == 0.15
    assert "later than in the training data" in found.warning


def test_a_goal_is_served_to_a_policy_that_takes_one(checkpoint: Path, tmp_path: Path) -> None:
    by_goal = str(write_checkpoint(tmp_path / "by_goal", by_goal_image=True))
    image = tmp_path / "end.png"
    cv2.imwrite(str(image), np.full((48, 64, 3), 200, np.uint8))
    run = RunOptions(TASK, "", max_steps=1, max_holds=1)
    policy = load(LoadRequest(by_goal, goal=str(image))).policy
    assert isinstance(policy, Policy) and policy.goal is not None and (policy.goal == 200).all()
    rehearse(policy, run)
    with pytest.raises(PtrError, match="by_goal has task_conditioning goal_image and needs a goal"):
        rehearse(load(LoadRequest(by_goal)).policy, run)  # loaded, since the goal may come later
    with pytest.raises(PtrError, match="is a goal_image, but the policy .* has task_conditioning one_hot"):
        load(LoadRequest(str(checkpoint), goal=str(image)))
