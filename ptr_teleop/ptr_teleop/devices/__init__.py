# SPDX-License-Identifier: Apache-2.0
"""Input devices: each turns what a human does into a `Reading`."""

from collections.abc import Callable
from typing import Any

from ptr_models.common.registry import Registry

BUILT_IN = ("spacemouse", "webxr", "page_keyboard", "keyboard", "joy", "twist", "scripted", "none")
PLUGINS: Registry[Callable[..., Any]] = Registry("device", "ptr.devices", {})
"""Devices of other packages: called with the teleop node (to declare parameters), the validity of a twist (s), and the
limits of linear (m/s) and angular velocity (rad/s)."""


def device_names() -> tuple[str, ...]:
    """All devices that can be selected, built-in ones first."""
    return (*BUILT_IN, *(name for name in PLUGINS.names if name not in BUILT_IN))
