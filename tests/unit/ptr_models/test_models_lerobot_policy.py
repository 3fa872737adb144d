# SPDX-License-Identifier: Apache-2.0
"""A policy of LeRobot as the suite sees it: what fits, what is refused, what it is given and what comes back.

LeRobot itself is not needed here: a policy stands in for one of its own; `test_models_lerobot_trained.py` runs those.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ptr_models import cli
from ptr_models.common.errors import PtrError
from ptr_models.contract import OBJECT_FEATURES, Contract
from ptr_models.inference import lerobot_policy
from ptr_models.inference.lerobot_features import cameras_of, contract_of, read_features, trained_contract
from ptr_models.inference.lerobot_loading import Loaded, policy_folder
from ptr_models.inference.loading import load_policy

STATE, ENVIRONMENT, FRONT, WRIST = (
    "observation.state",
    "observation.environment_state",
    "observation.images.front",
    "observation.images.wrist",
)
BEFORE, AFTER = "policy_preprocessor.json", "policy_postprocessor.json"


def rows(count: int, kind: str = "STATE") -> dict[str, Any]:
    return {"type": kind, "shape": [count]}


def images(height: int = 48, width: int = 64) -> dict[str, Any]:
    return {"type": "VISUAL", "shape": [3, height, width]}


def write(folder: Path, inputs: dict[str, Any], action: int = 7, **config: Any) -> Path:
    """The files of a policy, with weights that nobody reads here."""
    folder.mkdir(parents=True, exist_ok=True)
    outputs = {"action": {"type": "ACTION", "shape": [action]}}
    said = {"type": "act", "input_features": inputs, "output_features": outputs} | config
    (folder / "config.json").write_text(json.dumps(said))
    (folder / "model.safetensors").write_bytes(b"")
    for name in (BEFORE, AFTER):
        (folder / name).write_text(json.dumps({"name": name, "steps": [{"registry_name": "device_processor"}]}))
    return folder


class Policy:
    """Predicts what it saw: dx is the mean of its images, dy the first number of the state, dz the step."""

    def __init__(self, steps: int = 6, history: int = 1, **config: Any) -> None:
        self.config = SimpleNamespace(n_obs_steps=history, **config)
        self.steps, self.history, self.seen, self.tasks = steps, history, [], []
        self.reset()

    def reset(self) -> None:
        self.kept: deque[dict[str, Any]] = deque(maxlen=self.history)

    def predict_action_chunk(self, batch: dict[str, Any]) -> torch.Tensor:
        if self.history > 1:
            raise RuntimeError("stack expects a non-empty TensorList")
        return self._actions(batch)

    def select_action(self, batch: dict[str, Any]) -> torch.Tensor:
        self.kept.append(batch)
        action = self._actions(batch)[:, 0].clone()
        action[:, 2] = 0.001 * len(self.kept)
        return action

    def _actions(self, batch: dict[str, Any]) -> torch.Tensor:
        self.seen.append(batch)
        actions = torch.zeros(1, self.steps, 7)
        views = [value.mean() for name, value in batch.items() if "image" in name]
        actions[..., 0] = 0.01 * torch.stack(views).mean() if views else 0.0
        actions[..., 1] = batch[STATE][0, 0]
        actions[..., 2] = 0.001 * torch.arange(self.steps)
        return actions


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[Policy]:
    """The policies that LeRobot would load, the next one first."""
    ready: list[Policy] = []

    def load(folder: Path, device: str) -> Loaded:
        policy = ready.pop(0)
        policy.device = device
        return Loaded(policy, lambda seen: policy.tasks.append(seen.pop("task")) or seen, lambda action: 2.0 * action)

    monkeypatch.setattr(lerobot_policy, "load", load)
    return ready


def test_images_state_and_task_arrive_under_the_policys_names_and_its_chunk_is_carried_out(
    tmp_path: Path, loaded: list[Policy]
) -> None:
    write(tmp_path / "act", {STATE: rows(7), FRONT: images(), WRIST: images(24, 32)})
    policy = Policy(n_action_steps=3)
    loaded.append(policy)
    text = f"policy: act\nimages: {{over_shoulder: {FRONT}, wrist: {WRIST}}}\n"
    (tmp_path / "act.yaml").write_text(text)
    served = load_policy(f"lerobot:{tmp_path / 'act.yaml'}", "cuda:1")
    assert policy.device == "cuda:1"
    contract = served.contract
    assert [(camera.name, camera.height, camera.width) for camera in contract.cameras] == [
        ("over_shoulder", 48, 64),
        ("wrist", 48, 64),
    ]
    image = np.full(contract.image_shape, 255, np.uint8)
    image[..., 1] = 51  # the green of over_shoulder
    image[..., 3:] = 102  # wrist
    state = np.linspace(0.1, 0.7, 7, dtype=np.float32)
    actions = [served.act(image, state, "put_corn_in_pot").action for _ in range(4)]
    seen = policy.seen[-1]
    assert set(seen) == {STATE, FRONT, WRIST} and policy.tasks[-1] == "put corn in pot"
    assert seen[FRONT].shape == (1, 3, 48, 64) and seen[WRIST].shape == (1, 3, 24, 32)
    assert seen[FRONT][0, :, 5, 5].tolist() == pytest.approx([1.0, 0.2, 1.0])
    assert seen[WRIST].unique().tolist() == pytest.approx([0.4])
    assert seen[STATE][0].tolist() == pytest.approx(state.tolist())
    mean = (2.2 / 3 + 0.4) / 2
    assert actions[0][:2].tolist() == pytest.approx([2 * 0.01 * mean, 2 * 0.1])  # after the post-processor
    assert [round(float(action[2]), 4) for action in actions] == [0.0, 0.002, 0.004, 0.0]  # n_action_steps is 3
    assert len(policy.seen) == 3  # one to try it, then two chunks


@pytest.mark.parametrize(
    ("config", "text", "expected"),
    [
        ({"n_action_steps": 6}, "", [0, 2, 4, 6, 8, 10]),
        ({"n_action_steps": 6}, "lead: 2\n", [0, 2, 4, 6, 4, 6]),  # 4 of 6 are left to carry out
        ({"n_action_steps": 6}, "execute: 2\n", [0, 2, 0, 2, 0, 2]),
        ({"n_action_steps": 1, "temporal_ensemble_coeff": 0.0}, "", [0, 1, 2, 3, 4, 5]),  # the mean of 0, 2, ... 2k
    ],
)
def test_chunks_are_carried_out_as_the_policy_or_its_file_says(
    tmp_path: Path, loaded: list[Policy], config: dict[str, Any], text: str, expected: list[int]
) -> None:
    write(tmp_path / "act", {STATE: rows(7), FRONT: images()})
    (tmp_path / "act.yaml").write_text(f"policy: act\n{text}")
    loaded.append(Policy(**config))
    served = load_policy(f"lerobot:{tmp_path / 'act.yaml'}")
    image, state = np.zeros(served.contract.image_shape, np.uint8), np.zeros(7, np.float32)
    heights = [float(served.act(image, state, "a").action[2]) for _ in range(6)]
    assert [round(1000 * height, 3) for height in heights] == expected
    served.close()


def test_a_policy_that_keeps_a_history_is_asked_in_each_step_and_forgets_between_episodes(
    tmp_path: Path, loaded: list[Policy]
) -> None:
    folder = write(tmp_path / "diffusion", {STATE: rows(7), FRONT: images()}, type="diffusion")
    policy = Policy(history=2, n_action_steps=8)
    loaded.append(policy)
    served = load_policy(f"lerobot:{folder}")
    image, state = np.zeros(served.contract.image_shape, np.uint8), np.zeros(7, np.float32)
    assert [round(float(served.act(image, state, "a").action[2]), 4) for _ in range(3)] == [0.002, 0.004, 0.004]
    served.reset()
    assert float(served.act(image, state, "a").action[2]) == pytest.approx(0.002)
    with pytest.raises(PtrError, match="one action per step, not 4 candidates; use choice mode"):
        served.act(image, state, "a", candidates=4)
    (tmp_path / "d.yaml").write_text("policy: diffusion\nlead: 2\n")
    loaded.append(Policy(history=2))
    with pytest.raises(PtrError, match="a diffusion policy .* step by step; leave out lead"):
        load_policy(f"lerobot:{tmp_path / 'd.yaml'}")


def test_a_policy_that_sees_objects_gets_them_apart_from_the_state(tmp_path: Path, loaded: list[Policy]) -> None:
    folder = write(tmp_path / "act", {STATE: rows(7), ENVIRONMENT: rows(len(OBJECT_FEATURES), "ENV")})
    policy = Policy()
    loaded.append(policy)
    served = load_policy(f"lerobot:{folder}")
    assert served.contract == Contract().low_dim()
    served.act(None, np.arange(17, dtype=np.float32), "a")
    assert policy.seen[-1][STATE].tolist() == [list(range(7))]
    assert policy.seen[-1][ENVIRONMENT].tolist() == [list(range(7, 17))]


@pytest.mark.parametrize(
    ("inputs", "action", "told", "sentence"),
    [
        ({STATE: rows(7), FRONT: images()}, 14, {}, "action has 14 numbers; the contract's has 7: dx, dy, dz"),
        ({STATE: rows(6), FRONT: images()}, 7, {}, "state has 6 numbers; the contract's has 7: x, y, z"),
        ({STATE: rows(7), ENVIRONMENT: rows(2, "ENV")}, 7, {}, "environment_state has 2 numbers; .* 10: item_x"),
        ({STATE: rows(7)}, 7, {}, "neither images nor poses"),
        ({STATE: rows(7), FRONT: images(), "observation.effort": rows(6)}, 7, {}, "needs observation.effort, which"),
        ({STATE: rows(7), FRONT: images()}, 7, {"over_shoulder": "observation.images.top"}, "no image 'observation.im"),
        ({STATE: rows(7), FRONT: images(), WRIST: images()}, 7, {"wrist": WRIST}, "also sees observation.images.front"),
        ({STATE: rows(7), FRONT: {"type": "VISUAL", "shape": [1, 8, 8]}}, 7, {}, r"has the shape \[1, 8, 8\]"),
        ({STATE: {"type": "STATE"}}, 7, {}, "shape of observation.state is None"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(
    tmp_path: Path, inputs: dict[str, Any], action: int, told: dict[str, str], sentence: str
) -> None:
    folder = write(tmp_path / "act", inputs, action)
    with pytest.raises(PtrError, match=sentence):
        features = read_features(folder)
        contract_of(features, cameras_of(features, told, Contract()), Contract())


def test_a_camera_is_told_by_its_name_and_a_single_one_takes_the_contracts(tmp_path: Path) -> None:
    usual = Contract()
    one = read_features(write(tmp_path / "one", {STATE: rows(7), FRONT: images()}))
    two = read_features(write(tmp_path / "two", {STATE: rows(7), FRONT: images(), WRIST: images()}))
    assert cameras_of(one, {}, usual) == {"over_shoulder": FRONT}
    assert cameras_of(one, {}, usual.with_cameras(["front"])) == {"front": FRONT}
    assert cameras_of(two, {}, usual) == {"front": FRONT, "wrist": WRIST}
    vla = read_features(write(tmp_path / "vla", {STATE: rows(7), FRONT: images(), WRIST: images()}, type="smolvla"))
    assert cameras_of(vla, {"over_shoulder": FRONT}, usual) == {"over_shoulder": FRONT}  # fills in what is missing


def info(root: Path, **values: Any) -> Path:
    """A data set as far as names and rate are asked for."""
    (root / "meta").mkdir(parents=True)
    state = {"dtype": "float32", "shape": [7], "names": ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]}
    action = {"dtype": "float32", "shape": [7], "names": ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"]}
    features = {"observation.state": state, "action": action | values.pop("action", {})}
    (root / "meta/info.json").write_text(json.dumps({"fps": 10, "robot_type": "arm", "features": features} | values))
    return root


def test_rate_and_names_are_those_of_the_data_set_that_the_training_names(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write(tmp_path / "act", {STATE: rows(7), FRONT: images()})
    with caplog.at_level(logging.WARNING):
        assert trained_contract(folder, None) == Contract()
    assert "name the data set in the policy's file" in caplog.text
    root = info(tmp_path / "set")
    (folder / "train_config.json").write_text(json.dumps({"dataset": {"repo_id": "a/b", "root": str(root)}}))
    assert trained_contract(folder, None) == Contract(control_rate=10.0)
    (root / "meta/ptr.json").write_text(json.dumps({"contract": Contract(control_rate=20.0).to_dict()}))
    assert trained_contract(folder, None).control_rate == 20.0


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["waist", "shoulder", "elbow", "forearm", "wrist", "rotate", "gripper"], "holds joints .*`contract: FILE"),
        (["gripper", "dx", "dy", "dz", "droll", "dpitch", "dyaw"], "in another order"),
    ],
)
def test_a_policy_of_other_actions_of_as_many_numbers_is_refused(
    tmp_path: Path, names: list[str], sentence: str
) -> None:
    root = info(tmp_path / "set", action={"names": names})
    with pytest.raises(PtrError, match=sentence):
        trained_contract(write(tmp_path / "act", {}), root)


def test_a_folder_that_is_not_whole_is_refused_and_never_looked_for_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="lerobot/act_aloha holds no LeRobot policy .*on this machine"):
        load_policy("lerobot:lerobot/act_aloha")
    run = tmp_path / "run"
    folder = write(run / "checkpoints/last/pretrained_model", {STATE: rows(7), FRONT: images()})
    assert policy_folder(run) == policy_folder(run / "checkpoints/last") == folder
    (folder / AFTER).unlink()
    with pytest.raises(PtrError, match="has no policy_postprocessor.json, .* since 0.4; convert"):
        policy_folder(run)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    with pytest.raises(PtrError, match="has no model.safetensors"):
        policy_folder(run)


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (
            {"class": "subprocess.Popen", "config": {"args": ["true"]}},
            "names 'subprocess.Popen', which is not a LeRobot step",
        ),
        ({"registry_name": "normalizer_processor", "state_file": "absent.safetensors"}, "names the file 'absent"),
        ({"registry_name": "normalizer_processor", "state_file": "../out.safetensors"}, "which is not in"),
        ("no step", "lists no steps"),
    ],
)
def test_a_processor_that_would_run_code_or_fetch_a_file_is_refused(tmp_path: Path, step: Any, sentence: str) -> None:
    folder = write(tmp_path / "act", {STATE: rows(7), FRONT: images()})
    (tmp_path / "out.safetensors").write_bytes(b"")
    (folder / BEFORE).write_text(json.dumps({"name": "a", "steps": [step]}))
    with pytest.raises(PtrError, match=sentence):
        policy_folder(folder)


def test_without_lerobot_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lerobot", None)
    for name in [name for name in sys.modules if name.startswith("lerobot.")]:
        monkeypatch.delitem(sys.modules, name)
    folder = write(tmp_path / "act", {STATE: rows(7), FRONT: images()})
    words = ["sim", "evaluate", "--checkpoint", f"lerobot:{folder}", "--task", "put_corn_in_pot"]
    assert cli.main([*words, "--kitchen", "toykitchen2"]) == 2
    said = capsys.readouterr().err
    assert "needs LeRobot, which is not installed: pip install 'ptr_models[lerobot-policies]'" in said
    assert len(said.strip().splitlines()) == 1
