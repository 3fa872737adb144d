# SPDX-License-Identifier: Apache-2.0
"""The clutch: what a release of the deadman holds, and what the caps leave."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ptr_teleop.clutch import Clutch
from ptr_teleop.devices.base import Reading

CAPS = (0.15, 0.6)
axis = st.floats(-2.0, 2.0)


def held(gripper: float | None = None, twist: tuple[float, ...] = (0.1, 0, 0, 0, 0, 0)) -> Reading:
    return Reading(np.array(twist, dtype=float), gripper, True)


def test_releasing_the_deadman_keeps_the_gripper_closed() -> None:
    clutch = Clutch(CAPS)
    assert clutch.advance(held(gripper=0.0), 1.0).gripper == 0.0
    released = clutch.advance(Reading(np.ones(6), 1.0, False), 0.0)
    assert (released.deadman, released.gripper) == (False, 0.0)
    assert not released.twist.any()


def test_a_release_is_said_once() -> None:
    clutch = Clutch(CAPS)
    assert clutch.advance(Reading(), 1.0) is None
    clutch.advance(held(), 1.0)
    assert clutch.advance(Reading(), 1.0) is not None
    assert clutch.advance(Reading(), 1.0) is None


def test_pressing_again_continues_with_the_opening_that_the_arm_has() -> None:
    clutch = Clutch(CAPS)
    clutch.advance(held(gripper=0.0), 1.0)
    clutch.advance(Reading(), 0.0)
    assert clutch.advance(held(), 0.4).gripper == 0.4  # somebody else opened it meanwhile
    assert clutch.advance(held(), 0.9).gripper == 0.4  # held on: the own command stays


def test_a_wish_outside_of_the_opening_is_clipped() -> None:
    assert Clutch(CAPS).advance(held(gripper=1.7), 0.0).gripper == 1.0


@given(st.tuples(axis, axis, axis, axis, axis, axis))
def test_caps_keep_the_direction_and_never_exceed(twist: tuple[float, ...]) -> None:
    wish = Clutch(CAPS).advance(held(twist=twist), 1.0)
    for part, asked, cap in ((wish.twist[:3], twist[:3], CAPS[0]), (wish.twist[3:], twist[3:], CAPS[1])):
        assert np.abs(part).max() <= cap + 1e-12
        assert np.allclose(np.cross(part, asked), 0.0, atol=1e-9)
        assert np.dot(part, asked) >= 0.0


def test_a_device_without_caps_is_left_alone() -> None:
    twist = (0.25, -0.25, 0.25, 1.25, 0.0, 0.0)
    assert np.array_equal(Clutch(None).advance(held(twist=twist), 1.0).twist, twist)
