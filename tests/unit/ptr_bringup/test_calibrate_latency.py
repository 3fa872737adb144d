# SPDX-License-Identifier: Apache-2.0
"""Latencies from images and joint states of a moving arm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_bringup.calibrate import motion
from ptr_bringup.calibrate.errors import CalibrationError
from ptr_bringup.calibrate.lag import find_lag
from ptr_bringup.calibrate.latency import Recording, latencies, measure

DURATION = 10.0
FINE = np.arange(0.0, DURATION, 0.001)
PLACE = np.cumsum([0.001 * motion.speed(time, DURATION) for time in FINE])


def place_at(times: np.ndarray) -> np.ndarray:
    """m along the path, of an arm that follows its commands immediately."""
    return np.interp(times, FINE, PLACE)


def image_of(place: float, generator: np.random.Generator, noise: float) -> np.ndarray:
    """A gripper (bright, soft edges) before a textured wall, 80x60, and the noise of a sensor."""
    rows, columns = np.mgrid[0:60, 0:80]
    wall = 90 + 25 * np.sin(rows / 5) * np.cos(columns / 7)
    at = 25 + 300 * place
    gripper = 110 * np.exp(-(((columns - at) / 8) ** 4) - ((rows - 30) / 15) ** 4)
    return np.clip(wall + gripper + generator.normal(0, noise, wall.shape), 0, 255).astype(np.uint8)


def recording(camera: float, command: float, rate: float = 30.0, noise: float = 3.0, seed: int = 0) -> Recording:
    """The recording with these latencies (s)."""
    generator = np.random.default_rng(seed)
    start = 1_700_000_000.0
    sent = np.arange(0.0, DURATION, 0.02)
    speeds = np.array([motion.speed(time, DURATION) for time in sent])
    places = np.concatenate([[0.0], np.cumsum(0.02 * speeds[:-1])])  # a speed holds until the next command
    seen = np.arange(0.2, DURATION - 0.1, 1.0 / rate)
    seen += generator.normal(0, 0.002, len(seen))  # images are not taken quite evenly

    def arm(time: float) -> float:
        return float(np.interp(time - command, sent, places))

    return Recording(
        commands=list(zip(start + sent, speeds, strict=True)),
        states=[(start + time, 0.2 + motion.DIRECTION * arm(time)) for time in sent],
        images={"front": [(start + camera + time, image_of(arm(time), generator, noise)) for time in seen]},
    )


@pytest.mark.parametrize("rate", [15.0, 30.0])
@pytest.mark.parametrize("latency", [0.0, 0.08, 0.17])
def test_the_latency_of_a_camera_is_found_within_5_ms(latency: float, rate: float) -> None:
    """0.17 s is what UMI measured of its cameras; 80 ms at 15 images a second is just more than one image."""
    _, cameras = measure(recording(latency, 0.05, rate))
    found = cameras["front"]
    assert found.value == pytest.approx(latency, abs=0.005)
    assert found.low <= found.value <= found.high
    assert found.high - found.low < 0.01
    assert found.explained > 0.8


@pytest.mark.parametrize("latency", [0.01, 0.1, 0.25])
def test_the_latency_of_commands_is_found_within_5_ms(latency: float) -> None:
    command, _ = measure(recording(0.05, latency))
    assert command.value == pytest.approx(latency, abs=0.005)
    assert command.explained > 0.99


@settings(max_examples=8, deadline=None)
@given(latency=st.floats(0.0, 0.3), seed=st.integers(0, 100))
def test_a_signal_that_is_some_smooth_function_of_another_tells_its_lag(latency: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    times = np.sort(generator.uniform(0.5, 9.5, 250))
    place = place_at(times - latency) / PLACE.max()
    signal = np.stack([np.sin(2 * place), place**2, -place], axis=1) + generator.normal(0, 0.05, (250, 3))
    assert find_lag(times, signal, FINE, PLACE).value == pytest.approx(latency, abs=0.006)


def test_what_is_kept_is_in_whole_milliseconds_and_never_negative() -> None:
    command, cameras = measure(recording(0.0, 0.1))
    kept, of_cameras = latencies(command, cameras)
    assert kept == pytest.approx(0.1, abs=0.005)
    assert kept == round(kept, 3)
    assert 0.0 <= of_cameras["front"] < 0.005


def test_a_camera_that_does_not_see_the_arm_is_refused() -> None:
    blind = recording(0.08, 0.05)
    generator = np.random.default_rng(1)
    blind.images["front"] = [
        (stamp, generator.integers(0, 255, (60, 80), dtype=np.uint8)) for stamp, _ in blind.images["front"]
    ]
    with pytest.raises(CalibrationError, match="front follows the arm's motion only poorly|does not follow the arm"):
        measure(blind)


def test_stamps_from_the_future_are_refused() -> None:
    with pytest.raises(CalibrationError, match="30 ms ahead of the arm's motion: its stamps"):
        measure(recording(-0.03, 0.05))


def test_a_frozen_camera_and_an_arm_without_torque_are_refused() -> None:
    frozen = recording(0.08, 0.05)
    frozen.images["front"] = [(stamp, frozen.images["front"][0][1]) for stamp, _ in frozen.images["front"]]
    with pytest.raises(CalibrationError, match="signal did not change"):
        measure(frozen)
    limp = recording(0.08, 0.05)
    limp.states = [(stamp, limp.states[0][1]) for stamp, _ in limp.states]
    with pytest.raises(CalibrationError, match="did not"):
        measure(limp)


def test_nothing_recorded_is_refused() -> None:
    with pytest.raises(CalibrationError, match="is the arm node running"):
        measure(Recording())
    absent = recording(0.08, 0.05)
    absent.images["front"] = []
    with pytest.raises(CalibrationError, match="0 images of front arrived; is the camera running"):
        measure(absent)


def test_the_motion_stays_near_its_start_and_below_half_the_speed_of_the_gate() -> None:
    way = np.cumsum([0.01 * motion.speed(time, DURATION) for time in np.arange(0.0, DURATION, 0.01)])
    assert np.abs(way).max() < 0.09
    assert max(abs(motion.speed(time, DURATION)) for time in FINE) <= 0.125
    assert np.linalg.norm(motion.DIRECTION) == pytest.approx(1.0)
    assert motion.speed(0.0, DURATION) == 0.0
    assert motion.speed(DURATION, DURATION) == 0.0
