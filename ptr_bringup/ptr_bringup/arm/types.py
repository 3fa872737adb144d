# SPDX-License-Identifier: Apache-2.0
"""Input and output of the gate, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.gate.limits import Reason
from ptr_bringup.arm.model.kinematics import Array, Pose

_TURNS, _STROKE = 4.0 * np.pi, 1.0
"""rad for a joint, m for a finger; a larger value from a driver is not a position."""


@dataclass(frozen=True)
class JointMeasurement:
    """What the driver measured.

    Attributes:
        stamp: s.
        positions, velocities, efforts: (6,) rad, rad/s, and N m (simulator) or mA (Interbotix).
        finger: m, position of a finger joint.
    """

    stamp: float
    positions: Array
    velocities: Array
    efforts: Array
    finger: float

    @property
    def finite(self) -> bool:
        """True when the positions are finite and plausible: joints within two turns."""
        return bool((np.abs(self.positions) <= _TURNS).all() and abs(self.finger) <= _STROKE)


@dataclass(frozen=True)
class CommandOutput:
    """What passed the gate in one tick (see ExecutedCommand.msg)."""

    source: str
    command_stamp: float
    target: Pose
    gripper: float
    joints: Array
    reason: Reason


@dataclass(frozen=True)
class ArmStatus:
    """What the arm is doing (see ArmState.msg)."""

    stamp: float
    mode: Mode
    source: str
    measured: Pose
    commanded: Pose
    joints: JointMeasurement
    gripper: float
    gripper_commanded: float


@dataclass(frozen=True)
class SafetyChange:
    """The set of reasons changed (see SafetyEvent.msg); NONE: back to normal."""

    reason: Reason
    source: str
    message: str
    requested: Pose
    limited: Pose


@dataclass(frozen=True)
class MoveReport:
    """Progress of a move to a pose (0..1); `done` with or without `success`."""

    progress: float
    done: bool = False
    success: bool = False
    message: str = ""


@dataclass(frozen=True)
class Output:
    """What one tick decided.

    Attributes:
        joints: (6,) rad to send to the driver, None: send nothing.
        gripper: opening to send, 0..1.
        executed, state: None before the first joint state; `executed` also while joint states are stale.
        events: changes of the reasons, at most one.
        move: report of a move to a pose, None when there is none.
        notice: a warning for the log, or an empty string.
    """

    joints: Array | None
    gripper: float
    executed: CommandOutput | None
    state: ArmStatus | None
    events: tuple[SafetyChange, ...]
    move: MoveReport | None
    notice: str = ""
