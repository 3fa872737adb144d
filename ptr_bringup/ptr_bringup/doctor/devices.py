# SPDX-License-Identifier: Apache-2.0
"""The robot's devices: the arm's USB adapter and Interbotix's software, cameras, a SpaceMouse."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path

from ptr_bringup.doctor.findings import AbsentError
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.packages import package_prefix, package_share

ARM_PAGE = "docs/how-to/set-up-the-arm.md"
MAX_LATENCY = 1
"""ms, the USB adapter's latency timer. With the kernel's 16 ms, xs_sdk reads the joints at 40 Hz instead of 100 Hz."""
SPACEMOUSE_ID = re.compile(r"^HID_ID=\w+:0000(?:256F:\w+|046D:0000C62[1-9B])$", re.MULTILINE | re.IGNORECASE)
"""3Dconnexion's vendor ID, or Logitech's with the older products."""
HID_NAME = re.compile(r"^HID_NAME=(.*)$", re.MULTILINE)


def arm_cable(device: Path = Path("/dev/ttyDXL"), sysfs: Path = Path("/sys/bus/usb-serial/devices")) -> str:
    """The U2D2's device and the latency of its adapter.

    Raises:
        AbsentError: it isn't plugged in, can't be opened, or is slow; the message has a command that fixes it.
    """
    if not device.exists():
        raise AbsentError(f"no {device}: connect the U2D2, install Interbotix's udev rules ({ARM_PAGE}); or robot:=sim")
    if not os.access(device, os.R_OK | os.W_OK):
        raise AbsentError(f"no access to {device}: sudo usermod -aG dialout $USER, log in again")
    timer = sysfs / device.resolve().name / "latency_timer"
    if not timer.is_file():
        return f"{device}, latency unknown"
    latency = int(timer.read_text())
    if latency > MAX_LATENCY:
        raise AbsentError(f"{device} has a latency of {latency} ms: echo {MAX_LATENCY} | sudo tee {timer}")
    return f"{device}, latency {latency} ms"


def arm_software() -> str:
    """Where Interbotix's driver is installed.

    Raises:
        AbsentError: it is not installed; the message says whether the stand-in works.
    """
    try:
        return f"xs_sdk in {package_prefix('interbotix_xs_sdk')}"
    except LaunchError:
        pass
    if importlib.util.find_spec("interbotix_xs_msgs") is None:
        raise AbsentError("not installed, and neither are the interfaces for its stand-in: run `make setup`")
    raise AbsentError(f"not installed ({ARM_PAGE}); the stand-in works: robot:=wx250s xs_sdk:=stand_in")


def _camera_names() -> list[str]:
    from ptr_bringup.camera.v4l2 import device_names  # imports OpenCV

    return device_names()


def cameras(names: Callable[[], list[str]] = _camera_names) -> str:
    """The persistent paths of the video devices.

    Raises:
        AbsentError: there is none, or one can't be opened; the message has a command that fixes it.
    """
    found = names()
    if not found:
        raise AbsentError("no /dev/video*: plug in a UVC camera; in a container pass --device /dev/video0")
    closed = [name for name in found if not os.access(name, os.R_OK | os.W_OK)]
    if closed:
        raise AbsentError(f"no access to {', '.join(closed)}: sudo usermod -aG video $USER, log in again")
    return ", ".join(found)


def spacemouse(sysfs: Path = Path("/sys/class/hidraw"), devices: Path = Path("/dev")) -> str:
    """Name and device file of each SpaceMouse.

    Raises:
        AbsentError: none is plugged in, or it can't be read; the message has a command that fixes it.
    """
    found = {}
    for entry in sorted(sysfs.glob("hidraw*")):
        try:
            facts = (entry / "device" / "uevent").read_text(errors="replace")
        except OSError:
            continue  # it was just unplugged
        if SPACEMOUSE_ID.search(facts):
            name = HID_NAME.search(facts)
            found[devices / entry.name] = name.group(1) if name else "SpaceMouse"
    if not found:
        raise AbsentError("none is plugged in; alternatives: keyboard, gamepad, VR, the console's page")
    closed = [str(path) for path in found if not os.access(path, os.R_OK)]
    if closed:
        raise AbsentError(f"no access to {', '.join(closed)}: {_access_command()}")
    return ", ".join(f"{name} at {path}" for path, name in found.items())


def _access_command() -> str:
    try:
        rules = package_share("ptr_teleop") / "udev" / "60-ptr-spacemouse.rules"
    except LaunchError as error:
        return str(error)
    steps = (
        f"sudo cp {rules} /etc/udev/rules.d/",
        "sudo udevadm control --reload",
        "sudo udevadm trigger --subsystem-match=hidraw --subsystem-match=usb",
    )
    return " && ".join(steps)
