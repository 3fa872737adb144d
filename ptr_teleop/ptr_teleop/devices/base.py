# SPDX-License-Identifier: Apache-2.0
"""What every input device gives: a wish for the arm, the buttons that were pressed, and what a person must know."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from ptr_models.common.errors import PtrError


class DeviceError(PtrError):
    """A device can't be used; the text says why and what to do, in one sentence."""


class Button(enum.Enum):
    """What a press asks of the recorder, and of the scene."""

    START = "start"
    SAVE = "save"
    FAIL = "fail"
    KEEP = "keep unlabelled"
    DISCARD = "discard"
    TOGGLE = "start or save"
    NEXT = "next scene"


@dataclass(frozen=True)
class Hand:
    """Where the hand is, for devices that are moved through space.

    Attributes:
        position: (3,) m along the axes of base_link, from any fixed origin.
        rotation: (3, 3), of the hand's own axes against those of base_link.
        scale: m that the arm moves for each metre of the hand.
    """

    position: np.ndarray
    rotation: np.ndarray
    scale: float = 1.0


@dataclass(frozen=True)
class Reading:
    """What a device wishes of the arm.

    Attributes:
        twist: (6,) m/s along and rad/s about the axes of base_link; not used when there is a `hand`.
        gripper: wished opening, 0 = closed, 1 = open; None: leave it as it is.
        deadman: True while the human holds the device's deadman.
        hand: pose of the hand that the arm follows, relative to where both were when the deadman was pressed.
        trigger: `gripper` is the position of a trigger, which counts once it has met the arm's opening.
        toggle: open a closed gripper, close an open one.
        lost: the device fell silent or can't be trusted: hold, but this is no release of the deadman.
    """

    twist: np.ndarray = field(default_factory=lambda: np.zeros(6))
    gripper: float | None = None
    deadman: bool = False
    hand: Hand | None = None
    trigger: bool = False
    toggle: bool = False
    lost: bool = False


class Device(Protocol):
    """An input device: `source` names it in every command, `valid_for` (s) is for how long a reading's twist holds."""

    source: str
    valid_for: float

    def read(self, now: float) -> Reading | None:
        """The wish at time `now` (s, steady clock); None: nothing new since the last reading."""

    def presses(self) -> frozenset[Button]:
        """Buttons that were pressed since the last call."""

    def notices(self) -> list[str]:
        """Sentences for the person since the last call: what was refused, lost or changed."""

    def values(self) -> dict[str, str]:
        """Figures of the device for its status, by name."""

    def fileno(self) -> int | None:
        """The file whose readability means that `read` has something new; None: it is fed otherwise."""

    def close(self) -> None:
        """Give the device back (terminal modes, file descriptors)."""


@runtime_checkable
class TakesPackets(Protocol):
    """A device that a page feeds."""

    def on_packet(self, text: str, now: float) -> None:
        """Take a packet that arrived at `now` (s, steady clock)."""


@runtime_checkable
class TakesTwists(Protocol):
    """A device that a driver feeds with twists."""

    def on_twist(self, twist: Sequence[float], stamp_ns: int, now: float) -> None:
        """Take a twist: (6,) m/s and rad/s in base_link."""


@runtime_checkable
class TakesJoy(Protocol):
    """A device that a driver feeds with axes and buttons."""

    def on_joy(self, buttons: Sequence[int], axes: Sequence[float], stamp_ns: int, now: float) -> None:
        """Take the state of axes and buttons."""


class Outbox:
    """The presses and notices of a device until they are fetched; base class of the devices."""

    def __init__(self) -> None:
        self._pressed: set[Button] = set()
        self._notices: list[str] = []

    def presses(self) -> frozenset[Button]:
        """See `Device.presses`."""
        pressed, self._pressed = frozenset(self._pressed), set()
        return pressed

    def notices(self) -> list[str]:
        """See `Device.notices`."""
        notices = list(self._notices)
        self._notices.clear()
        return notices

    def values(self) -> dict[str, str]:
        """See `Device.values`."""
        return {}

    def fileno(self) -> int | None:
        """See `Device.fileno`."""
        return None

    def close(self) -> None:
        """See `Device.close`."""
