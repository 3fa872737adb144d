# SPDX-License-Identifier: Apache-2.0
"""Is a SpaceMouse plugged in, and may this person read it?"""

from __future__ import annotations

import os
import re
from pathlib import Path

from ptr_bringup.doctor.findings import AbsentError
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.packages import package_share

IDENTIFIER = re.compile(r"^HID_ID=\w+:0000(?:256F:\w+|046D:0000C62[1-9B])$", re.MULTILINE | re.IGNORECASE)
"""3Dconnexion's vendor number, or Logitech's with the products of the time before."""
NAME = re.compile(r"^HID_NAME=(.*)$", re.MULTILINE)


def spacemouse(sysfs: Path = Path("/sys/class/hidraw"), devices: Path = Path("/dev")) -> str:
    """Name and device file of what is plugged in.

    Raises:
        AbsentError: none is, or it can't be read; with the one command that allows it.
    """
    found = {}
    for entry in sorted(sysfs.glob("hidraw*")):
        try:
            facts = (entry / "device" / "uevent").read_text(errors="replace")
        except OSError:
            continue  # unplugged meanwhile
        if IDENTIFIER.search(facts):
            name = NAME.search(facts)
            found[devices / entry.name] = name.group(1) if name else "SpaceMouse"
    if not found:
        raise AbsentError("none is plugged in; other devices drive as well: keyboard, gamepad, VR, the console's page")
    closed = [str(path) for path in found if not os.access(path, os.R_OK)]
    if closed:
        raise AbsentError(f"no access to {', '.join(closed)}: {_command()}")
    return ", ".join(f"{name} at {path}" for path, name in found.items())


def _command() -> str:
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
