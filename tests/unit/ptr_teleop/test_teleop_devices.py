# SPDX-License-Identifier: Apache-2.0
"""Devices: response curves, presses, joy and twist, and a terminal's keyboard."""

from __future__ import annotations

import os
import pty
import termios

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_teleop.devices.base import Button, DeviceError
from ptr_teleop.devices.button_press import Press, PressTimer
from ptr_teleop.devices.joy import LAYOUTS, JoyDevice, layout_named
from ptr_teleop.devices.joy_buttons import Buttons
from ptr_teleop.devices.keyboard import HOLD, KeyboardDevice
from ptr_teleop.devices.motion_deadman import LINGER
from ptr_teleop.devices.response import Response
from ptr_teleop.devices.twist import TwistDevice

TWIST = (0.1, 0.0, -0.05, 0.0, 0.0, 0.0)
NO_DEADMAN = Buttons(deadman=-1)


def buttons(*down: int, count: int = 7) -> list[int]:
    return [int(index in down) for index in range(count)]


def six(value: float, index: int = 0) -> np.ndarray:
    axes = np.zeros(6)
    axes[index] = value
    return axes


# --- response curve ---------------------------------------------------------------------------------------


@given(st.floats(-1.5, 1.5), st.floats(0.0, 0.5), st.floats(0.0, 1.0))
def test_a_response_is_odd_bounded_and_starts_at_zero(deflection: float, deadzone: float, expo: float) -> None:
    response = Response(deadzone=deadzone, expo=expo)
    speed = response.shape(six(deflection))[0]
    assert response.shape(six(-deflection))[0] == -speed
    assert abs(speed) <= 1.0
    assert (speed == 0.0) == (abs(deflection) <= deadzone) or abs(speed) < 1e-6


def test_a_response_reaches_the_end_and_is_finer_in_the_middle() -> None:
    response = Response(deadzone=0.1, expo=0.5)
    assert response.shape(six(1.0))[0] == pytest.approx(1.0)
    assert response.shape(six(0.55))[0] == pytest.approx(0.5 * 0.5 + 0.5 * 0.5**3)
    assert response.shape(six(0.1)).tolist() == [0.0] * 6


def test_gains_are_per_axis() -> None:
    gains = (1.0, -1.0, 0.5, 0.0, 2.0, 1.0)
    assert Response(gain=gains, deadzone=0.0).shape(np.ones(6)).tolist() == list(gains)


@pytest.mark.parametrize(
    "wrong", [{"gain": (1.0, 2.0)}, {"gain": (float("nan"),) * 6}, {"deadzone": 1.0}, {"expo": 2.0}]
)
def test_a_response_that_makes_no_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(DeviceError):
        Response(**wrong)


# --- presses ----------------------------------------------------------------------------------------------


def test_a_short_press_is_told_at_its_end_a_long_one_when_it_is_long() -> None:
    timer = PressTimer(long=1.0)
    assert [timer.advance(down, now) for down, now in ((True, 0.0), (True, 0.9), (False, 0.95))] == [
        None,
        None,
        Press.SHORT,
    ]
    told = [timer.advance(down, now) for down, now in ((True, 2.0), (True, 3.0), (True, 3.5), (False, 4.0))]
    assert told == [None, Press.LONG, None, None]


# --- twist ------------------------------------------------------------------------------------------------


def test_a_paired_source_gives_one_reading_per_decision() -> None:
    device = TwistDevice("scripted", 0.2, paired=True)
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
    device = TwistDevice("twist", 0.1)
    device.on_joy(buttons(3), [], 1, 0.0)
    device.on_joy(buttons(3), [], 2, 0.1)
    assert device.presses() == {Button.START}
    device.on_joy(buttons(), [], 3, 0.2)
    device.on_joy(buttons(4), [], 4, 0.3)
    assert device.presses() == {Button.SAVE}
    assert device.presses() == frozenset()


def test_a_silent_source_is_lost_while_its_deadman_is_held() -> None:
    device = TwistDevice("twist", 0.1, timeout=0.5)
    device.on_twist(TWIST, 1, 0.0)
    device.on_joy(buttons(0), [], 1, 0.0)
    assert device.read(0.5).deadman
    assert device.read(0.51).lost
    device.on_joy(buttons(), [], 2, 0.6)
    assert not device.read(2.0).lost


@pytest.mark.parametrize("button", [0, 1])
def test_before_the_first_state_of_the_buttons_there_is_no_reading(button: int) -> None:
    device = TwistDevice("twist", 0.1, layout=Buttons(deadman=button))
    device.on_twist(TWIST, 1, 0.0)
    assert device.read(0.0) is None
    device.on_joy(buttons(button), [], 1, 0.0)
    assert device.read(0.0).deadman


def test_fewer_buttons_than_the_layout_names_are_not_down() -> None:
    device = TwistDevice("twist", 0.1)
    device.on_twist(TWIST, 1, 0.0)
    device.on_joy([1], [], 1, 0.0)
    assert device.read(0.0).deadman
    assert device.presses() == frozenset()


def test_a_twist_without_any_joy_is_its_own_deadman() -> None:
    device = TwistDevice("twist", 0.1, layout=NO_DEADMAN)
    assert not device.read(0.0).deadman
    device.on_twist(TWIST, 1, 0.0)
    assert device.read(0.0).deadman
    device.on_twist((0.0,) * 6, 2, 0.1)
    assert device.read(0.1).deadman  # passing through the middle is no release
    assert not device.read(0.1 + LINGER).deadman


def test_a_twist_that_is_not_finite_is_refused_with_its_numbers() -> None:
    device = TwistDevice("twist", 0.1, layout=NO_DEADMAN)
    device.on_twist((float("nan"), 0, 0, 0, 0, 0), 1, 0.0)
    assert not device.read(0.0).deadman
    (notice,) = device.notices()
    assert "nan" in notice


def test_a_twist_that_is_not_finite_holds_the_arm_until_a_sound_one_comes() -> None:
    device = TwistDevice("twist", 0.1)
    device.on_twist(TWIST, 1, 0.0)
    device.on_joy([1], [], 1, 0.0)
    device.on_twist((float("nan"), 0, 0, 0, 0, 0), 2, 0.05)
    assert device.read(0.05).lost
    device.on_twist(TWIST, 3, 0.1)
    assert device.read(0.1).deadman and not device.read(0.1).lost


# --- joy --------------------------------------------------------------------------------------------------


def joy(layout: str = "game_controller", **more: object) -> JoyDevice:
    return JoyDevice(0.1, 0.2, 0.5, LAYOUTS[layout], Response(deadzone=0.0), **more)


def test_a_joy_that_is_not_finite_holds_the_arm_until_a_sound_one_comes() -> None:
    device = joy()
    axes = [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    device.on_joy(buttons(9, count=11), axes, 1, 0.0)
    assert device.read(0.0).deadman
    device.on_joy(buttons(count=11), [float("inf"), *axes[1:]], 2, 0.05)
    assert device.read(0.05).lost
    assert "inf" in device.notices()[0]
    device.on_joy(buttons(9, count=11), axes, 3, 0.1)
    assert not device.read(0.1).lost


def test_a_gamepad_moves_while_its_shoulder_button_is_held() -> None:
    device = joy()
    axes = [0.5, 1.0, 0.0, -1.0, 0.0, 0.0]  # left stick left and up, right stick down
    device.on_joy(buttons(count=11), axes, 1, 0.0)
    assert not device.read(0.0).deadman
    device.on_joy(buttons(9, count=11), axes, 2, 0.0)
    reading = device.read(0.0)
    assert reading.deadman
    assert reading.twist == pytest.approx([0.2, 0.1, -0.2, 0, 0, 0])


def test_the_second_shoulder_turns_moving_into_turning() -> None:
    device = joy()
    device.on_joy(buttons(9, 10, count=11), [0.5, 1.0, -1.0, 0.0, 0.0, 0.0], 1, 0.0)
    assert device.read(0.0).twist == pytest.approx([0, 0, 0, 0.25, 0.5, -0.5])


def test_the_buttons_of_a_gamepad() -> None:
    device = joy()
    for index, button in ((6, Button.TOGGLE), (3, Button.FAIL), (4, Button.DISCARD)):
        device.on_joy(buttons(9, index, count=11), [0.0] * 6, 1, 0.0)
        assert device.presses() == {button}
    device.on_joy(buttons(9, 2, count=11), [0.0] * 6, 1, 0.0)
    assert device.read(0.0).gripper == 0.0


def test_spacenav_needs_no_deadman_button() -> None:
    device = joy("spacenav")
    device.on_joy([0, 0], [0.0, 0.0, 1.0, 0.0, 0.0, -0.5], 1, 0.0)
    assert device.read(0.0).twist == pytest.approx([0, 0, 0.2, 0, 0, -0.25])
    device.on_joy([1, 0], [0.0] * 6, 1, 5.0)
    assert device.read(5.0).gripper == 0.0


def test_a_joy_that_falls_silent_while_its_deadman_is_held_is_lost() -> None:
    device = joy()
    assert device.read(0.0) is None  # whether its deadman is held is not known before the first message
    device.on_joy(buttons(9, count=11), [0.0] * 6, 1, 0.0)
    assert device.read(0.6).lost


def test_a_joy_with_few_axes_or_numbers_that_are_none_moves_nothing_by_them() -> None:
    device = joy()
    device.on_joy(buttons(9, count=11), [], 1, 0.0)
    assert not device.read(0.0).twist.any()
    device.on_joy(buttons(9, count=11), [float("inf")], 1, 1.0)
    assert "inf" in device.notices()[0]


def test_an_unknown_layout_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DeviceError, match="game_controller"):
        layout_named("wheel")


# --- keyboard ---------------------------------------------------------------------------------------------


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


def test_shift_makes_a_key_slow_and_two_keys_change_the_speed_of_all(terminal) -> None:
    person, stream = terminal
    device = KeyboardDevice(0.1, 0.5, 0.1, stream)
    os.write(person, b"Wa")
    assert np.allclose(device.read(0.0).twist, [0.025, 0.1, 0, 0, 0, 0])
    os.write(person, b"--w")
    assert np.allclose(device.read(1.0).twist, [0.05, 0, 0, 0, 0, 0])
    assert device.values() == {"speed": "50%"}
    os.write(person, b"-----W")
    assert np.allclose(device.read(2.0).twist, [0.0025, 0, 0, 0, 0, 0])
    os.write(person, b"+=+++++")
    device.read(3.0)
    assert device.values() == {"speed": "100%"}
    device.close()


def test_keys_of_the_recorder_and_the_gripper(terminal) -> None:
    person, stream = terminal
    device = KeyboardDevice(0.1, 0.5, 0.1, stream)
    os.write(person, b"r \n")
    reading = device.read(0.0)
    assert (reading.toggle, reading.deadman) == (True, True)
    assert not reading.twist.any()
    assert not device.read(0.01).toggle  # once
    assert device.presses() == {Button.START, Button.SAVE}
    os.write(person, b"x")
    device.read(1.0)
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
    with (tmp_path / "file").open("wb") as stream, pytest.raises(DeviceError, match="needs a terminal"):
        KeyboardDevice(0.1, 0.5, 0.1, stream)


def test_a_terminal_that_is_closed_releases_the_deadman_and_says_so() -> None:
    person, computer = pty.openpty()
    with os.fdopen(computer, "rb", buffering=0) as stream:
        device = KeyboardDevice(0.1, 0.5, 0.1, stream)
        os.write(person, b"w")
        assert device.read(0.0).deadman
        os.close(person)
        assert not device.read(1.0).deadman
        assert device.fileno() is None
        assert "terminal was closed" in device.notices()[0]
        device.close()
