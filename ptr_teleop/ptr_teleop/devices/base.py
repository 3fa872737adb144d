# SPDX-License-Identifier: Apache-2.0
"""What every input device gives: a wish for the arm and the buttons that were pressed."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


class Button(enum.Enum):
    """What a press asks of the recorder."""

    START = "start"
    SAVE = "save"
    FAIL = "fail"
    DISCARD = "discard"


@dataclass(frozen=True)
class Reading:
    """What a device wishes of the arm.

    Attributes:
        twist: (6,) m/s along and rad/s about the axes of base_link.
        gripper: wished opening, 0 = closed, 1 = open; None: leave it as it is.
        deadman: True while the human holds the device's deadman.
    """

    twist: np.ndarray = field(default_factory=lambda: np.zeros(6))
    gripper: float | None = None
    deadman: bool = False


class Device(Protocol):
    """An input device.

    `source` names it in every command. `horizon` (s) is for how long a reading's twist holds. A device whose
    `event_driven` is true is read when a message of it arrives, every other one at the node's rate.
    """

    source: str
    horizon: float
    event_driven: bool

    def read(self, now: float) -> Reading | None:
        """The wish at time `now` (s, steady clock); None: the device is silent, and no command is sent."""

    def presses(self) -> frozenset[Button]:
        """Buttons that went down since the last call."""

    def close(self) -> None:
        """Give the device back (terminal modes, file descriptors)."""
