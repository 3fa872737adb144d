# SPDX-License-Identifier: Apache-2.0
"""The keyboard of the console's page."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_teleop.devices.packet_latency import MAX_AGE
from ptr_teleop.devices.packets import PacketError
from ptr_teleop.devices.page_keyboard import PageKeyboardDevice, parse


def text(sequence: int, *keys: str, deadman: bool = True, t: float | None = None, **fields: Any) -> str:
    sent = 50.0 * sequence if t is None else t
    whole = {"v": 1, "session": "s", "seq": sequence, "t": sent, "keys": list(keys), "deadman": deadman}
    return json.dumps(whole | fields)


@pytest.fixture
def device() -> PageKeyboardDevice:
    return PageKeyboardDevice(0.1, 0.5, 0.1)


def test_keys_move_while_they_are_held_and_packets_come(device: PageKeyboardDevice) -> None:
    device.on_packet(text(0, "w", "o"), 1.0)
    reading = device.read(1.0)
    assert reading.deadman
    assert reading.twist == pytest.approx([0.1, 0, 0, 0, 0, -0.5])
    assert device.read(1.0 + MAX_AGE - 0.01).deadman
    assert device.read(1.0 + MAX_AGE + 0.01).lost
    device.on_packet(text(1), 1.05)
    assert not device.read(1.05).deadman


def test_slow_mode_moves_at_a_quarter_of_the_speed(device: PageKeyboardDevice) -> None:
    device.on_packet(text(0, "w", "o", slow=True), 1.0)
    assert device.read(1.0).twist == pytest.approx([0.025, 0, 0, 0, 0, -0.125])
    device.on_packet(text(1, "w", slow=False), 1.05)
    assert device.read(1.05).twist[0] == pytest.approx(0.1)


def test_opposite_keys_cancel_but_hold_the_deadman(device: PageKeyboardDevice) -> None:
    device.on_packet(text(0, "a", "d"), 1.0)
    reading = device.read(1.0)
    assert (reading.deadman, reading.twist.any()) == (True, False)


def test_nothing_moves_without_the_pages_deadman(device: PageKeyboardDevice) -> None:
    device.on_packet(text(0, "w", " ", deadman=False), 1.0)
    reading = device.read(1.0)
    assert (reading.deadman, reading.toggle) == (False, False)


def test_the_space_bar_toggles_once_per_press(device: PageKeyboardDevice) -> None:
    toggles = []
    for k, keys in enumerate(([" "], [" "], [], [" ", "w"])):
        device.on_packet(text(k, *keys), 1.0 + 0.05 * k)
        toggles.append(device.read(1.0 + 0.05 * k).toggle)
    assert toggles == [True, False, False, True]


def test_a_page_that_stalled_does_not_move_the_arm_with_what_it_sends_late(device: PageKeyboardDevice) -> None:
    for k in range(3):
        device.on_packet(text(k, "w"), 1.0 + 0.05 * k)
    device.on_packet(text(3, "w"), 2.0)
    assert device.read(2.0).lost


def test_other_keys_are_not_the_deadman(device: PageKeyboardDevice) -> None:
    device.on_packet(text(0, "shift", "r"), 1.0)
    assert not device.read(1.0).deadman
    assert device.presses() == frozenset()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"keys": "w"}, "keys is not a list"),
        ({"keys": [1]}, "keys is not a list"),
        ({"keys": ["w"] * 33}, "at most 32"),
        ({"deadman": "yes"}, "deadman is 'yes'"),
        ({"slow": 1}, "slow is 1"),
        ({"seq": None}, "seq holds None"),
        ({"session": 3}, "session is 3"),
    ],
)
def test_a_packet_that_is_wrong_is_refused_with_the_field(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(PacketError, match=why):
        parse(text(0, **wrong))


@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_is_taken_or_refused_and_moves_nothing(texts: list[str]) -> None:
    device = PageKeyboardDevice(0.1, 0.5, 0.1)
    for k, packet in enumerate(texts):
        device.on_packet(packet, 0.01 * k)
    assert device.read(0.1) is None
    assert device.values()["refused"] == str(len(texts))


def test_refusals_are_told_once_a_second(device: PageKeyboardDevice) -> None:
    for k in range(100):
        device.on_packet("nonsense", 5.0 + 0.01 * k)
    assert len(device.notices()) == 1
    device.on_packet("nonsense", 6.1)
    assert len(device.notices()) == 1
