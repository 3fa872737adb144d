# SPDX-License-Identifier: Apache-2.0
"""What the stand-in knows of its motors: modes, profiles, goals; no ROS.

Like the node that it stands in for, it has no clamp, no guard and no watchdog.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ptr_bringup.arm.kinematics import JOINT_NAMES, Array
from ptr_bringup.xs_sdk.gripper import GripperMotor
from ptr_bringup.xs_sdk.profiles import Reference

GROUPS = {"arm": JOINT_NAMES, "all": (*JOINT_NAMES, "gripper")}
PROFILE_REGISTERS = {"Profile_Velocity": "velocity", "Profile_Acceleration": "acceleration"}


@dataclass
class Mode:
    """Operating mode of a group or a joint, as get_robot_info tells it."""

    mode: str
    profile: str


@dataclass
class MotorBank:
    """Modes, references and goals of all motors, after Interbotix's modes.yaml.

    Attributes:
        modes: of the group `arm` and of the joint `gripper`.
        references: of the six joints, None until the arm was seen.
    """

    modes: dict[str, Mode] = field(
        default_factory=lambda: {"arm": Mode("position", "time"), "gripper": Mode("pwm", "velocity")}
    )
    gripper: GripperMotor = field(default_factory=GripperMotor)
    references: list[Reference] | None = None

    def see(self, joints: Array) -> None:
        """Where the arm is at first; its motors hold it there."""
        if self.references is None and np.isfinite(joints).all():
            self.references = [Reference(q, "time", 2000, 300) for q in joints.tolist()]

    def hold(self, joints: Array) -> None:
        """Torque came on: hold here."""
        for reference, position in zip(self.references or (), joints.tolist(), strict=False):
            reference.hold(position)
        self.gripper.pwm = 0.0

    def command_group(self, name: str, goals: Sequence[float]) -> str:
        """Take goals of a group; a sentence when there is none such, or the number is wrong."""
        if name != "arm" or len(goals) != len(JOINT_NAMES):
            return f"Number of commands ({len(goals)}) or group '{name}' does not fit; nothing was executed."
        for reference, goal in zip(self.references or (), goals, strict=False):
            reference.go(goal)
        return ""

    def command_single(self, name: str, command: float) -> str:
        """Take the goal of one joint: PWM of the gripper, a position of another."""
        if name == "gripper" and self.modes["gripper"].mode == "pwm":
            self.gripper.pwm = command
        elif name in JOINT_NAMES and self.references is not None:
            self.references[JOINT_NAMES.index(name)].go(command)
        else:
            return f"Joint '{name}' can't be commanded in its mode."
        return ""

    def set_modes(self, name: str, mode: str, profile: str, velocity: int, acceleration: int) -> None:
        """Set mode and profile of a group or joint."""
        self.modes["gripper" if name == "gripper" else "arm"] = Mode(mode, profile)
        if name == "gripper":
            self.gripper.pwm = 0.0
        for reference in self._references(name):
            reference.kind, reference.velocity, reference.acceleration = profile, velocity, acceleration

    def set_register(self, name: str, register: str, value: int) -> None:
        """Write a profile register of a group or joint; others are not there to be written."""
        if register in PROFILE_REGISTERS:
            for reference in self._references(name):
                setattr(reference, PROFILE_REGISTERS[register], value)

    def profile_register(self, name: str, register: str) -> int | None:
        """A profile register of one joint, None where there is none."""
        found = self._references(name)
        return getattr(found[0], PROFILE_REGISTERS[register]) if found and register in PROFILE_REGISTERS else None

    def forget(self, name: str) -> None:
        """A motor was rebooted: what is in RAM is 0 again."""
        for register in PROFILE_REGISTERS:
            self.set_register(name, register, 0)

    def advance(self, finger: float, elapsed: float) -> tuple[Array, float]:
        """References (6,) in rad and the fingers' target in m, `elapsed` s later."""
        joints = np.array([reference.advance(elapsed) for reference in self.references])
        return joints, self.gripper.advance(finger, elapsed)

    def _references(self, name: str) -> list[Reference]:
        names = GROUPS.get(name, (name,))
        return [r for joint, r in zip(JOINT_NAMES, self.references or (), strict=False) if joint in names]
