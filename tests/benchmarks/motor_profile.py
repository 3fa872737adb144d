# SPDX-License-Identifier: Apache-2.0
"""How well a motor's reference follows the gate's setpoints, for each profile: delay, tracking error, jerk.

    .venv/bin/python tests/benchmarks/motor_profile.py

The gate's setpoints follow a minimum-jerk motion of 0.6 rad in 1.2 s and arrive late by a half-normal of 2 ms.
Setpoints every 20 ms with each profile, and Bridge's way: one every 0.2 s with a profile of 250 and 100 ms. The
reference is that of the Dynamixel's profile generator (`ptr_bringup.xs_sdk.profiles`), looked at every millisecond.
"""

from __future__ import annotations

import json

import numpy as np

from ptr_bringup.arm.drivers.interbotix.profile import Profile, profile_named
from ptr_bringup.arm.motion.trajectory import minimum_jerk
from ptr_bringup.xs_sdk.profiles import Reference

STEP = 0.001
DISTANCE, DURATION, AFTER = 0.6, 1.2, 0.8
LATE = 0.002  # s, scale of the half-normal


def follow(profile: Profile, period: float) -> dict[str, object]:
    """Move once, and compare the reference with the motion that the setpoints are taken from."""
    times = np.arange(0.0, DURATION + AFTER, STEP)
    wanted = np.array([DISTANCE * minimum_jerk(t / DURATION) for t in times])
    reference = Reference(0.0, profile.kind, profile.velocity, profile.acceleration)
    arrivals = _arrivals(wanted, round(period / STEP))
    moved = np.empty_like(times)
    for k in range(len(times)):
        if k in arrivals:
            reference.go(arrivals[k])
        moved[k] = reference.advance(STEP)
    delay = min(range(500), key=lambda d: float(np.square(moved[d:] - wanted[: len(wanted) - d]).mean()))
    velocity = np.diff(moved) / STEP
    lag = moved[delay:] - wanted[: len(wanted) - delay]
    return {
        "benchmark": "motor_profile",
        "profile": str(profile),
        "setpoints_hz": round(1.0 / period),
        "delay_ms": delay,
        "error_rms_mrad": round(1e3 * float(np.sqrt(np.square(moved - wanted).mean())), 2),
        "error_rms_after_delay_mrad": round(1e3 * float(np.sqrt(np.square(lag).mean())), 2),
        "peak_speed_rad_s": round(float(np.abs(velocity).max()), 2),
        "peak_acceleration_rad_s2": round(float(np.abs(np.diff(velocity)).max() / STEP), 1),
        "rms_acceleration_rad_s2": round(float(np.sqrt(np.square(np.diff(velocity) / STEP).mean())), 1),
    }


def _arrivals(wanted: np.ndarray, every: int) -> dict[int, float]:
    """Setpoints by the step at which they arrive."""
    sent = np.arange(0, len(wanted), every)
    late = np.abs(np.random.default_rng(0).normal(0.0, LATE / STEP, len(sent))).astype(int)
    return {int(k + min(d, every - 1)): float(wanted[k]) for k, d in zip(sent, late, strict=True)}


def main() -> None:
    """Print one line of JSON for each profile."""
    tick, step = 0.02, 0.2
    for profile, period in (
        (profile_named("time", tick), tick),
        (Profile("time", 25, 10), tick),  # Bridge's shares of the period
        (profile_named("velocity", tick), tick),
        (profile_named("bridge", tick), tick),
        (profile_named("bridge", step), step),
    ):
        print(json.dumps(follow(profile, period)))


if __name__ == "__main__":
    main()
