# SPDX-License-Identifier: Apache-2.0
"""The keyboard of the console's page, which sends the held keys several times a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptr_teleop.devices.base import BaseDevice, Reading
from ptr_teleop.devices.keys import GRIPPER, MOTIONS, SLOW, direction
from ptr_teleop.devices.packet_latency import MAX_AGE, Arrival, PacketLatency
from ptr_teleop.devices.packets import PacketError, flag, load, number, word
from ptr_teleop.devices.rejections import Rejections


@dataclass(frozen=True)
class KeyState:
    """One packet of the page.

    Attributes:
        session, sequence, sent: see `PacketLatency.receive`; `sent` in s.
        keys: held keys.
        deadman: the page may drive.
        slow: drive at a quarter of the speed.
    """

    session: str
    sequence: int
    sent: float
    keys: frozenset[str]
    deadman: bool
    slow: bool = False


def parse(text: str) -> KeyState:
    """The packet of a JSON text.

    Raises:
        PacketError: the message names the field.
    """
    packet = load(text)
    keys = packet.get("keys")
    if not isinstance(keys, list) or len(keys) > 32 or not all(isinstance(key, str) for key in keys):
        raise PacketError("a packet was refused: keys is not a list of at most 32 texts")
    session = word(packet, "session") if "session" in packet else ""
    sequence, sent = int(number(packet, "seq", 0.0)), number(packet, "t") * 1e-3
    slow = flag(packet, "slow") if "slow" in packet else False
    return KeyState(session, sequence, sent, frozenset(keys), flag(packet, "deadman"), slow)


class PageKeyboardDevice(BaseDevice):
    """Turns keys held in the page into a twist of fixed speed, while packets arrive.

    Args:
        speed: m/s of a translation key.   turn: rad/s of a rotation key.
        valid_for: s for which a reading's twist is valid.
        max_age: s, an older packet does not move the arm.
    """

    source = "page_keyboard"

    def __init__(self, speed: float, turn: float, valid_for: float, max_age: float = MAX_AGE) -> None:
        super().__init__()
        self._max_age = max_age
        self.valid_for = valid_for
        self._scale = np.array([speed] * 3 + [turn] * 3)
        self._latency = PacketLatency()
        self._state: KeyState | None = None
        self._toggle = False
        self._rejections = Rejections(self._notices)

    def on_packet(self, text: str, now: float) -> None:
        """Process a packet that arrived at `now` (s, steady clock)."""
        try:
            state = parse(text)
        except PacketError as error:
            self._rejections.add(str(error), now)
            return
        arrival = self._latency.receive(state.session, state.sequence, state.sent, now)
        if arrival in (Arrival.FOREIGN, Arrival.OUTDATED):
            self._rejections.add(f"a packet of the page's keyboard was refused: it is {arrival.value}", now)
            return
        if arrival is Arrival.JUMPED:
            self._notices.append("the page's clock jumped: packet ages are measured from the new time")
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
        if self._latency.age(now) > self._max_age:
            return Reading(lost=held)
        scale = self._scale * (SLOW if state.slow else 1.0)
        return Reading(direction(motions) * scale, deadman=held, toggle=toggle and held)

    def values(self) -> dict[str, str]:
        """See `Device.values`."""
        return {"refused": str(self._rejections.count)}
