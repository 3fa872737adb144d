# SPDX-License-Identifier: Apache-2.0
"""What the rule that chooses a checkpoint is worth, from scores and successes that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_models.cli import main
from ptr_models.episodes.episode_discovery import find_bags
from ptr_models.episodes.errors import EpisodeError
from ptr_models.training import data
from ptr_policy.bulk.rule import CheckpointResult, draw, rule_result, show

RUN = [
    CheckpointResult(100, 0.20, False, 2, 20),
    CheckpointResult(200, 0.93, True, 16, 20),
    CheckpointResult(300, 0.95, True, 18, 20),
    CheckpointResult(400, 0.91, True, 14, 20),
]


def test_regret_and_mean_of_a_choice() -> None:
    found = rule_result(RUN, chosen=200)
    assert (found.rate, found.best, found.mean) == pytest.approx((0.8, 0.9, 0.625))
    assert found.regret == pytest.approx(0.1)


def test_scores_in_the_order_of_success_have_correlation_one() -> None:
    assert rule_result(RUN, 200).correlation == pytest.approx(1.0)
    backwards = [CheckpointResult(item.step, -item.score, False, item.successes, 20) for item in RUN]
    assert rule_result(backwards, 200).correlation == pytest.approx(-1.0)


def test_a_constant_series_has_no_correlation() -> None:
    assert (
        rule_result(
            [CheckpointResult(100, 0.9, True, 20, 20), CheckpointResult(200, 0.95, True, 20, 20)], 100
        ).correlation
        is None
    )
    assert rule_result(RUN[:1], 100).correlation is None


def test_the_table_and_the_image_say_what_was_chosen(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = rule_result(RUN, 200)
    show(RUN, found)
    printed = capsys.readouterr().out
    assert "16/20" in printed and "chosen" in printed and "regret 10 points" in " ".join(printed.split())
    assert draw(RUN, found, tmp_path / "rule.png").stat().st_size > 5000


def test_demonstrations_that_are_left_out_have_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checkpoint = Path(__file__).resolve().parents[3] / "models" / "checkpoints" / "ptr_small"
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "step_00000001").symlink_to(checkpoint)
    for name in ("good", "bad"):
        (tmp_path / "bags" / name).mkdir(parents=True)
        (tmp_path / "bags" / name / "a.mcap").touch()
    found: list[str] = []

    def stop(folders: list[Path], contract: object, *, exclusion: object, **_: object) -> None:
        found.extend(find_bags(folders, exclusion))
        raise EpisodeError("enough")

    monkeypatch.setattr(data, "open_episodes", stop)
    command = ["sim", "rule", str(tmp_path), "--target", str(tmp_path / "bags"), "--exclude", "bad"]
    assert main([*command, "--task", "put_carrot_on_plate", "--kitchen", "toykitchen1"]) == 2
    assert found == [str(tmp_path / "bags" / "good")]
