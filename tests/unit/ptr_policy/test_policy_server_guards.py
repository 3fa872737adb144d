# SPDX-License-Identifier: Apache-2.0
"""What the policy server does not trust: late steps, images that are no news, values that drift."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.contract import Contract
from ptr_models.episodes.sampling import ArmSample, Choice, Observation
from ptr_models.training.q_range import QRange
from ptr_policy.server.drift import DriftMonitor
from ptr_policy.server.image_guard import ImageError, ImageGuard, require_light
from ptr_policy.server.step_grid import StepGrid

SECOND = 10**9


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


def look(guard: ImageGuard, data: bytes, stamp: float, x: float | None) -> None:
    """Check an image with its stamp (s), when the end effector was at x (m)."""
    arm = ArmSample((9.9, 0.0, 0.1), (0.0, 0.0, 0.0, 1.0), 1.0)
    choice = Choice(((round(stamp * SECOND), data),), (round(stamp * SECOND), arm))
    guard.check(Contract(), choice, lambda at: None if x is None else (x, 0.0, 0.1))


def test_steps_on_time_are_not_late_and_the_grid_does_not_move_with_them() -> None:
    ticks = StepGrid(0.2, 10.2)
    for due, late in ((10.2, 0.0), (10.4, 0.03), (10.6, 0.099), (10.8, 0.0)):
        found = ticks.tick(due + late)
        assert not found.too_late
        assert found.late == pytest.approx(late, abs=1e-9)


def test_a_step_later_than_half_a_period_is_too_late_and_the_next_one_is_not() -> None:
    ticks = StepGrid(0.2, 10.2)
    assert ticks.tick(10.31).too_late
    assert not ticks.tick(10.4).too_late


def test_after_a_pause_the_missed_steps_are_counted_once() -> None:
    ticks = StepGrid(0.02, 0.02)
    ticks.tick(0.02)
    found = ticks.tick(5.041)
    assert found.missed == 250 and found.too_late
    assert found.late == pytest.approx(5.001)
    assert ticks.tick(5.06).missed == 0


@given(st.lists(st.floats(0.0, 3.0), min_size=1, max_size=30), st.sampled_from([0.02, 0.05, 0.2, 1.0]))
def test_steps_done_and_missed_are_all_that_were_due(pauses: list[float], period: float) -> None:
    """A timer on the grid: each tick comes some pause after its time, the next one at the next time of the grid."""
    ticks, slot, due = StepGrid(period, period), 0, 0
    for pause in pauses:
        slot += 1
        now = slot * period + pause
        due += 1 + ticks.tick(now + 1e-7).missed
        slot += int((now + 1e-7 - slot * period) / period)
        assert due == slot


def test_a_clock_that_is_set_back_begins_the_grid_again() -> None:
    ticks = StepGrid(0.2, 100.2)
    ticks.tick(100.2)
    assert not ticks.tick(50.0).too_late
    assert not ticks.tick(50.2).too_late


def test_an_image_that_stays_the_same_while_the_arm_moves_is_frozen() -> None:
    guard = ImageGuard()
    look(guard, jpeg(1), 1.0, 0.30)
    look(guard, jpeg(1), 1.2, 0.304)
    with pytest.raises(ImageError, match=r"over_shoulder is frozen: .* 0\.40 s, while the arm moved 0\.006 m"):
        look(guard, jpeg(1), 1.4, 0.306)
    look(guard, jpeg(2), 1.6, 0.33)
    look(guard, jpeg(2), 1.8, 0.334)


def test_a_frozen_image_stays_frozen_when_the_arm_comes_back_a_little() -> None:
    """An arm that is held swings back; a policy would go on, be held at 5 mm, and go on again."""
    guard = ImageGuard()
    look(guard, jpeg(1), 1.0, 0.30)
    for stamp, x in ((1.2, 0.3051), (1.4, 0.3049), (1.6, 0.30)):
        with pytest.raises(ImageError, match=r"while the arm moved 0\.005 m"):
            look(guard, jpeg(1), stamp, x)
    look(guard, jpeg(2), 1.8, 0.30)
    look(guard, jpeg(2), 2.0, 0.304)


def test_the_same_image_twice_is_no_news_but_not_frozen() -> None:
    """Control at 50 Hz uses an image of a 15 Hz camera three times; its stamp says that it is the same one."""
    guard = ImageGuard()
    for x in (0.30, 0.31, 0.32, 0.33):
        look(guard, jpeg(1), 1.0, x)


def test_an_arm_that_stands_still_makes_no_frozen_image() -> None:
    guard = ImageGuard()
    for stamp in range(50):
        look(guard, jpeg(1), float(stamp), 0.30 + 0.0001 * (stamp % 2))


def test_without_the_arms_position_at_an_image_nothing_is_said_until_it_is_known() -> None:
    """The arm's state comes late: the image shows the arm where it will only be known to be."""
    guard = ImageGuard()
    look(guard, jpeg(1), 1.0, None)
    look(guard, jpeg(1), 1.2, 0.33)
    look(guard, jpeg(1), 1.4, None)
    look(guard, jpeg(1), 1.6, 0.331)
    with pytest.raises(ImageError, match=r"0\.60 s, while the arm moved 0\.020 m"):
        look(guard, jpeg(1), 1.8, 0.35)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_jpeg_that_is_cut_off_is_torn(share: float) -> None:
    whole = jpeg(3)
    with pytest.raises(ImageError, match="torn"):
        look(ImageGuard(), whole[: int(share * len(whole))], 1.0, 0.3)


def test_padding_behind_a_jpeg_and_a_png_are_whole() -> None:
    look(ImageGuard(), jpeg(3) + bytes(7), 1.0, 0.3)
    png = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
    look(ImageGuard(), png, 1.0, 0.3)


@pytest.mark.parametrize(("level", "dark"), [(0, True), (23, True), (24, False), (120, False)])
def test_an_image_whose_brightest_percent_is_below_24_is_dark(level: int, dark: bool) -> None:
    shown = Observation(np.full((1, 64, 64, 3), level, np.uint8), np.zeros(7, np.float32), (1,), 1)
    if dark:
        with pytest.raises(ImageError, match=f"dark: 99 % of it is at most {level} of 255"):
            require_light(Contract(), shown)
    else:
        require_light(Contract(), shown)


RANGE = QRange((-5.0, -4.0, -3.0), (0.0, 1.0, 2.0), 10)


def test_the_alarm_needs_so_many_values_outside_in_a_row_and_ends_with_one_inside() -> None:
    watch = DriftMonitor(RANGE, 3)
    begun = [watch.update(q) for q in (-1.0, -9.0, -9.0, 0.0, -9.0, 9.0, -9.0, -9.0, 0.0)]
    assert begun == [False] * 6 + [True] + [False] * 2
    assert not watch.alarm


def test_bounds_follow_the_steps_and_the_last_ones_hold() -> None:
    watch = DriftMonitor(RANGE, 1)
    found = []
    for _ in range(4):
        watch.update(0.5)
        found.append((watch.low, watch.high, watch.alarm))
    assert found == [(-5, 0, True), (-4, 1, False), (-3, 2, False), (-3, 2, False)]


def test_the_sentence_names_the_side() -> None:
    watch = DriftMonitor(RANGE, 1)
    watch.update(7.25)
    assert "for 1 steps: 7.2 is above 0.0" in watch.sentence
    watch.update(-7.25)
    assert "-7.2 is below -4.0" in watch.sentence


def test_without_a_range_there_is_no_alarm() -> None:
    watch = DriftMonitor(None, 1)
    assert not watch.update(-100.0) and not watch.alarm
    assert math.isnan(watch.low)
