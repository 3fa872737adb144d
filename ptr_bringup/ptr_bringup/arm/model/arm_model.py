# SPDX-License-Identifier: Apache-2.0
"""Everything that makes one arm different from another, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Capsule:
    """A link, or a part of one: everything within a radius of a line segment.

    Attributes:
        name: for messages.
        joint: number of joints between the base and it: 0 is the base, 6 the gripper.
        begin, end: m, ends of its segment in the home pose, in base_link.
        radius: m.
    """

    name: str
    joint: int
    begin: Vector
    end: Vector
    radius: float


@dataclass(frozen=True)
class ArmModel:
    """The numbers of one arm with six joints and a gripper of two fingers.

    Kinematics, collision check and limits read them; the closed-form inverse kinematics also needs a wrist whose three
    axes meet in one point.

    Attributes:
        name: of the robot model, as Interbotix calls it.
        joint_names: from the base to the gripper.
        joint_lower, joint_upper: rad, mechanical limits.
        joint_velocity_limit: rad/s, of every joint.
        joint_axes: unit vector of each joint's axis in the home pose (all joints 0), in base_link.
        joint_points: m, a point on each axis in the home pose; the screws are (axis, point x axis).
        home_position: m, of the end effector in the home pose; its axes are those of base_link then.
        finger_closed, finger_open: m from the center line, finger joint at gripper 0 and 1.
        gripper_body: m behind the end effector, where the gripper's body begins and the flange that it hangs on.
        gripper_radius: m, half the thickness of that body.
        capsules: shapes for the collision check.
        named_joints: rad, joint positions of the named poses.
        motor_ids: numbers of the joints' motors on the bus; those of second motors of a joint are left out.
    """

    name: str
    joint_names: tuple[str, ...]
    joint_lower: tuple[float, ...]
    joint_upper: tuple[float, ...]
    joint_velocity_limit: float
    joint_axes: tuple[Vector, ...]
    joint_points: tuple[Vector, ...]
    home_position: Vector
    finger_closed: float
    finger_open: float
    gripper_body: tuple[float, float]
    gripper_radius: float
    capsules: tuple[Capsule, ...]
    named_joints: dict[str, tuple[float, ...]]
    motor_ids: tuple[int, ...]
