# SPDX-License-Identifier: Apache-2.0
"""Devices: joy and twist of one decision, buttons that go down, a terminal's keyboard."""

from __future__ import annotations

import os
import pty
import termios

import numpy as np
import pytest

from ptr_teleop.devices.base import Button
from ptr_teleop.devices.joy import JoyDevice, JoyLayout
from ptr_teleop.devices.keyboard import HOLD, KeyboardDevice

TWIST = (0.1, 0.0, -0.05, 0.0, 0.0, 0.0)


def buttons(*down: int) -> list[int]:
    return [int(index in down) for index in range(7)]


def test_a_paired_source_gives_one_reading_per_decision() -> None:
    device = JoyDevice("scripted", 0.2, paired=True)
    device.on_twist(TWIST, 100, 0.0)
    assert device.read(0.0) is None  # its joy has not arrived
    device.on_joy(buttons(0, 1), [], 100, 0.0)
    reading = device.read(0.0)
    assert (reading.deadman, reading.gripper) == (True, 0.0)
    assert np.array_equal(reading.twist, TWIST)
    assert device.read(0.0) is None  # the same decision is not given twice
    device.on_joy(buttons(0, 2), [], 300, 0.2)
    assert device.read(0.2) is None
    device.on_twist(TWIST, 300, 0.2)
    assert device.read(0.2).gripper == 1.0


def test_a_button_counts_when_it_goes_down() -> None:
    device = JoyDevice("joy", 0.1)
    device.on_joy(buttons(3), [], 1, 0.0)
    device.on_joy(buttons(3), [], 2, 0.1)
    assert device.presses() == {Button.START}
    device.on_joy(buttons(), [], 3, 0.2)
    device.on_joy(buttons(4), [], 4, 0.3)
    assert device.presses() == {Button.SAVE}
    assert device.presses() == frozenset()


def test_a_silent_source_gives_nothing() -> None:
    device = JoyDevice("joy", 0.1, timeout=0.5)
    device.on_twist(TWIST, 1, 0.0)
    device.on_joy(buttons(0), [], 1, 0.0)
    assert device.read(0.5).deadman
    assert device.read(0.51) is None


def test_a_trigger_sets_the_opening() -> None:
    device = JoyDevice("joy", 0.1, layout=JoyLayout(gripper_axis=1))
    device.on_twist(TWIST, 1, 0.0)
    for value, opening in ((1.0, 1.0), (0.0, 0.5), (-1.0, 0.0)):
        device.on_joy(buttons(0), [0.3, value], 1, 0.0)
        assert device.read(0.0).gripper == opening


def test_fewer_buttons_than_the_layout_names_are_not_down() -> None:
    device = JoyDevice("joy", 0.1)
    device.on_twist(TWIST, 1, 0.0)
    device.on_joy([1], [], 1, 0.0)
    assert device.read(0.0).deadman
    assert device.presses() == frozenset()


@pytest.fixture
def terminal():
    """The two ends of a terminal: what the person types into, and the file that the device reads."""
    person, computer = pty.openpty()
    with os.fdopen(computer, "rb", buffering=0) as stream:
        yield person, stream
    os.close(person)


def test_a_key_moves_while_it_repeats(terminal) -> None:
    person, stream = terminal
    device = KeyboardDevice(0.1, 0.5, 0.1, stream)
    os.write(person, b"wu")
    reading = device.read(10.0)
    assert np.allclose(reading.twist, [0.1, 0, 0, 0, 0, 0.5])
    assert reading.deadman
    assert device.read(10.0 + 0.9 * HOLD).deadman
    assert not device.read(10.0 + HOLD).deadman
    device.close()


def test_keys_of_the_recorder_and_the_gripper(terminal) -> None:
    person, stream = terminal
    device = KeyboardDevice(0.1, 0.5, 0.1, stream)
    os.write(person, b"r \n")
    reading = device.read(0.0)
    assert reading.gripper == 0.0
    assert not reading.twist.any()
    assert device.presses() == {Button.START, Button.SAVE}
    os.write(person, b" x")
    assert device.read(1.0).gripper == 1.0
    assert device.presses() == {Button.DISCARD}
    device.close()


def test_the_terminal_gets_its_modes_back(terminal) -> None:
    _, stream = terminal
    before = termios.tcgetattr(stream)
    device = KeyboardDevice(0.1, 0.5, 0.1, stream)
    assert termios.tcgetattr(stream) != before
    device.close()
    assert termios.tcgetattr(stream) == before


def test_without_a_terminal_the_keyboard_says_so(tmp_path) -> None:
    with (tmp_path / "file").open("wb") as stream, pytest.raises(OSError, match="needs a terminal"):
        KeyboardDevice(0.1, 0.5, 0.1, stream)
