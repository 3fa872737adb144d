# SPDX-License-Identifier: Apache-2.0
"""The buttons of a Joy: their indices, and which are down or were just pressed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptr_teleop.devices.base import Button


@dataclass(frozen=True)
class Buttons:
    """Indices in `Joy.buttons`; -1: none.

    Attributes:
        deadman: -1: none; the deadman counts as held while the device is deflected.
        toggle: starts an episode, or saves the current one as a success.
        next: moves the arm to its start and, in simulation, sets up the next scene.
    """

    deadman: int = 0
    close: int = 1
    open: int = 2
    start: int = 3
    save: int = 4
    fail: int = 5
    discard: int = 6
    toggle: int = -1
    next: int = -1

    def request_buttons(self) -> dict[Button, int]:
        """The index of each button that sends a request to the recorder or the scene."""
        return {
            Button.START: self.start,
            Button.SAVE: self.save,
            Button.FAIL: self.fail,
            Button.DISCARD: self.discard,
            Button.TOGGLE: self.toggle,
            Button.NEXT: self.next,
        }


class ButtonPanel:
    """Which buttons are down, and which were just pressed."""

    def __init__(self, layout: Buttons) -> None:
        self._layout = layout
        self._down: frozenset[int] = frozenset()

    def advance(self, buttons: Sequence[int]) -> frozenset[Button]:
        """Process the state of all buttons; returns the requests whose buttons were just pressed."""
        before, self._down = self._down, frozenset(k for k, value in enumerate(buttons) if value)
        fresh = self._down - before
        return frozenset(button for button, index in self._layout.request_buttons().items() if index in fresh)

    def down(self, index: int) -> bool:
        """True while the button of this index is held."""
        return index in self._down

    @property
    def gripper(self) -> float | None:
        """The opening requested by the two gripper buttons; None while neither or both are held."""
        close, open_ = self.down(self._layout.close), self.down(self._layout.open)
        return None if close == open_ else float(open_)
