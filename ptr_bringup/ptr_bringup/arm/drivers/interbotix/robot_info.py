# SPDX-License-Identifier: Apache-2.0
"""Is the arm behind xs_sdk the one that this suite knows?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ptr_bringup.arm.kinematics import JOINT_LOWER, JOINT_NAMES, JOINT_UPPER
from ptr_bringup.arm.move import NAMED_JOINTS

JOINT_IDS = (1, 2, 4, 6, 7, 8)
"""Numbers on the bus; 3 and 5 are the shadows of shoulder and elbow, 9 is the gripper."""
_LIMIT_TOLERANCE = 2e-3
"""rad. Published limits are whole degrees, ours are rounded to the third decimal."""
_SLEEP_TOLERANCE = 0.02


class Info(Protocol):
    """The fields of the answer of get_robot_info that are looked at."""

    joint_names: Sequence[str]
    joint_ids: Sequence[int]
    joint_lower_limits: Sequence[float]
    joint_upper_limits: Sequence[float]
    joint_sleep_positions: Sequence[float]


def wrong_arm(info: Info) -> str:
    """Empty when the group `arm` has the six joints in their order, otherwise a sentence."""
    if tuple(info.joint_names) == JOINT_NAMES:
        return ""
    there = ", ".join(info.joint_names) or "no joints"
    return f"The group 'arm' of xs_sdk has {there}, not the six joints of a WidowX 250; use robot_model:=wx250s."


def differences(info: Info) -> tuple[str, ...]:
    """One sentence for each number of the arm that is not ours; limits that xs_sdk doesn't know are left out."""
    found = []
    for name, number, ours in zip(JOINT_NAMES, info.joint_ids, JOINT_IDS, strict=False):
        if number != ours:
            found.append(f"The motor of {name} has id {number} instead of {ours}.")
    for kind, theirs, limits in (
        ("lower", info.joint_lower_limits, JOINT_LOWER),
        ("upper", info.joint_upper_limits, JOINT_UPPER),
    ):
        for name, value, limit in zip(JOINT_NAMES, theirs, limits, strict=False):
            if abs(value - limit) > _LIMIT_TOLERANCE:
                found.append(f"The {kind} limit of {name} is {value:.3f} rad instead of {limit:.3f}.")
    for name, value, sleep in zip(JOINT_NAMES, info.joint_sleep_positions, NAMED_JOINTS["sleep"], strict=False):
        if abs(value - sleep) > _SLEEP_TOLERANCE:
            found.append(f"The sleep position of {name} is {value:.3f} rad instead of {sleep:.3f}.")
    return tuple(found)
