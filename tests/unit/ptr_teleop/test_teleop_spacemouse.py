# SPDX-License-Identifier: Apache-2.0
"""The SpaceMouse: reports of real models go through pyspacemouse's parser to a twist, buttons to the recorder.

Reports that were recorded from devices: a SpaceNavigator (a tap on its cap and three clicks, posted with the
question "How to get started reverse engineering SpaceNavigator peripheral data stream?", Stack Overflow; a turn to
the right, AndunHH/spacemouse, SpaceNavigator.md) and a SpaceMouse Compact (CloudCompare pull request 2339). Those
of the Wireless and the Pro are made after their report descriptors (AndunHH/spacemouse, SpaceMouseWireless.md).
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyspacemouse")

from ptr_teleop.devices import hidraw, spacemouse_hid  # noqa: E402
from ptr_teleop.devices.base import Button, DeviceError  # noqa: E402
from ptr_teleop.devices.motion_deadman import LINGER  # noqa: E402
from ptr_teleop.devices.response import Response  # noqa: E402
from ptr_teleop.devices.spacemouse import RETRY, SILENCE, SpaceMouseDevice  # noqa: E402
from ptr_teleop.devices.spacemouse_hid import SpaceMouseButtons  # noqa: E402

TAP = [
    "01 f8 ff 14 00 55 00", "02 00 00 15 00 00 00", "01 00 00 b0 ff 04 00", "02 a5 ff 00 00 00 00",
    "01 00 00 00 00 4b 00", "02 65 00 fe ff 00 00", "01 00 00 bd ff 00 00", "02 d7 ff 08 00 00 00",
]  # fmt: skip
COMPACT = ["02 20 00 00 00 17 00", "01 12 00 00 00 12 01"]
LEFT_CLICK, RELEASE = "03 01 00", "03 00 00"
STRAIGHT = Response(deadzone=0.0)


class Cable:
    """The far end of a FIFO that stands for /dev/hidrawN: each write is one report, as in the kernel."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.plug()

    def plug(self) -> None:
        self._end = os.open(self.path, os.O_RDWR)
        fcntl.fcntl(self._end, fcntl.F_SETFL, os.O_DIRECT)  # packets: one read returns what one write wrote

    def unplug(self) -> None:
        os.close(self._end)

    def send(self, *reports: str) -> None:
        for report in reports:
            os.write(self._end, bytes.fromhex(report))


@pytest.fixture
def cable(tmp_path: Path) -> Iterator[Cable]:
    cable = Cable(tmp_path / "hidraw0")
    yield cable
    cable.unplug()


def device_on(cable: Cable, model: str = "SpaceMouseCompact", response: Response = STRAIGHT) -> SpaceMouseDevice:
    return SpaceMouseDevice(0.1, 0.35, 3.5, response, str(cable.path), model)


def test_a_push_down_and_to_the_right_of_a_compact(cable: Cable) -> None:
    device = device_on(cable)
    cable.send(*COMPACT)
    reading = device.read(0.0)
    assert reading.deadman
    # raw: 18 right, 274 down; turned 32 about right, 23 about down; full deflection is 350
    assert reading.twist == pytest.approx([0, -0.018, -0.274, 0, -0.32, -0.23])


def test_each_report_of_a_tap_replaces_its_own_half_of_the_axes(cable: Cable) -> None:
    device = device_on(cable, "SpaceNavigator")
    cable.send(*TAP[:2])
    assert device.read(0.0).twist == pytest.approx([-0.020, 0.008, -0.085, -0.21, 0, 0])
    cable.send(TAP[2])
    assert device.read(0.008).twist == pytest.approx([0.080, 0, -0.004, -0.21, 0, 0])
    cable.send(*TAP[3:])
    assert device.read(0.016).twist == pytest.approx([0.067, 0, 0, -0.08, 0.41, 0])


def test_tilting_the_cap_to_the_right_rolls_to_the_right(cable: Cable) -> None:
    device = device_on(cable, "SpaceNavigator")
    cable.send("02 00 00 e2 ff 00 00")
    assert device.read(0.0).twist == pytest.approx([0, 0, 0, 0.30, 0, 0])


@given(st.lists(st.integers(-350, 350), min_size=6, max_size=6))
def test_the_wireless_sends_all_six_axes_in_one_report(raw: list[int]) -> None:
    model = spacemouse_hid.specifications()["SpaceMouseWireless"]
    x, y, z, rx, ry, rz = raw
    axes = axes_of(model, struct.pack("<B6h", 1, *raw))
    assert axes * 350 == pytest.approx([-y, -x, -z, -ry, -rx, -rz])


def axes_of(model: object, report: bytes) -> np.ndarray:
    """What one report means to pyspacemouse's parser."""
    from pyspacemouse import SpaceMouseDevice as Parser

    class OneReport:
        def read(self, size: int) -> bytes:
            return report.ljust(size, b"\0")

    state = Parser(model, OneReport()).read()
    return np.array([state.x, state.y, state.z, state.roll, state.pitch, state.yaw])


def test_beyond_the_end_stop_is_the_end_stop(cable: Cable) -> None:
    device = device_on(cable)
    cable.send("01 00 00 00 00 00 80")  # -32768, as a broken cable may send
    assert device.read(0.0).twist[2] == pytest.approx(0.35)


def test_within_the_dead_zone_the_deadman_is_released(cable: Cable) -> None:
    device = device_on(cable, response=Response(deadzone=0.08))
    cable.send("01 1b 00 00 00 00 00")  # 27 of 350
    reading = device.read(0.0)
    assert (reading.deadman, reading.twist.any()) == (False, False)


def test_back_in_the_middle_the_deadman_lingers_for_a_moment(cable: Cable) -> None:
    device = device_on(cable)
    cable.send("01 00 00 5e 01 00 00")
    assert device.read(0.0).twist == pytest.approx([-0.35, 0, 0, 0, 0, 0])
    cable.send("01 00 00 00 00 00 00")
    assert device.read(0.01).deadman
    assert not device.read(LINGER + 0.01).deadman


def test_a_cap_that_falls_silent_while_it_is_deflected_is_lost(cable: Cable) -> None:
    device = device_on(cable)
    cable.send("01 00 00 5e 01 00 00")
    assert device.read(0.0).deadman
    assert device.read(SILENCE + 0.01).lost
    assert "fell silent" in device.notices()[0]
    cable.send("01 00 00 00 00 00 00")
    assert not device.read(SILENCE + 0.02).lost
    assert device.notices() == []


def test_a_click_that_ends_between_two_looks_is_seen(cable: Cable) -> None:
    device = device_on(cable)
    cable.send(LEFT_CLICK, RELEASE)
    assert device.read(0.0).gripper == 0.0
    assert device.read(0.1).gripper is None


def test_unplugged_it_is_lost_and_plugged_in_again_it_is_back(cable: Cable) -> None:
    device = device_on(cable)
    cable.send("01 00 00 5e 01 00 00")
    assert device.read(0.0).deadman
    cable.unplug()
    assert device.read(0.1).lost
    assert device.fileno() is None
    assert "unplugged" in device.notices()[0]
    cable.plug()
    assert device.read(0.2).lost  # it does not look all the time
    device.read(0.1 + RETRY)
    reading = device.read(0.2 + RETRY)
    assert (reading.lost, reading.deadman) == (False, False)
    assert device.notices() == ["the SpaceMouse is back"]


# --- buttons ----------------------------------------------------------------------------------------------


def test_left_closes_and_right_opens() -> None:
    pair = SpaceMouseButtons(["LEFT", "RIGHT"])
    assert [pair.advance(state, 0.0) for state in ([1, 0], [0, 0], [0, 1])] == [0.0, None, 1.0]
    assert pair.pressed == set()


def test_both_together_start_or_save_and_leave_the_gripper_alone() -> None:
    pair = SpaceMouseButtons(["LEFT", "RIGHT"])
    wishes = [pair.advance(state, now) for now, state in enumerate_states([1, 1], [1, 0], [0, 0])]
    assert wishes == [None, None, None]
    assert pair.pressed == {Button.TOGGLE}


def test_both_held_for_a_second_discard() -> None:
    pair = SpaceMouseButtons(["LEFT", "RIGHT"])
    for now in (0.0, 0.5, 1.0, 1.5):
        pair.advance([1, 1], now)
    pair.advance([0, 0], 1.6)
    assert pair.pressed == {Button.DISCARD}


def test_the_further_buttons_of_a_pro(cable: Cable) -> None:
    device = device_on(cable, "SpaceMousePro")
    cable.send("03 01 00 00 00")  # MENU
    assert device.read(0.0).gripper == 0.0
    for now, (report, button) in enumerate(
        (("03 00 10 00 00", Button.TOGGLE), ("03 00 20 00 00", Button.FAIL), ("03 00 00 40 00", Button.DISCARD)), 1
    ):
        cable.send(report)
        device.read(float(now))
        assert device.presses() == {button}


def enumerate_states(*states: list[int]) -> list[tuple[float, list[int]]]:
    return [(0.02 * k, state) for k, state in enumerate(states)]


# --- finding it -------------------------------------------------------------------------------------------


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    """A receiver with a keyboard interface and a 3-D one, and a keyboard of somebody else."""
    entries = {
        "hidraw0": ("0003:0000046D:0000C31C", "Keyboard K120", "05010906"),
        "hidraw2": ("0003:0000256F:0000C652", "3Dconnexion Universal Receiver", "05010906"),
        "hidraw10": ("0003:0000256F:0000C652", "3Dconnexion Universal Receiver", "05010908a101"),
    }
    for entry, (numbers, name, descriptor) in entries.items():
        folder = tmp_path / "class" / entry / "device"
        folder.mkdir(parents=True)
        (folder / "uevent").write_text(f"DRIVER=hid-generic\nHID_ID={numbers}\nHID_NAME={name}\n")
        (folder / "report_descriptor").write_bytes(bytes.fromhex(descriptor))
    return tmp_path / "class"


def test_the_three_dimensional_interface_of_a_receiver_is_found(sysfs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = hidraw.find(sysfs, Path("/dev"))
    assert [node.path.name for node in nodes] == ["hidraw0", "hidraw2", "hidraw10"]
    monkeypatch.setattr(spacemouse_hid, "find", lambda: nodes)
    path, model = spacemouse_hid.locate("", "")
    assert (path, model.name) == (Path("/dev/hidraw10"), "UniversalReceiver")


def test_without_a_spacemouse_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spacemouse_hid, "find", lambda: [])
    with pytest.raises(DeviceError, match="no SpaceMouse is plugged in .0 HID devices"):
        SpaceMouseDevice(0.1, 0.1, 0.1, STRAIGHT)


def test_an_unknown_model_is_refused_with_the_known_ones(cable: Cable) -> None:
    with pytest.raises(DeviceError, match="SpaceMouseCompact"):
        device_on(cable, "SpaceMouse3000")


def test_a_device_that_drives_one_arm_is_refused_to_another_until_it_is_given_back(cable: Cable) -> None:
    first = device_on(cable)
    with pytest.raises(DeviceError, match=rf"the SpaceMouse at {cable.path} drives another arm"):
        device_on(cable)
    first.close()
    device_on(cable).close()


def test_without_permission_the_sentence_names_the_file(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(spacemouse_hid, "HidrawFile", refuse)
    with pytest.raises(DeviceError, match="no access to .*hidraw0; `ptr doctor`"):
        device_on(cable)
