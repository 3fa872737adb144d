# SPDX-License-Identifier: Apache-2.0
"""Distances of the arm's links from each other and from the table: capsules around the links.

Pairs that the joint limits keep apart, and neighbors, are left out. Distances between segments follow Ericson,
Real-Time Collision Detection (2005), 5.1.9, vectorized over all pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.model.kinematics import Array, link_transforms
from ptr_bringup.arm.model.wx250s import WX250S

CAPSULES = WX250S.capsules
_JOINT = np.array([capsule.joint for capsule in CAPSULES])
_ENDS: Array = np.array([[capsule.begin, capsule.end] for capsule in CAPSULES])
_RADII: Array = np.array([capsule.radius for capsule in CAPSULES])
_PAIRS = np.array(
    [
        (i, j)
        for i in range(5)
        for j in range(5, len(CAPSULES))
        if CAPSULES[j].joint - CAPSULES[i].joint > (2 if CAPSULES[i].joint == 2 else 1)
    ]
)
"""Base, shoulder and upper arm (the first five) against forearm and hand; neighbors always touch."""
_FIRST, _SECOND = _PAIRS.T
_TOUCH: Array = _RADII[_FIRST] + _RADII[_SECOND]
_OVER_TABLE = np.array([k for k, capsule in enumerate(CAPSULES) if capsule.name in ("elbow", "forearm", "wrist")])
"""The gripper has its own check from its pose; upper arm and shoulder can't reach the table."""


@dataclass(frozen=True)
class Clearance:
    """The smallest distance between two parts of the arm, or a part and the table.

    Attributes:
        distance: m; negative if they overlap.
        parts: names of the two.
    """

    distance: float
    parts: tuple[str, str]


def clearance(joints: Array, table_height: float) -> Clearance:
    """The arm's clearance at joint positions (6,) in rad, with a table at a height (m) in base_link."""
    ends = _ends(joints)
    gaps = _distances(ends[_FIRST], ends[_SECOND]) - _TOUCH
    tightest = int(gaps.argmin())
    above = ends[_OVER_TABLE, :, 2].min(axis=1) - _RADII[_OVER_TABLE] - table_height
    lowest = int(above.argmin())
    if above[lowest] < gaps[tightest]:
        return Clearance(float(above[lowest]), (CAPSULES[_OVER_TABLE[lowest]].name, "table"))
    parts = (CAPSULES[_SECOND[tightest]].name, CAPSULES[_FIRST[tightest]].name)
    return Clearance(float(gaps[tightest]), parts)


def _ends(joints: Array) -> Array:
    """(N, 2, 3) m, ends of all segments in base_link."""
    moved = link_transforms(joints)[_JOINT]
    return _ENDS @ moved[:, :3, :3].transpose(0, 2, 1) + moved[:, None, :3, 3]


def _distances(first: Array, second: Array) -> Array:
    """(N,) m between the segments (N, 2, 3) of each pair; no segment may have length 0."""
    along, other, between = first[:, 1] - first[:, 0], second[:, 1] - second[:, 0], first[:, 0] - second[:, 0]
    a, e = (along * along).sum(axis=1), (other * other).sum(axis=1)
    b, c, f = (along * other).sum(axis=1), (along * between).sum(axis=1), (other * between).sum(axis=1)
    apart = np.maximum(a * e - b * b, 1e-12)
    s = ((b * f - c * e) / apart).clip(0.0, 1.0)
    t = ((b * s + f) / e).clip(0.0, 1.0)
    s = ((b * t - c) / a).clip(0.0, 1.0)
    gap = between + s[:, None] * along - t[:, None] * other
    return np.sqrt((gap * gap).sum(axis=1))
