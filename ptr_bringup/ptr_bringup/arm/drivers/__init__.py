# SPDX-License-Identifier: Apache-2.0
"""Drivers of the arm: between the gate and the motors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ptr_bringup.arm.drivers.base import Driver
from ptr_models.common.registry import Registry

if TYPE_CHECKING:  # the plain modules in this folder need no ROS
    from rclpy.node import Node

DRIVERS: Registry[Callable[[Node, float], Driver]] = Registry(
    "driver",
    "ptr.drivers",
    {
        "xs_sdk": "ptr_bringup.arm.drivers.interbotix.parameters:open_xs_sdk",
        "modules": "ptr_bringup.arm.drivers.interbotix.parameters:open_modules",
    },
)
"""Drivers of the real arm: called with the arm node, on which they declare parameters, and its control rate (Hz)."""
