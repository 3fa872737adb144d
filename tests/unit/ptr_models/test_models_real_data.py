# SPDX-License-Identifier: Apache-2.0
"""Pre-training on real WidowX episodes, alone and together with others, for a few updates."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bridge_sample import SAMPLE, needs_sample
from numpy.testing import assert_allclose

from ptr_models.cli import main
from ptr_models.contract import Contract
from ptr_models.replay import Sampler, open_episodes

pytestmark = needs_sample
QUICK = ["schedule.log_every=1", "batch_size=16", "algorithm.bc_steps=0"]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as bags."""
    out = tmp_path_factory.mktemp("bridge")
    assert main(["import", "bridge", str(SAMPLE), "--out", str(out)]) == 0
    return out


def train(data: list[Path], folder: Path) -> list[dict[str, float]]:
    """Three updates of the whole method on a small network; returns what was logged of each."""
    words = [
        "train",
        "pretrain",
        "--preset",
        "ptr_small",
        "--steps",
        "3",
        "--threads",
        "1",
        "--data",
        *map(str, data),
    ]
    words += ["--out", str(folder / "run"), "--cache", str(folder / "cache")]
    assert main([*words, *(word for item in QUICK for word in ("--set", item))]) == 0
    return [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]


def test_real_episodes_are_labelled_as_successes(bridge: Path, tmp_path: Path) -> None:
    data = open_episodes([bridge], Contract(), root=tmp_path, progress=False)
    assert (len(data), data.transitions) == (25, 250)
    batch = Sampler(data, {name: index for index, name in enumerate(data.task_names)}).gather(np.arange(10))
    assert_allclose(batch.reward, [-1] * 7 + [10] * 3)
    assert_allclose(batch.mask, [1] * 7 + [0] * 3)
    assert batch.mc_return[0] == pytest.approx(1.30, abs=6e-3)


@pytest.mark.parametrize("together", [False, True], ids=["alone", "with_other_bags"])
def test_training_on_real_episodes_has_finite_losses_and_values_in_range(
    bridge: Path, tmp_path: Path, make_episode: Callable[..., Path], together: bool
) -> None:
    data = [bridge]
    if together:
        data.append(make_episode(0, steps=10, root=tmp_path / "sim").parent)
    logged = train(data, tmp_path)
    assert len(logged) == 3
    assert all(math.isfinite(value) for line in logged for value in line.values() if isinstance(value, float))
    assert all(-25 <= line["q_data"] <= 13 for line in logged)
