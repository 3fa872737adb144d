# SPDX-License-Identifier: Apache-2.0
"""Which cameras can be opened, by the paths that a configuration should name?"""

from __future__ import annotations

import os
from collections.abc import Callable

from ptr_bringup.doctor.findings import AbsentError


def _names() -> list[str]:
    from ptr_bringup.camera.v4l2 import device_names  # imports OpenCV

    return device_names()


def devices(names: Callable[[], list[str]] = _names) -> str:
    """The paths of the video devices that stay the same at their ports.

    Raises:
        AbsentError: there is none, or one can't be opened; with the command that helps.
    """
    found = names()
    if not found:
        raise AbsentError("no /dev/video*: plug in a UVC camera; in a container pass --device /dev/video0")
    closed = [name for name in found if not os.access(name, os.R_OK | os.W_OK)]
    if closed:
        raise AbsentError(f"no access to {', '.join(closed)}: sudo usermod -aG video $USER, log in again")
    return ", ".join(found)
