# SPDX-License-Identifier: Apache-2.0
"""The best way of choosing actions, by trials in validation scenes."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from ptr_bringup.sim.scene_sampling import scene_seed
from ptr_models.common.errors import PtrError
from ptr_policy.bulk import decoding as module
from ptr_policy.bulk.decoding import Decoding, best_decoding, decodings_of, report, show, try_decodings
from ptr_policy.bulk.evaluate import BulkTrial

SHIPPED = Path(__file__).parents[3] / "models/checkpoints/ptr_small"


def trials(successes: int, of: int = 4, steps: int = 20) -> tuple[BulkTrial, ...]:
    return tuple(BulkTrial("put_corn_in_pot", "toykitchen2", i, i < successes, steps, None) for i in range(of))


def test_the_decoding_with_most_successes_is_the_best_and_the_first_among_equals() -> None:
    found = [Decoding("mode", trials(2)), Decoding("sample", trials(3)), Decoding("sample_gripper", trials(3))]
    assert best_decoding(found).name == "sample"


def test_the_report_has_rates_with_their_intervals(capsys: pytest.CaptureFixture[str]) -> None:
    found = [Decoding("mode", trials(0)), Decoding("sample_gripper", trials(4, steps=25))]
    written = report("runs/bc", found)
    assert (written["checkpoint"], written["best"]) == ("runs/bc", "sample_gripper")
    first, second = written["decodings"]
    assert (first["successes"], first["steps"], second["trials"], second["steps"]) == (0, None, 4, 25.0)
    assert second["interval"] == pytest.approx([0.5101, 1.0], abs=1e-4)  # Wilson: 4 / (4 + 1.96^2)
    assert len(second["scenes"]) == 4
    show(found)
    assert "best: sample_gripper" in capsys.readouterr().out


def test_every_decoding_meets_the_same_scenes_which_no_trial_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def evaluate(options: argparse.Namespace, purpose: str) -> list[BulkTrial]:
        asked.append((options.choice, purpose))
        return list(trials(1))

    monkeypatch.setattr(module, "evaluate", evaluate)
    options = argparse.Namespace(checkpoint=SHIPPED, decodings=[], choice="", seed=0)
    assert [item.name for item in try_decodings(options)] == [
        "mode",
        "sample",
        "sample_gripper",
        "argmax_q",
        "softmax_q",
    ]
    assert {purpose for _, purpose in asked} == {"validation"}
    assert not {scene_seed("validation", 0, i) for i in range(50)} & {scene_seed("trial", 0, i) for i in range(50)}


def test_a_decoding_that_is_not_possible_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_critic", lambda _: False)
    assert decodings_of(SHIPPED) == ["mode", "sample", "sample_gripper"]
    with pytest.raises(PtrError, match="'argmax_q' is not possible.*possible: mode, sample, sample_gripper"):
        decodings_of(SHIPPED, ["argmax_q"])
