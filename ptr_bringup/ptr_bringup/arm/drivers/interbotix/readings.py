# SPDX-License-Identifier: Apache-2.0
"""Parses and checks joint states of xs_sdk."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import JointState

from ptr_bringup.arm.drivers.base import MAX_JOINTS, select_joints
from ptr_bringup.arm.drivers.interbotix.gripper_pwm import GripperSettings
from ptr_bringup.arm.model.kinematics import JOINT_NAMES, finger_from_gripper
from ptr_bringup.arm.types import JointMeasurement
from ptr_bringup.ros.time import seconds

MOTORS = (*JOINT_NAMES, "gripper")
FINGER = "left_finger"
_REGISTER_ZERO = -math.pi
"""rad at position register 0. xs_sdk publishes it with a fresh stamp for motors that it failed to read, so a pulled
cable looks as if all joints had jumped to -180 degrees. No joint gets there within the gate's margins."""


class ReadingError(ValueError):
    """An unusable joint state; the message says why."""


@dataclass(frozen=True)
class Reading:
    """One message of xs_sdk.

    Attributes:
        joints: for the gate; the finger is scaled from the configured stroke to the nominal one.
        finger: m, as measured.
        efforts: by motor, as reported: mA of an XM430, 2.69 times 0.1 % of the load of an XL430.
    """

    joints: JointMeasurement
    finger: float
    efforts: dict[str, float]


def reading_from(message: JointState, stroke: GripperSettings) -> Reading:
    """Parse a message. Missing velocities and efforts (xs_sdk_sim has none) become zero.

    Raises:
        ReadingError: a joint is missing or did not answer.
    """
    if len(message.name) > MAX_JOINTS:
        raise ReadingError(f"A joint state has {len(message.name)} joints; the maximum is {MAX_JOINTS}.")
    place = {name: k for k, name in enumerate(message.name)}
    missing = [name for name in (*MOTORS, FINGER) if place.get(name, math.inf) >= len(message.position)]
    if missing:
        raise ReadingError(f"Joint states lack {', '.join(missing)}; is the connected arm a WidowX 250?")
    silent = [name for name in MOTORS if abs(message.position[place[name]] - _REGISTER_ZERO) < 1e-3]
    if silent:
        raise ReadingError(
            f"xs_sdk can't read {', '.join(silent)} and publishes -pi; check the arm's power and USB cable."
        )
    order = [place[name] for name in JOINT_NAMES]
    finger = message.position[place[FINGER]]
    joints = JointMeasurement(
        seconds(message.header.stamp),
        np.array([message.position[k] for k in order]),
        select_joints(message.velocity, order),
        select_joints(message.effort, order),
        finger_from_gripper(stroke.opening(finger)),
    )
    efforts = {name: value for name, value in zip(message.name, message.effort, strict=False) if name in MOTORS}
    return Reading(joints, finger, efforts)
