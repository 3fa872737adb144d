# SPDX-License-Identifier: Apache-2.0
"""How a twist moves the commanded target.

Targets integrate on the last commanded pose, not on the measured one, as Bridge's controller does: a lagging
or sagging arm neither shortens a motion nor drifts.
"""

from __future__ import annotations

from ptr_bringup.arm.kinematics import Array, Pose
from ptr_models.common.rotations import matrix_from_rotation_vector


def advance(pose: Pose, twist: Array, duration: float) -> Pose:
    """The pose after following a constant twist for some time.

    Args:
        pose: end effector in base_link.
        twist: (6,) linear velocity (m/s) along and angular velocity (rad/s) about the axes of base_link; the
            rotation is about the end effector, so it does not displace it.
        duration: s. At 5 Hz, twist * 0.2 s is the Bridge action.
    Returns:
        The same object when nothing moves.
    """
    if duration <= 0.0 or not twist.any():
        return pose
    rotation = pose.rotation
    if twist[3:].any():
        rotation = matrix_from_rotation_vector(twist[3:] * duration) @ rotation
    return Pose(pose.position + twist[:3] * duration, rotation)
