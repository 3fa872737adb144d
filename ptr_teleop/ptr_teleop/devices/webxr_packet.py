# SPDX-License-Identifier: Apache-2.0
"""The packets of a WebXR session: docs/reference/webxr.md describes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ptr_teleop.devices.packets import PacketError, flag, load, number, vector, word

HANDS = ("right", "left", "none")
MAX_DISTANCE = 50.0
"""m from the origin; a pose beyond is invalid."""


@dataclass(frozen=True)
class Controller:
    """One tracked controller, or a phone.

    Attributes:
        position: (3,) m, grip space in the local-floor frame: x right, y up, z backward.
        orientation: (4,) unit quaternion x, y, z, w in that frame.
        ray: (3,) pointing direction in that frame.
        grip, trigger: 0 = released, 1 = squeezed.
        a, b, stick_pressed: buttons.
        stick: x right, y down (as WebXR has it), each in [-1, 1].
    """

    position: np.ndarray
    orientation: np.ndarray
    ray: np.ndarray
    grip: float
    trigger: float
    a: bool
    b: bool
    stick: tuple[float, float]
    stick_pressed: bool


@dataclass(frozen=True)
class WebXRPacket:
    """One packet.

    Attributes:
        session, sequence, sent: see `PacketLatency.receive`; `sent` in s.
        hands: the tracked controllers by handedness.
    """

    session: str
    sequence: int
    sent: float
    hands: dict[str, Controller]


def parse(text: str) -> WebXRPacket:
    """The packet of a JSON text.

    Raises:
        PacketError: the message names the field.
    """
    packet = load(text)
    hands = packet.get("hands")
    if not isinstance(hands, dict) or not hands.keys() <= set(HANDS):
        raise PacketError(f"a packet was refused: hands is not an object with keys among {', '.join(HANDS)}")
    controllers = {name: _controller(hand) for name, hand in hands.items()}
    session = word(packet, "session") if "session" in packet else ""
    return WebXRPacket(session, int(number(packet, "seq", 0.0)), number(packet, "t") * 1e-3, controllers)


def _controller(hand: Any) -> Controller:
    if not isinstance(hand, dict):
        raise PacketError("a packet was refused: a hand is not an object")
    orientation = np.array(vector(hand, "orientation", 4, 2.0))
    length = float(np.linalg.norm(orientation))
    if not 0.9 <= length <= 1.1:
        raise PacketError(f"a packet was refused: orientation is not a unit quaternion, its length is {length:.3f}")
    orientation /= length
    x, y = vector(hand, "stick", 2, 1.01)
    return Controller(
        np.array(vector(hand, "position", 3, MAX_DISTANCE)),
        orientation,
        _ray(hand, orientation),
        number(hand, "grip", -0.01, 1.01),
        number(hand, "trigger", -0.01, 1.01),
        flag(hand, "a"),
        flag(hand, "b"),
        (x, y),
        flag(hand, "stick_pressed"),
    )


def _ray(hand: dict[str, Any], orientation: np.ndarray) -> np.ndarray:
    """Pointing direction of the controller: from the packet, or else -z of the pose."""
    if "ray" not in hand:
        x, y, z, w = orientation
        return -np.array([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)])
    ray = np.array(vector(hand, "ray", 3, 2.0))
    length = math.sqrt(float(ray @ ray))
    if not 0.9 <= length <= 1.1:
        raise PacketError(f"a packet was refused: ray is not a unit vector, its length is {length:.3f}")
    return ray / length
