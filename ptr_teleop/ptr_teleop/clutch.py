# SPDX-License-Identifier: Apache-2.0
"""Turns a device's readings into commands. Releasing the deadman holds pose and gripper; pressing it starts over.

A device gives either a speed or the pose of a hand (a VR controller or a phone, `devices.webxr`). Hand motion is
relative: the target is the arm's commanded pose when the deadman was pressed, plus the hand's motion since then. The
error to that target becomes a twist. So motion that the gate clips is made up for later, and nothing drifts.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np

from ptr_models.common.rotations import rotation_vector_from_matrix
from ptr_teleop.devices.base import Hand, Reading

GAIN = 8.0
"""1/s, proportional gain towards the hand's target. The loop's delay is about 40 ms (two control ticks of the arm and
one of the device); a proportional loop does not overshoot while gain x delay is below 1/e."""
MATCH_TOLERANCE = 0.1
"""Share of the opening: a trigger this close to the gripper's opening matches it."""


@dataclass(frozen=True)
class ArmTarget:
    """The commanded state of the arm.

    Attributes:
        position, rotation: end effector in base_link, (3,) m and (3, 3).
        gripper: opening, 0 = closed, 1 = open.
    """

    position: np.ndarray
    rotation: np.ndarray
    gripper: float


@dataclass(frozen=True)
class TeleopCommand:
    """What the human asks of the arm now.

    Attributes:
        twist: (6,) m/s and rad/s in base_link; zero while the deadman is released.
        gripper: commanded opening, 0 = closed, 1 = open.
        deadman: False: hold pose and gripper.
    """

    twist: np.ndarray
    gripper: float
    deadman: bool


class State(enum.Enum):
    """State of the clutch."""

    UNARMED = "waits for a release of the deadman"
    RELEASED = "released"
    HELD = "held"
    LOST = "held, but the device is lost"


class Clutch:
    """Holds the gripper while the deadman is released, takes a new hand reference at each press, and caps the speed.

    Args:
        caps: m/s and rad/s, limits of each axis of the twist; None: the device limits itself.
        armed: False: a deadman that is already pressed is ignored until it has been released once.
    """

    def __init__(self, caps: tuple[float, float] | None, armed: bool = False) -> None:
        self._caps = caps
        self.state = State.RELEASED if armed else State.UNARMED
        self._gripper = 1.0
        self._matched = True
        self._former_trigger: float | None = None
        self._reference: tuple[Hand, ArmTarget] | None = None

    def advance(self, reading: Reading, arm: ArmTarget) -> TeleopCommand | None:
        """The command for a reading; None: nothing to send (released or lost, and already sent)."""
        former = self.state
        if reading.lost:
            return self.hold_lost()
        if not reading.deadman:
            self.state = State.RELEASED
            return self._hold(False) if former in (State.HELD, State.LOST) else None
        if former is State.UNARMED:
            return None
        if former is not State.HELD:
            self._press(arm)
        self.state = State.HELD
        self._advance_gripper(reading, arm)
        twist = reading.twist if reading.hand is None else self._follow(reading.hand, arm)
        return TeleopCommand(self._capped(twist), self._gripper, True)

    def disarm(self) -> TeleopCommand | None:
        """Another source has control: the deadman must be released before it counts again."""
        was_held, self.state = self.state in (State.HELD, State.LOST), State.UNARMED
        return self._hold(False) if was_held else None

    def hold_lost(self) -> TeleopCommand | None:
        """Stop at once but keep control: a lost device is not a release, which would hand the arm to a policy.

        Returns:
            None unless the deadman was held.
        """
        if self.state is not State.HELD:
            return None
        self.state = State.LOST
        return self._hold(True)

    def _hold(self, deadman: bool) -> TeleopCommand:
        return TeleopCommand(np.zeros(6), self._gripper, deadman)

    def _press(self, arm: ArmTarget) -> None:
        self._gripper, self._reference = arm.gripper, None
        self._matched, self._former_trigger = False, None

    def _advance_gripper(self, reading: Reading, arm: ArmTarget) -> None:
        if reading.toggle:
            self._gripper, self._matched = 0.0 if self._gripper > 0.5 else 1.0, False
        elif reading.gripper is not None:
            opening = float(np.clip(reading.gripper, 0.0, 1.0))
            self._matched = self._matched or not reading.trigger or self._matches(opening)
            if self._matched:
                self._gripper = opening

    def _matches(self, opening: float) -> bool:
        """Has the trigger reached or crossed the gripper's opening? Earlier, it would drop a grasped object."""
        before, self._former_trigger = self._former_trigger, opening
        crossed = before is not None and (before - self._gripper) * (opening - self._gripper) < 0.0
        return crossed or abs(opening - self._gripper) <= MATCH_TOLERANCE

    def _follow(self, hand: Hand, arm: ArmTarget) -> np.ndarray:
        """Twist (6,) towards the hand's target."""
        if self._reference is None or self._reference[0].scale != hand.scale:
            self._reference = hand, arm
        first, start = self._reference
        position = start.position + hand.scale * (hand.position - first.position)
        rotation = hand.rotation @ first.rotation.T @ start.rotation
        turn = rotation_vector_from_matrix(rotation @ arm.rotation.T)
        return GAIN * np.concatenate([position - arm.position, turn])

    def _capped(self, twist: np.ndarray) -> np.ndarray:
        """Scale translation and rotation down to their caps, each keeping its direction."""
        if self._caps is None:
            return twist
        parts = []
        for part, cap in zip((twist[:3], twist[3:]), self._caps, strict=True):
            fastest = float(np.abs(part).max())
            parts.append(part if fastest <= cap else part * (cap / fastest))
        return np.concatenate(parts)
