# SPDX-License-Identifier: Apache-2.0
"""Is the real arm's cable plugged in and quick enough, and is Interbotix's software there?"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from ptr_bringup.doctor.findings import AbsentError
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.packages import package_prefix

PAGE = "docs/how-to/set-up-the-arm.md"
QUICK = 1
"""ms of the USB adapter's latency timer. The kernel's 16 ms let xs_sdk read the joints 40 times a second, not 100."""


def cable(device: Path = Path("/dev/ttyDXL"), sysfs: Path = Path("/sys/bus/usb-serial/devices")) -> str:
    """The U2D2's device, with the latency of its adapter.

    Raises:
        AbsentError: it isn't plugged in, can't be opened, or is slow; with the command that helps.
    """
    if not device.exists():
        raise AbsentError(f"no {device}: connect the U2D2, install Interbotix's udev rules ({PAGE}); or robot:=sim")
    if not os.access(device, os.R_OK | os.W_OK):
        raise AbsentError(f"no access to {device}: sudo usermod -aG dialout $USER, log in again")
    timer = sysfs / device.resolve().name / "latency_timer"
    if not timer.is_file():
        return f"{device}, latency unknown"
    latency = int(timer.read_text())
    if latency > QUICK:
        raise AbsentError(f"{device} answers late ({latency} ms): echo {QUICK} | sudo tee {timer}")
    return f"{device}, latency {latency} ms"


def software() -> str:
    """Where Interbotix's driver comes from.

    Raises:
        AbsentError: only the interfaces for the stand-in are there, or not even these.
    """
    try:
        return f"xs_sdk in {package_prefix('interbotix_xs_sdk')}"
    except LaunchError:
        pass
    if importlib.util.find_spec("interbotix_xs_msgs") is None:
        raise AbsentError("not installed, nor the interfaces for its stand-in: run `make setup`")
    raise AbsentError(f"not installed ({PAGE}); the stand-in works: robot:=wx250s xs_sdk:=stand_in")
