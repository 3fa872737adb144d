# SPDX-License-Identifier: Apache-2.0
"""The interface of input devices: readings, pressed buttons, and notices for the person."""

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
    """What a button asks of the recorder or the scene."""

    START = "start"
    SAVE = "save"
    FAIL = "fail"
    KEEP = "keep unlabelled"
    DISCARD = "discard"
    TOGGLE = "start or save"
    NEXT = "next scene"


@dataclass(frozen=True)
class Hand:
    """Pose of the hand, for devices that are moved through space.

    Attributes:
        position: (3,) m along the axes of base_link, from any fixed origin.
        rotation: (3, 3), from the hand's axes to those of base_link.
        scale: m of the arm per m of the hand.
    """

    position: np.ndarray
    rotation: np.ndarray
    scale: float = 1.0


@dataclass(frozen=True)
class Reading:
    """What a device requests of the arm.

    Attributes:
        twist: (6,) m/s along and rad/s about the axes of base_link; ignored if there is a `hand`.
        gripper: requested opening, 0 = closed, 1 = open; None: unchanged.
        deadman: True while the human holds the device's deadman.
        hand: pose that the arm follows, relative to both poses when the deadman was pressed.
        trigger: `gripper` is the position of a trigger; it takes effect once it matches the gripper's opening.
        toggle: open a closed gripper, close an open one.
        lost: the device is silent or can't be trusted: hold, without releasing the deadman.
    """

    twist: np.ndarray = field(default_factory=lambda: np.zeros(6))
    gripper: float | None = None
    deadman: bool = False
    hand: Hand | None = None
    trigger: bool = False
    toggle: bool = False
    lost: bool = False


class Device(Protocol):
    """An input device. `source` names it in every command; a reading's twist is valid for `valid_for` s."""

    source: str
    valid_for: float

    def read(self, now: float) -> Reading | None:
        """The request at time `now` (s, steady clock); None: nothing new since the last reading."""

    def presses(self) -> frozenset[Button]:
        """Buttons that were pressed since the last call."""

    def notices(self) -> list[str]:
        """Notices for the person since the last call: what was refused, lost or changed."""

    def values(self) -> dict[str, str]:
        """Figures of the device for its status, by name."""

    def fileno(self) -> int | None:
        """The file that is readable when `read` has new data; None: the device gets its data in another way."""

    def close(self) -> None:
        """Release the device (terminal modes, file descriptors)."""


@runtime_checkable
class PacketReceiver(Protocol):
    """A device that receives packets from the page."""

    def on_packet(self, text: str, now: float) -> None:
        """Process a packet that arrived at `now` (s, steady clock)."""


@runtime_checkable
class TwistReceiver(Protocol):
    """A device that receives twists from a driver."""

    def on_twist(self, twist: Sequence[float], stamp_ns: int, now: float) -> None:
        """Process a twist: (6,) m/s and rad/s in base_link."""


@runtime_checkable
class JoyReceiver(Protocol):
    """A device that receives axes and buttons from a driver."""

    def on_joy(self, buttons: Sequence[int], axes: Sequence[float], stamp_ns: int, now: float) -> None:
        """Process the state of axes and buttons."""


class BaseDevice:
    """Base class of devices: keeps presses and notices until they are fetched."""

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
