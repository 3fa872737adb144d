# SPDX-License-Identifier: Apache-2.0
"""Values along demonstrations: the trend, the choice of a checkpoint, and the figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.analysis.figures import q_figure, read_metrics, training_figure, trend_figure
from ptr_models.analysis.values import (
    Candidate,
    TrendScore,
    ValueCurve,
    choose,
    report,
    trend,
    trend_score,
    value_curves,
)
from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_models.common.plotting import save
from ptr_models.contract import Contract
from ptr_models.replay import open_episodes


def curve(q: list[float]) -> ValueCurve:
    values = np.array([q, np.array(q) + 0.5])
    return ValueCurve("episode", "put_carrot_in_pot", values, values[0], values[0])


def candidate(step: int, score: float, share: float = 1.0) -> Candidate:
    return Candidate(Path(f"step_{step}"), step, step - 100, TrendScore(score, share, ()))


def test_a_rising_curve_has_correlation_one_and_no_violation() -> None:
    found = trend(np.array([-17.0, -3.0, 5.0, 10.0]))
    assert (found.spearman, found.kendall, found.rising, found.violation) == pytest.approx((1, 1, 1, 0))
    assert found.gain == 27.0


def test_figures_of_a_curve_that_falls_once() -> None:
    found = trend(np.array([0.0, 2.0, 1.0, 4.0]))
    assert found.spearman == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert found.kendall == pytest.approx(4 / 6)  # five pairs rise, one falls
    assert found.rising == pytest.approx(2 / 3)
    assert found.violation == pytest.approx(0.25)
    assert found.slope == pytest.approx(1.1)


@settings(deadline=None)
@given(st.lists(st.floats(-25, 13), min_size=2, max_size=30))
def test_the_trend_is_a_correlation_and_reverses_with_time(q: list[float]) -> None:
    forward, backward = trend(np.array(q)), trend(np.array(q[::-1]))
    assert -1.0 - 1e-9 <= forward.spearman <= 1.0 + 1e-9
    assert forward.spearman == pytest.approx(-backward.spearman, abs=1e-9)
    assert forward.kendall == pytest.approx(-backward.kendall, abs=1e-9)


def test_a_constant_curve_does_not_rise() -> None:
    assert trend(np.full(5, 3.0)).spearman == 0.0


def test_a_score_needs_a_high_mean_and_few_bad_demonstrations() -> None:
    good, flat = curve([0, 1, 2, 3, 4]), curve([0, 0, 0, 0, 0])
    assert trend_score([good] * 10).accepted
    mixed = trend_score([good] * 19 + [flat])
    assert (mixed.score, mixed.share) == pytest.approx((0.95, 0.95)) and mixed.accepted
    assert not trend_score([good] * 7 + [flat] * 3).accepted


def test_the_earliest_rising_checkpoint_is_chosen() -> None:
    found = [candidate(400, 0.97), candidate(200, 0.5), candidate(300, 0.92)]
    assert choose(found).step == 300
    assert choose(found, earliest=250).step == 400


def test_a_checkpoint_before_the_earliest_allowed_is_not_chosen_however_high_its_score() -> None:
    found = [candidate(150, 0.99), candidate(250, 0.3), candidate(350, 0.4)]
    assert choose(found, earliest=100).step == 350
    assert choose(found, earliest=1000).step == 350  # a short run: its last one


def test_without_a_rising_checkpoint_the_best_is_chosen_and_of_equals_the_earlier() -> None:
    assert choose([candidate(300, 0.6), candidate(200, 0.7), candidate(400, 0.7)]).step == 200


class _ConstantValues:
    """Q is the first action component; modes are zero."""

    chunk = 1

    def values(self, images: np.ndarray, states: np.ndarray, actions: np.ndarray, task: str) -> np.ndarray:
        return np.stack([actions[:, 0], actions[:, 0] + 1.0])

    def modes(self, images: np.ndarray, states: np.ndarray, task: str) -> np.ndarray:
        return np.zeros((len(images), 7), dtype=np.float32)


def test_value_curves_use_the_demonstrated_actions_and_returns(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    make_episode(0, steps=5)
    make_episode(1, steps=12, outcome="failure")
    data = open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)
    success, failure = value_curves(_ConstantValues(), data)
    np.testing.assert_allclose(success.mc_return, [7.256, 8.6, 10, 10, 10], rtol=1e-6)
    np.testing.assert_allclose(failure.mc_return, np.full(12, -25.0), rtol=1e-5)
    scaled = np.clip(data.episode(0)[2][:, 0] / 0.05, -0.99, 0.99)
    np.testing.assert_allclose(success.pessimistic, scaled, atol=1e-5)
    assert (success.q_mode == 0).all()


def test_figures_are_drawn_and_written(tmp_path: Path) -> None:
    entries = [{"step": n, "bellman_error": 20.0 / n, "q_data": -5.0 + n, "actor_mse": 0.1 / n} for n in range(1, 9)]
    figures = {
        "q": q_figure([curve([0, 1, 2]), curve([0, 2, 1, 3])]),
        "trend": trend_figure([1, 2], [0.3, 0.95], chosen=2),
        "training": training_figure(entries, switch=4),
    }
    assert len([axis for axis in figures["training"].axes if axis.get_visible()]) == 3
    for name, figure in figures.items():
        assert save(figure, tmp_path / f"{name}.png").stat().st_size > 5000


def test_an_image_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="cannot be written"):
        save(trend_figure([1], [0.5]), tmp_path / "image.unknown")


def test_metrics_that_a_crash_cut_off_are_still_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"step": 1}) + '\n{"step": 2, "q_')
    assert read_metrics(tmp_path) == [{"step": 1}]
    for damaged in (b'{"step"', b'{"loss": 1}', b'{"step": "\xff"}'):
        (tmp_path / "metrics.jsonl").write_bytes(damaged + b'\n{"step": 2}\n')
        with pytest.raises(PtrError, match="line 1"):
            read_metrics(tmp_path)


def test_a_run_without_metrics_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "training", str(tmp_path)]) == 2
    assert "metrics.jsonl" in capsys.readouterr().err
    assert main(["analyze", "choose", str(tmp_path), "--run", str(tmp_path)]) == 2
    assert "no checkpoints" in capsys.readouterr().err


def test_the_values_are_written_with_their_checkpoint_as_of_the_smallest_critic() -> None:
    q = np.array([[-2.0, -1.0, 0.5], [-1.5, -1.25, 0.75]])
    curve = ValueCurve("episode_1", "put_carrot_in_pot", q, np.array([-1.0, 0.0, 1.0]), np.zeros(3))
    found = report([curve], "runs/carrot")
    assert found["checkpoint"] == "runs/carrot"
    (demonstration,) = found["demonstrations"]
    assert (demonstration["name"], demonstration["q"]) == ("episode_1", [-2.0, -1.25, 0.5])
    json.dumps(found, allow_nan=False)


def test_an_analysis_that_is_interrupted_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ptr_models.analysis.figures.read_metrics", interrupt)
    assert main(["analyze", "training", str(tmp_path), "--out", str(tmp_path / "curves.png")]) == 130
    assert "interrupted: nothing is written yet; the same command starts again" in capsys.readouterr().err
