# SPDX-License-Identifier: Apache-2.0
"""Small episodes for the tests of the learner."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptr_models.common.rotations import DEFAULT_ROTATION, matrix_from_rpy
from ptr_models.contract import Contract
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_models.networks import encoder


@pytest.fixture(autouse=True)
def without_fast_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in float32 on every processor; tests of bfloat16 say so themselves."""
    monkeypatch.setattr(encoder, "_has_fast_bf16", lambda _: False)


START = 1_700_000_000 * 10**9
"""ns."""


def random_trajectory(seed: int = 0, steps: int = 12, size: tuple[int, int] = (24, 32)) -> tuple[Trajectory, Any]:
    """A trajectory of random motion within the action box, and its raw actions (steps, 7)."""
    generator = np.random.default_rng(seed)
    low, high = np.array(Contract().action_low), np.array(Contract().action_high)
    actions = generator.uniform(low, high, (steps, 7))
    coarse = generator.integers(0, 256, (steps + 1, size[0] // 8, size[1] // 8, 3), dtype=np.uint8)
    trajectory = Trajectory.from_actions(
        actions,
        images={"over_shoulder": coarse.repeat(8, axis=1).repeat(8, axis=2)},
        measured_position=np.array([0.3, 0, 0.15]) + generator.normal(0, 0.02, (steps + 1, 3)),
        measured_rotation=matrix_from_rpy(generator.normal(0, 0.2, (steps + 1, 3))) @ DEFAULT_ROTATION,
        gripper=generator.uniform(0, 1, steps + 1),
        joint_positions=generator.normal(0, 0.5, (steps + 1, 6)),
        start_ns=START + seed * 10**12,
    )
    return trajectory, actions


@pytest.fixture(scope="session")
def make_trajectory() -> Callable[..., tuple[Trajectory, Any]]:
    """See `random_trajectory`."""
    return random_trajectory


@pytest.fixture
def make_episode(tmp_path: Path) -> Callable[..., Path]:
    """Write an episode into tmp_path/bags: make_episode(seed, steps=…, **metadata) -> its folder."""

    def make(seed: int = 0, steps: int = 12, root: Path | None = None, **metadata: Any) -> Path:
        values = {"task": "put_carrot_in_pot", "outcome": "success"} | metadata
        name = values.pop("episode_id", f"episode_{seed:04d}")
        return write_episode(
            root or tmp_path / "bags", EpisodeMetadata(name, **values), random_trajectory(seed, steps)[0]
        )

    return make


@pytest.fixture(scope="session")
def training_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once for all tests of training."""
    return tmp_path_factory.mktemp("training")


@pytest.fixture
def training_bags(make_episode: Callable[..., Path], training_folder: Path) -> Any:
    """Two pre-training tasks with two episodes each, and two demonstrations of a new task."""
    from ptr_models.training.data import Bags

    prior, target = training_folder / "prior", training_folder / "target"
    if not target.exists():
        for seed in range(4):
            make_episode(seed, root=prior, task=("put_carrot_in_pot", "take_lime_out_of_pot")[seed % 2])
        for seed in (10, 11):
            make_episode(seed, root=target, task="put_knife_in_pot")
    return Bags((prior,), (target,), training_folder / "cache")


@pytest.fixture
def trained(training_bags: Any, training_folder: Path, tmp_path: Path) -> Path:
    """A copy of a run of four updates of pre-training; its checkpoint."""
    from training_runs import SMALL, prior_only

    from ptr_models.training.run_setup import start_pretraining

    if not (training_folder / "run").exists():
        start_pretraining(SMALL, prior_only(training_bags), training_folder / "run").run()
    return shutil.copytree(training_folder / "run", tmp_path / "trained") / "checkpoints" / "step_00000004"
