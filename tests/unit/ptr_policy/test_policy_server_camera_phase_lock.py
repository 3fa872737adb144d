# SPDX-License-Identifier: Apache-2.0
"""Steps follow the images: periods are estimated from samples, and the grid of a run follows them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_policy.server.camera_phase_lock import GUARD, LEAD, SLACK, TRANSPORT_DELAY, CameraPhaseLock
from ptr_policy.server.period_estimator import MIN_SAMPLES, PeriodEstimate, PeriodEstimator

START = 1_790_000_000 * 10**9  # ns, of a clock that counts since 1970


def heard(
    period: float, latency: float = 0.005, count: int = 60, jitter: float = 0.0, seed: int = 0
) -> PeriodEstimator:
    """A stream whose first sample was taken at START; `jitter` (s) is the spread of its stamps and ways."""
    estimator, random = PeriodEstimator(), np.random.default_rng(seed)
    for number in range(count):
        stamp = number * period + random.normal(0.0, jitter)
        arrival = stamp + latency + abs(random.normal(0.0, jitter))
        estimator.add(START + round(stamp * 1e9), START + round(arrival * 1e9))
    return estimator


def after(count: int, period: float) -> int:
    return START + round((count - 1) * period * 1e9)


@given(st.sampled_from([30.0, 29.97, 25.0, 15.0, 60.0]), st.floats(0.0, 0.08), st.integers(0, 5))
def test_an_even_stream_has_the_period_and_latency_it_was_made_with(rate: float, latency: float, seed: int) -> None:
    beat = heard(1 / rate, latency, jitter=0.001, seed=seed).estimate(after(60, 1 / rate))
    assert beat.period == pytest.approx(1 / rate, rel=0.002)
    assert beat.latency == pytest.approx(latency, abs=0.002)
    assert abs(beat.stamp - (START * 1e-9 + 59 / rate)) < 0.001


def test_lost_samples_do_not_change_the_period() -> None:
    estimator = PeriodEstimator()
    for number in range(60):
        if number % 7:
            estimator.add(START + number * 40_000_000, START + number * 40_000_000 + 3_000_000)
    assert estimator.estimate(START + 59 * 40_000_000).period == pytest.approx(0.04)


def test_too_few_samples_silence_and_uneven_samples_have_no_estimate() -> None:
    assert heard(0.04, count=MIN_SAMPLES - 1).estimate(after(MIN_SAMPLES - 1, 0.04)) is None
    assert heard(0.04).estimate(after(60, 0.04) + 150_000_000) is None
    assert heard(0.04, jitter=0.015).estimate(after(60, 0.04)) is None


def test_a_clock_that_is_set_back_restarts_the_estimate() -> None:
    estimator = heard(0.04)
    estimator.add(START, START)
    assert estimator.estimate(START) is None


@given(st.floats(0.0, 10.0), st.floats(0.001, 0.02))
def test_a_run_begins_with_a_fresh_image(now: float, work: float) -> None:
    camera = PeriodEstimate(period=1 / 30, stamp=100.0, latency=0.006)
    wait = CameraPhaseLock(0.2, camera).first(100.0 + now, work)
    age = (now + wait) % (1 / 30)
    assert LEAD <= wait <= LEAD + 1 / 30 + 1e-6
    assert age == pytest.approx(0.006 + GUARD, abs=1e-6)


@given(st.floats(0.0, 1.0), st.floats(0.0, 0.0333), st.floats(0.0, 0.02), st.floats(0.003, 0.012))
def test_among_the_images_the_run_takes_one_whose_command_waits_little_for_the_arm(
    now: float, phase: float, tick: float, work: float
) -> None:
    """33.3 ms and 20 ms meet three times in 200 ms: of them one is within 6.7 ms of the arm's tick."""
    camera = PeriodEstimate(period=1 / 30, stamp=100.0 + phase, latency=0.006)
    arm = PeriodEstimate(period=0.02, stamp=100.0 + tick, latency=0.0)
    step = now + CameraPhaseLock(0.2, camera).first(100.0 + now, work, arm)
    assert (step - phase - 0.006 - GUARD + 1e-6) % (1 / 30) < 2e-6
    left = (tick - step - work - TRANSPORT_DELAY - SLACK) % 0.02
    assert left <= 0.02 / 3 + 1e-6 or left > 0.02 - 1e-6


def test_steps_come_back_to_the_images_when_the_clocks_drift_apart() -> None:
    """A camera of 29.97 Hz: six images take 200.2 ms."""
    camera, due, period = PeriodEstimate(1 / 29.97, 100.0, 0.006), 100.25, 0.2
    for _ in range(40):
        correction = CameraPhaseLock(period, camera).correction(due)
        assert abs(correction) <= 0.01 * period
        due += correction + period
    assert (due - 100.0) % camera.period == pytest.approx(0.006 + GUARD, abs=0.0005)


@pytest.mark.parametrize(("rate", "camera_rate"), [(50.0, 30.0), (20.0, 30.0), (5.0, 29.0), (7.0, 30.0)])
def test_a_control_period_that_is_no_multiple_of_the_cameras_keeps_its_grid(rate: float, camera_rate: float) -> None:
    phase = CameraPhaseLock(1 / rate, PeriodEstimate(1 / camera_rate, 100.0, 0.006))
    assert not phase.follows
    assert (phase.first(100.0, 0.01), phase.correction(100.0)) == (1 / rate, 0.0)


def test_without_a_camera_that_is_known_a_run_begins_one_period_later() -> None:
    phase = CameraPhaseLock(0.2, None)
    assert (phase.first(100.0, 0.01), phase.correction(100.0)) == (0.2, 0.0)


def test_an_image_that_is_to_be_seen_late_is_waited_for() -> None:
    """With a latency of 80 ms in the contract the observation looks for an image as old as that."""
    camera = PeriodEstimate(1 / 30, 100.0, 0.006)
    step = CameraPhaseLock(0.2, camera, shift=0.08).first(100.0, 0.01)
    assert (step - 0.08 - GUARD + 1e-6) % (1 / 30) < 2e-6


def test_a_step_waits_a_little_for_an_image_that_is_late_and_not_for_one_that_is_there() -> None:
    phase = CameraPhaseLock(0.2, PeriodEstimate(1 / 30, 100.0, 0.006))
    missed, there = 100.0 - 1 / 30, 100.0
    assert phase.should_wait(100.0075, missed, waited=0.0)
    assert phase.should_wait(100.0165, missed, waited=0.009)
    assert not phase.should_wait(100.0185, missed, waited=0.011)
    assert not phase.should_wait(100.0085, there, waited=0.001)
