# SPDX-License-Identifier: Apache-2.0
"""Parameters of an arm model, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Capsule:
    """Collision shape of a link or a part of it: everything within a radius of a line segment.

    Attributes:
        name: for messages.
        joint: number of joints between the base and the link: 0 is the base, 6 the gripper.
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
    """Parameters of an arm with six joints and a two-finger gripper.

    Used by kinematics, collision check and limits. The closed-form inverse kinematics also requires a wrist whose
    three axes intersect in one point.

    Attributes:
        name: Interbotix's name of the robot model.
        joint_names: from the base to the gripper.
        joint_lower, joint_upper: rad, mechanical limits.
        joint_velocity_limit: rad/s, of every joint.
        joint_axes: unit vector of each joint's axis in the home pose (all joints 0), in base_link.
        joint_points: m, a point on each axis in the home pose; the screws are (axis, point x axis).
        home_position: m, of the end effector in the home pose, where its axes are parallel to those of base_link.
        finger_closed, finger_open: m from the center line, finger joint at gripper 0 and 1.
        gripper_body: m behind the end effector, where the gripper's body starts and where its flange is.
        gripper_radius: m, half the thickness of that body.
        capsules: shapes for the collision check.
        named_joints: rad, joint positions of the named poses.
        motor_ids: IDs of the joints' motors on the bus, without a joint's second motor.
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
