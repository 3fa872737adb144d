# SPDX-License-Identifier: Apache-2.0
"""A stop button as the kernel reports it; a pipe plays the device."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptr_bringup.arm.stop.stop_button import StopButton

KEY_SPACE, KEY_ENTER = 57, 28  # linux/input-event-codes.h
EV_SYN, EV_KEY, EV_MSC = 0, 1, 4


def event(code: int, value: int, kind: int = EV_KEY) -> bytes:
    """One `struct input_event`, as on a 64-bit kernel."""
    return struct.pack("=qqHHi", 1_700_000_000, 1234, kind, code, value)


class Cable:
    """The device's end of the pipe."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.file = os.open(path, os.O_RDWR)

    def send(self, *events: bytes) -> None:
        os.write(self.file, b"".join(events))

    def unplug(self) -> None:
        os.close(self.file)
        self.path.unlink()


@pytest.fixture
def cable(tmp_path: Path) -> Cable:
    return Cable(tmp_path / "event7")


@pytest.fixture
def button(cable: Cable) -> Iterator[StopButton]:
    device = StopButton(str(cable.path))
    yield device
    device.close()


def test_a_press_stops_and_stays_until_the_release(cable: Cable, button: StopButton) -> None:
    assert button.poll() == ""
    cable.send(event(4, 458796, EV_MSC), event(KEY_SPACE, 1), event(0, 0, EV_SYN))
    assert "was pressed" in button.poll()
    assert "still pressed" in button.refusal()
    assert "was pressed" in button.poll()
    cable.send(event(KEY_SPACE, 2), event(KEY_SPACE, 0))
    button.poll()
    assert button.poll() == button.refusal() == ""


def test_a_press_and_release_between_two_looks_stops(cable: Cable, button: StopButton) -> None:
    cable.send(event(KEY_SPACE, 1), event(KEY_SPACE, 0))
    assert "was pressed" in button.poll()
    assert button.refusal() == ""


def test_only_the_chosen_key_stops(cable: Cable) -> None:
    button = StopButton(str(cable.path), KEY_ENTER)
    cable.send(event(KEY_SPACE, 1))
    assert button.poll() == ""
    cable.send(event(KEY_ENTER, 1))
    assert "was pressed" in button.poll()
    button.close()


@pytest.mark.parametrize(("key", "byte", "bit"), [(KEY_SPACE, 7, 1), (KEY_ENTER, 3, 4)])
def test_a_button_that_is_down_when_it_is_opened_stops(
    cable: Cable, monkeypatch: pytest.MonkeyPatch, key: int, byte: int, bit: int
) -> None:
    """EVIOCGKEY(96) of linux/input.h fills a bitmap in which key k is bit k % 8 of byte k // 8."""

    def ioctl(_: int, request: int, bitmap: bytearray) -> int:
        assert request == 0x80604518 and bitmap == bytearray(96)
        bitmap[byte] = 1 << bit
        return 96

    monkeypatch.setattr("fcntl.ioctl", ioctl)
    for chosen in (0, key):
        button = StopButton(str(cable.path), chosen)
        assert "was pressed" in button.poll()
        assert "still pressed" in button.refusal()
        button.close()
    other = StopButton(str(cable.path), key + 1)
    assert other.poll() == other.refusal() == ""
    other.close()


def test_the_loss_of_the_device_stops_until_it_is_back(cable: Cable, button: StopButton) -> None:
    cable.unplug()
    assert "is lost" in button.poll()
    assert "plug it in" in button.refusal()
    assert "is lost" in button.poll()
    back = Cable(cable.path)
    assert button.poll() == ""
    assert button.refusal() == ""
    back.send(event(KEY_SPACE, 1))
    assert "was pressed" in button.poll()


def test_a_device_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        StopButton(str(tmp_path / "event9"))
