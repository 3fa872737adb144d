# SPDX-License-Identifier: Apache-2.0
"""The buttons of a Joy: what their indices mean, which are down, and which went down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptr_teleop.devices.base import Button


@dataclass(frozen=True)
class Buttons:
    """Where things are in `Joy.buttons`; -1: not there.

    Attributes:
        deadman: -1: the device has none; it counts as held while it is deflected.
        toggle: starts an episode, or saves the one that is recorded as success.
        next: the arm goes to its start, and in simulation the next scene is laid.
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

    def of_recorder(self) -> dict[Button, int]:
        """The index of each button that asks something of the recorder or the scene."""
        return {
            Button.START: self.start,
            Button.SAVE: self.save,
            Button.FAIL: self.fail,
            Button.DISCARD: self.discard,
            Button.TOGGLE: self.toggle,
            Button.NEXT: self.next,
        }


class ButtonPanel:
    """Which buttons are down, and which of them went down."""

    def __init__(self, layout: Buttons) -> None:
        self._layout = layout
        self._down: frozenset[int] = frozenset()

    def advance(self, buttons: Sequence[int]) -> frozenset[Button]:
        """Take the state of all buttons; returns what was pressed of the recorder's."""
        before, self._down = self._down, frozenset(k for k, value in enumerate(buttons) if value)
        fresh = self._down - before
        return frozenset(button for button, index in self._layout.of_recorder().items() if index in fresh)

    def down(self, index: int) -> bool:
        """True while the button of this index is held."""
        return index in self._down

    @property
    def gripper(self) -> float | None:
        """The opening that the two gripper buttons ask for; None while neither or both are held."""
        close, open_ = self.down(self._layout.close), self.down(self._layout.open)
        return None if close == open_ else float(open_)
