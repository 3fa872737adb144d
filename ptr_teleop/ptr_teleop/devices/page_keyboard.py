# SPDX-License-Identifier: Apache-2.0
"""The keyboard of the console's page: which keys are held, several times a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptr_teleop.devices.base import Outbox, Reading
from ptr_teleop.devices.keys import GRIPPER, MOTIONS, direction
from ptr_teleop.devices.link import MAX_AGE, Arrival, Link
from ptr_teleop.devices.packets import PacketError, flag, load, number, word
from ptr_teleop.devices.refusals import Refusals


@dataclass(frozen=True)
class KeyState:
    """One packet of the page.

    Attributes:
        session, sequence, sent: see `Link.receive`; `sent` in s.
        keys: what is held down.
        deadman: the page may drive.
    """

    session: str
    sequence: int
    sent: float
    keys: frozenset[str]
    deadman: bool


def parse(text: str) -> KeyState:
    """The packet of a JSON text.

    Raises:
        PacketError: with one sentence that names the field.
    """
    packet = load(text)
    keys = packet.get("keys")
    if not isinstance(keys, list) or len(keys) > 32 or not all(isinstance(key, str) for key in keys):
        raise PacketError("a packet was refused: keys is not a list of at most 32 texts")
    session = word(packet, "session") if "session" in packet else ""
    sequence, sent = int(number(packet, "seq", 0.0)), number(packet, "t") * 1e-3
    return KeyState(session, sequence, sent, frozenset(keys), flag(packet, "deadman"))


class PageKeyboardDevice(Outbox):
    """Keys held in the page become a twist of fixed speed, as long as packets come.

    Args:
        speed: m/s of a translation key.   turn: rad/s of a rotation key.
        horizon: s, for how long a reading's twist holds.
        max_age: s, an older packet does not move the arm.
    """

    source = "page_keyboard"

    def __init__(self, speed: float, turn: float, horizon: float, max_age: float = MAX_AGE) -> None:
        super().__init__()
        self._max_age = max_age
        self.horizon = horizon
        self._scale = np.array([speed] * 3 + [turn] * 3)
        self._link = Link()
        self._state: KeyState | None = None
        self._toggle = False
        self._refusals = Refusals(self._notices)

    def on_packet(self, text: str, now: float) -> None:
        """Take a packet that arrived at `now` (s, steady clock)."""
        try:
            state = parse(text)
        except PacketError as error:
            self._refusals.add(str(error), now)
            return
        arrival = self._link.receive(state.session, state.sequence, state.sent, now)
        if arrival in (Arrival.FOREIGN, Arrival.OLD):
            self._refusals.add(f"a packet of the page's keyboard was refused: it is {arrival.value}", now)
            return
        if arrival is Arrival.JUMPED:
            self._notices.append("the clock of the page jumped: ages are measured anew")
        before, self._state = self._state, state
        if state.deadman and GRIPPER in state.keys and (before is None or GRIPPER not in before.keys):
            self._toggle = True

    def read(self, now: float) -> Reading | None:
        """See `Device.read`."""
        toggle, self._toggle = self._toggle, False
        state = self._state
        if state is None:
            return None
        motions = state.keys & (MOTIONS.keys() | {GRIPPER})
        held = state.deadman and bool(motions)
        if self._link.age(now) > self._max_age:
            return Reading(lost=held)
        return Reading(direction(motions) * self._scale, deadman=held, toggle=toggle and held)

    def values(self) -> dict[str, str]:
        """See `Device.values`."""
        return {"refused": str(self._refusals.count)}
