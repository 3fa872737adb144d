# SPDX-License-Identifier: Apache-2.0
"""Input devices: each turns what a human does into a `Reading`."""

from collections.abc import Callable
from typing import Any

from ptr_models.common.registry import Registry

OWN = ("spacemouse", "webxr", "page_keyboard", "keyboard", "joy", "twist", "scripted", "none")
ADDED: Registry[Callable[..., Any]] = Registry("device", "ptr.devices", {})
"""Devices of other packages: called with the teleop node (for parameters of their own), the s that a twist holds, and
the caps on speed (m/s) and turn rate (rad/s)."""


def device_names() -> tuple[str, ...]:
    """All devices that can be chosen, the suite's own first."""
    return (*OWN, *(name for name in ADDED.names if name not in OWN))
