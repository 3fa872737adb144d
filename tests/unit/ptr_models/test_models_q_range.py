# SPDX-License-Identifier: Apache-2.0
"""The range of Q along demonstrations: what it bounds, and how a checkpoint keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.analysis.choice import choose_of_run
from ptr_models.analysis.q_range import q_range
from ptr_models.cli import main
from ptr_models.inference.policy import Policy
from ptr_models.training.checkpoint import Q_RANGE, CheckpointError, read_checkpoint, write_q_ranges
from ptr_models.training.data import Bags
from ptr_models.training.export import export
from ptr_models.training.q_range import QRange, QRangeError, from_json, to_json
from ptr_models.training.run_setup import resume, start_finetuning

RISING = np.linspace(-8.0, 10.0, 19)  # one unit per step, 18 in all: 3 % of it is 0.54


def command(checkpoint: Path, data: Path, bags: Bags) -> list[str]:
    return ["train", "q-range", str(checkpoint), "--data", str(data), "--cache", str(bags.cache)]


def test_one_curve_bounds_each_step_by_a_second_behind_and_0_6_seconds_ahead() -> None:
    found = q_range([RISING], control_rate=5.0)
    low, high = found.at(9)  # its value is 1; five steps behind it is -4, three ahead 4
    assert (low, high) == pytest.approx((-4.0 - 0.54, 4.0 + 0.54), abs=0.09)  # quantiles of nine values
    assert found.at(0) == pytest.approx((-8.0 - 0.54, -5.0 + 0.54), abs=0.09)
    assert found.at(100) == found.at(23) == pytest.approx((10.0 - 0.54, 10.0 + 0.54))
    assert found.demonstrations == 1


def test_a_policy_that_stops_in_the_middle_leaves_the_range_when_demonstrations_have_ended() -> None:
    found = q_range([RISING, RISING + 0.5, RISING[2:]], control_rate=5.0)
    inside = [found.at(step)[0] <= 1.0 <= found.at(step)[1] for step in range(30)]
    assert inside[9] and inside[12]
    assert not any(inside[18:])


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(st.floats(-20.0, 12.0), min_size=1, max_size=12), min_size=1, max_size=4),
    st.sampled_from([1.0, 5.0, 20.0]),
)
def test_bounds_are_ordered_and_survive_the_file(curves: list[list[float]], rate: float) -> None:
    found = q_range(curves, rate)
    assert all(low <= high for low, high in zip(found.low, found.high, strict=True))
    assert from_json(to_json({"task": found})) == {"task": found}


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-20.0, 12.0), min_size=1, max_size=12))
def test_a_demonstration_is_within_its_own_range(curve: list[float]) -> None:
    """The 1 % quantile of at most nine values is less than 8 % of their distance inside; the slack gives 3 % back."""
    found = q_range([curve], 5.0)
    room = 0.05 * np.ptp(curve) + 1e-3
    for step, value in enumerate(curve):
        low, high = found.at(step)
        assert low - room <= value <= high + room


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"a": 1}', '{"a": {"low": [1], "high": [], "demonstrations": 1}}']
    + [
        '{"a": {"low": [NaN], "high": [1], "demonstrations": 1}}',
        '{"a": {"low": [2], "high": [1], "demonstrations": 1}}',
    ],
)
def test_a_malformed_file_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(QRangeError) as caught:
        from_json(text)
    assert "\n" not in str(caught.value)


def test_the_command_adds_ranges_and_the_checkpoint_stays_whole(
    trained: Path, training_bags: Bags, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_checkpoint(trained)
    assert main(command(trained, training_bags.prior[0], training_bags)) == 0
    assert capsys.readouterr().out.count("(2 demonstrations)") == 2
    after = read_checkpoint(trained)
    assert set(after.q_ranges) == {"put_carrot_in_pot", "take_lime_out_of_pot"}
    assert replace(after, q_ranges={}, files=before.files) == before
    assert after.files == before.files | {Q_RANGE}
    policy = Policy.load(trained)
    assert policy.q_range("put_carrot_in_pot") == after.q_ranges["put_carrot_in_pot"]
    assert len(after.q_ranges["put_carrot_in_pot"].low) == 12 + 5
    (trained / Q_RANGE).write_text("{}")
    with pytest.raises(CheckpointError, match="q_range.json is damaged"):
        read_checkpoint(trained)


def test_data_without_known_tasks_are_refused(
    trained: Path, training_bags: Bags, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(trained, training_bags.target[0], training_bags)) == 2
    assert "no successful episode of a task" in capsys.readouterr().err


def test_ranges_of_other_tasks_stay_and_an_exported_checkpoint_has_them(trained: Path, tmp_path: Path) -> None:
    first, second = QRange((-1.0,), (1.0,), 3), QRange((-2.0, 0.0), (1.0, 1.0), 4)
    write_q_ranges(trained, {"one": first})
    write_q_ranges(trained, {**read_checkpoint(trained).q_ranges, "two": second})
    assert read_checkpoint(trained).q_ranges == {"one": first, "two": second}
    assert read_checkpoint(export(trained, tmp_path / "shipped")).q_ranges == {"one": first, "two": second}


def test_fine_tuning_drops_the_ranges_it_began_with_and_the_choice_adds_its_own(
    trained: Path, training_bags: Bags, tmp_path: Path
) -> None:
    write_q_ranges(trained, {"put_carrot_in_pot": QRange((-1.0,), (1.0,), 3)})
    run = tmp_path / "finetuned"
    path = start_finetuning(trained, training_bags, run, ["schedule.steps=5"]).run().checkpoint
    assert read_checkpoint(path).q_ranges == {}
    chosen = choose_of_run(run, cache=training_bags.cache).path
    found = read_checkpoint(chosen).q_ranges
    assert list(found) == ["put_knife_in_pot"] and found["put_knife_in_pot"].demonstrations == 2
    later = resume(None, run, ["schedule.steps=6"], cache=training_bags.cache).run().checkpoint
    assert read_checkpoint(later).q_ranges == {}
