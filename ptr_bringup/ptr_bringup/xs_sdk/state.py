# SPDX-License-Identifier: Apache-2.0
"""State of the stand-in's motors: modes, profiles, goals. No ROS.

Like xs_sdk, it has no limits, no input checks and no watchdog.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ptr_bringup.arm.model.kinematics import JOINT_NAMES, Array
from ptr_bringup.xs_sdk.gripper import GripperMotor
from ptr_bringup.xs_sdk.profiles import Reference
from ptr_bringup.xs_sdk.trajectory import Playback

GROUPS = {"arm": JOINT_NAMES, "all": (*JOINT_NAMES, "gripper")}
PROFILE_REGISTERS = {"Profile_Velocity": "velocity", "Profile_Acceleration": "acceleration"}
GAINS = {
    "Position_P_Gain": 800,
    "Position_I_Gain": 0,
    "Position_D_Gain": 0,
    "Feedforward_1st_Gain": 0,
    "Feedforward_2nd_Gain": 0,
    "Velocity_P_Gain": 100,
    "Velocity_I_Gain": 1920,
}
"""Registers of a motor's controller with the defaults of an XM430 (e-manual). They are stored but don't affect the
motion, because the simulated arm has its own controller."""


@dataclass
class Mode:
    """Operating mode of a group or a joint, as in get_robot_info."""

    mode: str
    profile: str


@dataclass
class MotorBank:
    """Modes, references and goals of all motors, according to Interbotix's modes.yaml.

    Attributes:
        modes: of the group `arm` and the joint `gripper`.
        gains: written gains, by joint and register.
        references: of the six joints, None before the first joint state.
    """

    modes: dict[str, Mode] = field(
        default_factory=lambda: {"arm": Mode("position", "time"), "gripper": Mode("pwm", "velocity")}
    )
    gripper: GripperMotor = field(default_factory=GripperMotor)
    gains: dict[tuple[str, str], int] = field(default_factory=dict)
    references: list[Reference] | None = None
    _playback: Playback | None = None

    def initialize(self, joints: Array) -> None:
        """Initialize the references from the first joint state, where the motors hold the arm."""
        if self.references is None and np.isfinite(joints).all():
            self.references = [Reference(q, "time", 2000, 300) for q in joints.tolist()]

    def hold(self, joints: Array) -> None:
        """Hold here after torque was enabled."""
        for reference, position in zip(self.references or (), joints.tolist(), strict=False):
            reference.hold(position)
        self.gripper.pwm = 0.0

    def command_group(self, name: str, goals: Sequence[float]) -> str:
        """Set the goals of a group; returns a sentence if the group or the number of goals is wrong."""
        if name != "arm" or len(goals) != len(JOINT_NAMES):
            return f"Number of commands ({len(goals)}) or group '{name}' does not fit; nothing was executed."
        for reference, goal in zip(self.references or (), goals, strict=False):
            reference.go(goal)
        return ""

    def command_single(self, name: str, command: float) -> str:
        """Set the goal of one joint: PWM for the gripper, a position for others; returns a sentence if refused."""
        if name == "gripper" and self.modes["gripper"].mode == "pwm":
            self.gripper.pwm = command
        elif name in JOINT_NAMES and self.references is not None:
            self.references[JOINT_NAMES.index(name)].go(command)
        else:
            return f"Joint '{name}' can't be commanded in its mode."
        return ""

    def command_trajectory(self, playback: Playback) -> str:
        """Start a trajectory; returns a sentence if it is refused."""
        if self._playback is not None:
            return "The joints are still moving along a trajectory; the new one is refused."
        if len(playback.times) < 2:
            return "A trajectory of fewer than two points is refused."
        known = playback.name in (GROUPS if playback.kind == "group" else GROUPS["all"])
        joints = len(GROUPS.get(playback.name, (playback.name,)))
        if not known or any(len(goal) != joints for goal in playback.goals[1:]):
            return f"A trajectory of the {playback.kind} '{playback.name}' needs one goal per joint; it is refused."
        self._playback = playback
        return ""

    def _play(self, elapsed: float) -> None:
        playback = self._playback
        if playback is None:
            return
        goals = playback.advance(elapsed)
        if goals is not None and playback.kind == "group":
            self.command_group(playback.name, goals)
        elif goals is not None:
            self.command_single(playback.name, goals[0])
        if playback.over:
            self._playback = None

    def set_modes(self, name: str, mode: str, profile: str, velocity: int, acceleration: int) -> None:
        """Set mode and profile of a group or joint."""
        self.modes["gripper" if name == "gripper" else "arm"] = Mode(mode, profile)
        if name == "gripper":
            self.gripper.pwm = 0.0
        for reference in self._references(name):
            reference.kind, reference.velocity, reference.acceleration = profile, velocity, acceleration

    def set_register(self, name: str, register: str, value: int) -> None:
        """Write a profile register or a gain of a group or joint; other registers are ignored."""
        if register in GAINS:
            self.gains |= {(joint, register): value for joint in GROUPS.get(name, (name,))}
        if register in PROFILE_REGISTERS:
            for reference in self._references(name):
                setattr(reference, PROFILE_REGISTERS[register], value)

    def register(self, name: str, register: str) -> int | None:
        """A profile register or gain of one joint, None if unknown."""
        if register in GAINS and name in GROUPS["all"]:
            return self.gains.get((name, register), GAINS[register])
        found = self._references(name)
        return getattr(found[0], PROFILE_REGISTERS[register]) if found and register in PROFILE_REGISTERS else None

    def forget(self, name: str) -> None:
        """Reset a motor's registers in RAM after a reboot."""
        for register in PROFILE_REGISTERS:
            self.set_register(name, register, 0)
        self.gains = {key: value for key, value in self.gains.items() if key[0] != name}

    def advance(self, finger: float, elapsed: float) -> tuple[Array, float]:
        """Advance by `elapsed` s; returns references (6,) in rad and the fingers' target in m."""
        self._play(elapsed)
        joints = np.array([reference.advance(elapsed) for reference in self.references or ()])
        return joints, self.gripper.advance(finger, elapsed)

    def _references(self, name: str) -> list[Reference]:
        names = GROUPS.get(name, (name,))
        return [r for joint, r in zip(JOINT_NAMES, self.references or (), strict=False) if joint in names]
