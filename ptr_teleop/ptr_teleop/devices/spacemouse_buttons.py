# SPDX-License-Identifier: Apache-2.0
"""What the buttons of a SpaceMouse do: two of them must be enough, more are used where a model has them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ptr_teleop.devices.base import Button
from ptr_teleop.devices.press import Press, PressTimer

CLOSE = ("LEFT", "MENU")
OPEN = ("RIGHT", "FIT")
RECORDER = {"BTN_1": Button.TOGGLE, "BTN_2": Button.FAIL, "ESC": Button.DISCARD}
"""By pyspacemouse's names; the Pro and Enterprise models have them."""


class SpaceMouseButtons:
    """Left closes, right opens; both together start an episode or save it, and discard it when held for 1 s.

    The gripper moves with the first of the two: a chord takes that back, so that it leaves the gripper alone.

    Args:
        names: of the model's buttons, in the order of its states.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._close, self._open = self._present(CLOSE), self._present(OPEN)
        self._down: frozenset[str] = frozenset()
        self._chord = PressTimer()
        self._in_chord = False
        self.pressed: set[Button] = set()

    def _present(self, candidates: Collection[str]) -> str | None:
        return next((name for name in candidates if name in self._names), None)

    @property
    def gripping(self) -> bool:
        """True while a gripper button is held outside of a chord."""
        return not self._in_chord and bool(self._down & {self._close, self._open})

    def advance(self, states: Sequence[int], now: float) -> float | None:
        """Take the state of all buttons at `now` (s).

        Returns:
            The opening that is wished; None: none. What is asked of the recorder is added to `pressed`.
        """
        before = self._down
        self._down = frozenset(name for name, state in zip(self._names, states, strict=False) if state)
        self.pressed |= {RECORDER[name] for name in self._down - before if name in RECORDER}
        close, open_ = self._close in self._down, self._open in self._down
        self._advance_chord(close and open_, now)
        if self._in_chord:
            self._in_chord = close or open_
            return None
        return None if close == open_ else float(open_)

    def _advance_chord(self, both: bool, now: float) -> None:
        self._in_chord = self._in_chord or both
        press = self._chord.advance(both, now)
        if press is not None:
            self.pressed.add(Button.DISCARD if press is Press.LONG else Button.TOGGLE)
