# SPDX-License-Identifier: Apache-2.0
"""HID devices on Linux: /dev/hidrawN gives one report per read, /sys/class/hidraw identifies the device."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

CLASS = Path("/sys/class/hidraw")
MAX_REPORT = 64  # bytes
MULTI_AXIS = bytes.fromhex("05010908")
"""Usage page Generic Desktop, usage Multi-axis Controller (USB HID Usage Tables 1.5, section 4)."""


@dataclass(frozen=True)
class HidrawNode:
    """One HID interface.

    Attributes:
        path: device file.
        vendor, product: USB or Bluetooth identifiers.
        name: reported by the device.
        multi_axis: its report descriptor is a multi-axis controller's, like that of a SpaceMouse's 3-D part. A
            SpaceMouse receiver has further interfaces, which look like keyboards.
    """

    path: Path
    vendor: int
    product: int
    name: str
    multi_axis: bool


def find(sysfs: Path = CLASS, devices: Path = Path("/dev")) -> list[HidrawNode]:
    """All HID interfaces of this machine, ordered by number."""
    nodes = []
    for entry in sorted(sysfs.glob("hidraw*"), key=lambda path: int(path.name.removeprefix("hidraw"))):
        try:
            uevent = (entry / "device" / "uevent").read_text(errors="replace")
            descriptor = (entry / "device" / "report_descriptor").read_bytes()
        except OSError:
            continue  # it was just unplugged
        facts = dict(line.split("=", 1) for line in uevent.splitlines() if "=" in line)
        numbers = facts.get("HID_ID", "").split(":")  # bus:vendor:product, e.g. 0003:0000256F:0000C635
        if len(numbers) == 3:
            vendor, product = int(numbers[1], 16), int(numbers[2], 16)
            name, multi_axis = facts.get("HID_NAME", ""), MULTI_AXIS in descriptor
            nodes.append(HidrawNode(devices / entry.name, vendor, product, name, multi_axis))
    return nodes


class HidrawFile:
    """An open hidraw file with non-blocking reads, locked for one process.

    `read` has the signature that pyspacemouse expects of a HID device; `reports` counts the reports read.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # one device must not drive two arms
        except OSError:
            os.close(self._file)
            raise
        self.closed = False
        self.reports = 0

    def read(self, size: int) -> bytes:
        """The oldest pending report, padded with zeros to `size` bytes; empty: none is pending.

        Raises:
            OSError: the device is gone.
        """
        try:
            report = os.read(self._file, MAX_REPORT)
        except BlockingIOError:
            return b""
        if not report:
            raise OSError("end of file")
        self.reports += 1
        return report.ljust(size, b"\0")

    def fileno(self) -> int:
        """The file descriptor, for select."""
        return self._file

    def close(self) -> None:
        """Close the file; a second call has no effect."""
        if not self.closed:
            self.closed = True
            os.close(self._file)
