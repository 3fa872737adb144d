# SPDX-License-Identifier: Apache-2.0
"""The choice of a checkpoint gives its reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ptr_models.analysis import choice as module
from ptr_models.analysis.choice import choose_of_run
from ptr_models.analysis.values import Candidate, TrendScore
from ptr_models.common.errors import PtrError
from ptr_models.training.data import Bags
from ptr_models.training.run_setup import resume
from ptr_models.training.runs import CheckpointError, resolve_checkpoint


@pytest.fixture
def run(trained: Path, training_bags: Bags) -> Path:
    """A run of pre-training with the checkpoints 4, 5 and 6."""
    return goes_on(trained.parent.parent, training_bags)


def goes_on(folder: Path, bags: Bags, *settings: str) -> Path:
    """The run with two updates more, and a checkpoint of each."""
    resume(None, folder, ["schedule.steps=6", "schedule.checkpoint_every=1", *settings], cache=bags.cache).run()
    return folder


@pytest.mark.parametrize(
    ("scores", "earliest", "chosen", "reason"),
    [
        ([0.95, 0.97, 0.99], 0, 4, "it is the earliest whose values rise"),
        ([0.95, 0.97, 0.99], 5, 5, "it is the earliest whose values rise"),
        ([0.5, 0.8, 0.7], 0, 5, "no checkpoint's values rise as they should; its trend score of 0.800 is the best"),
        ([0.95, 0.97, 0.99], 10, 6, "it is the last one, and none has the 10 updates of fine-tuning"),
    ],
)
def test_the_reason_follows_from_the_scores(
    scores: list[float],
    earliest: int,
    chosen: int,
    reason: str,
    run: Path,
    training_bags: Bags,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def score(paths: Sequence[Path], *_: object, **__: object) -> list[Candidate]:
        steps = (4, 5, 6)
        return [
            Candidate(path, step, step, TrendScore(value, 1.0, ()))
            for path, step, value in zip(paths, steps, scores, strict=True)
        ]

    monkeypatch.setattr(module, "score_checkpoints", score)
    found = choose_of_run(run, training_bags.target, earliest=earliest, cache=training_bags.cache)
    assert found.path == run / "checkpoints" / f"step_{chosen:08d}" == resolve_checkpoint(run)
    assert found.reason.startswith(reason)
    lines = str(found).splitlines()
    assert len(lines) == 6 and [line for line in lines if "<- chosen" in line] == [lines[chosen - 3]]


def test_the_last_is_chosen_where_the_actor_has_only_imitated(trained: Path, training_bags: Bags) -> None:
    run = goes_on(trained.parent.parent, training_bags, "algorithm.bc_steps=6")
    found = choose_of_run(run, training_bags.target, earliest=0, cache=training_bags.cache)
    assert found.path == run / "checkpoints" / "step_00000006"
    assert "only imitated" in found.reason and found.candidates == ()


def test_the_only_checkpoint_is_chosen_with_its_score(trained: Path, training_bags: Bags) -> None:
    found = choose_of_run(trained.parent.parent, training_bags.prior, cache=training_bags.cache)
    assert found.path == trained and found.reason == "it is the only one"
    assert -1.0 <= found.candidates[0].trend.score <= 1.0


def test_a_run_without_demonstrations_or_checkpoints_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="without demonstrations of a target task"):
        choose_of_run(trained.parent.parent)
    with pytest.raises(CheckpointError, match="holds no checkpoints"):
        choose_of_run(tmp_path)
