# SPDX-License-Identifier: Apache-2.0
"""The driver's parameters, declared on the arm node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from ptr_bringup.arm.drivers.base import Driver
from ptr_bringup.arm.drivers.interbotix.gripper_pwm import GripperSettings
from ptr_bringup.arm.drivers.interbotix.profile import Profile, profile_named
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.parameters import declare


def open_xs_sdk(node: Node, rate: float) -> Driver:
    """The driver of a WidowX 250 via topics and services of xs_sdk; the gate sends setpoints at `rate` Hz.

    Raises:
        StartupError: Interbotix's messages are missing, or a parameter is wrong.
    """
    make, options = _xs_sdk_classes()
    return _open(node, rate, make, options)


def open_modules(node: Node, rate: float) -> Driver:
    """The driver of a WidowX 250 via Interbotix's Python API; the gate sends setpoints at `rate` Hz.

    Raises:
        StartupError: Interbotix's messages or its Python API are missing, or a parameter is wrong.
    """
    _, options = _xs_sdk_classes()
    try:
        from ptr_bringup.arm.drivers.interbotix_modules.driver import ModulesDriver
    except ImportError as error:
        raise StartupError(
            f"driver:=modules needs Interbotix's package interbotix_xs_modules and its dependencies ({error}); source "
            "the workspace with it (docs/how-to/interbotix-modules.md), or use driver:=xs_sdk"
        ) from error
    return _open(node, rate, ModulesDriver, options)


def _open(node: Node, rate: float, make: Callable[..., Driver], options: Callable[..., Any]) -> Driver:
    name = declare_robot_name(node)
    text = "Hz, polling rate of the motor registers; must be above 0: without it motor faults are not detected"
    registers = declare(node, "register_rate", 25.0, text, (5.0, 100.0))
    catch_up = declare(
        node,
        "catch_up_velocity",
        0.5,
        "rad/s, speed of the return to the commanded pose after torque was off",
        (0.05, 3.14),
    )
    return make(node, options(name, _declare_profile(node, rate), _declare_gripper(node), registers, catch_up))


def declare_robot_name(node: Node) -> str:
    """The namespace of xs_sdk, absolute: Interbotix's launch file gives it the robot's name."""
    name = declare(node, "robot_name", "wx250s", "name that xs_sdk was started with: the namespace of its topics")
    given = declare(node, "xs_sdk_name", "", "instead of robot_name, for two arms with one file; empty: robot_name")
    return f"/{(given or name).strip('/')}"


def _xs_sdk_classes() -> tuple[Callable[..., Driver], Callable[..., Any]]:
    """The classes of the driver and its options, which import Interbotix's messages."""
    try:
        from ptr_bringup.arm.drivers.interbotix.driver import InterbotixDriver, Options
    except ImportError as error:
        raise StartupError(
            f"robot:=wx250s needs the package interbotix_xs_msgs ({error}); source the workspace with Interbotix's "
            "packages, or run `make setup` for the stand-in"
        ) from error
    return InterbotixDriver, Options


def _declare_profile(node: Node, rate: float) -> Profile:
    kind = declare(
        node,
        "profile_type",
        "time",
        "how the motors move between setpoints: time (smooth, 2 periods late), velocity (steps) or bridge (0.2 s late)",
    )
    try:
        return profile_named(kind, 1.0 / rate)
    except ValueError as error:
        raise StartupError(str(error)) from error


def _declare_gripper(node: Node) -> GripperSettings:
    default = GripperSettings()
    table = {
        "closed": ("finger_closed", "m, position of the left finger when the gripper is closed", 0.1),
        "opened": ("finger_open", "m, position of the left finger when the gripper is open", 0.1),
        "limit": ("gripper_pwm_limit", "PWM (of 885), maximum PWM of the gripper", 885.0),
        "hold": ("gripper_hold_pwm", "PWM (of 885), used once the gripper has settled on an object", 885.0),
    }
    values = {
        field: declare(node, name, getattr(default, field), text, (0.0, high))
        for field, (name, text, high) in table.items()
    }
    try:
        return GripperSettings(**values)
    except ValueError as error:
        raise StartupError(str(error)) from error
