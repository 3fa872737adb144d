# SPDX-License-Identifier: Apache-2.0
"""Declares the parameters of all devices and makes devices from them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from rclpy.node import Node

from ptr_bringup.ros.parameters import declare
from ptr_teleop.devices import PLUGINS, device_names
from ptr_teleop.devices.base import BaseDevice, Device, DeviceError, Reading
from ptr_teleop.devices.joy import LAYOUTS, JoyDevice, layout_named
from ptr_teleop.devices.joy_buttons import Buttons
from ptr_teleop.devices.keyboard import KeyboardDevice
from ptr_teleop.devices.keys import HELP
from ptr_teleop.devices.packet_latency import MAX_AGE
from ptr_teleop.devices.page_keyboard import PageKeyboardDevice
from ptr_teleop.devices.response import Response
from ptr_teleop.devices.spacemouse import SpaceMouseDevice
from ptr_teleop.devices.twist import TwistDevice
from ptr_teleop.devices.webxr import SCALES, WebXRDevice

SCRIPTED_STEP = 0.2  # s: one command of the scripted operator is one control step


class NoDevice(BaseDevice):
    """Never moves the arm."""

    source = "none"
    valid_for = 0.1

    def read(self, now: float) -> Reading:
        """See `Device.read`."""
        return Reading()


@dataclass(frozen=True)
class JoyTopics:
    """Topics that a device subscribes to; empty: none."""

    twist: str = ""
    joy: str = ""


class DeviceFactory:
    """Makes devices by name, from parameters of a node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._makers = {
            "spacemouse": self._spacemouse,
            "webxr": self._webxr,
            "page_keyboard": self._page_keyboard,
            "keyboard": self._keyboard,
            "joy": self._joy,
            "twist": self._twist,
            "scripted": lambda: TwistDevice("scripted", SCRIPTED_STEP, paired=True),
            "none": NoDevice,
        }
        self._declare_common()
        self._declare_spacemouse()
        self._declare_page()
        self._declare_joy()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all devices."""
        return device_names()

    @property
    def valid_for(self) -> float:
        """s for which a twist is valid: two periods at the lowest command rate."""
        return 2.0 / self._value("rate")

    def make(self, name: str) -> Device:
        """A device.

        Raises:
            DeviceError: unknown name, not plugged in, or a wrong parameter.
            BrokenPluginError: its package can't be loaded.
        """
        if name not in self.names:
            raise DeviceError(f"there is no device {name!r}; known: {', '.join(self.names)}")
        if name in self._makers:
            return self._makers[name]()
        return PLUGINS[name](self._node, self.valid_for, *self._speeds)

    def topics(self, name: str) -> JoyTopics:
        """The driver topics that a device subscribes to."""
        if name == "scripted":
            return JoyTopics("scripted/twist", "scripted/joy")
        if name == "joy":
            return JoyTopics(joy=self._value("joy.topic"))
        if name == "twist":
            return JoyTopics(self._value("twist.topic"), self._value("twist.joy_topic"))
        return JoyTopics()

    def caps(self, name: str) -> tuple[float, float] | None:
        """Limits of each axis, m/s and rad/s; None for the scripted operator, which limits itself."""
        return None if name == "scripted" else self._speeds

    @property
    def _speeds(self) -> tuple[float, float]:
        return self._value("max_linear_velocity"), self._value("max_angular_velocity")

    def _value(self, name: str) -> Any:
        return self._node.get_parameter(name).value

    def _declare_common(self) -> None:
        node = self._node
        declare(node, "rate", 20.0, "Hz, minimum command rate while the deadman is held", (5.0, 200.0))
        declare(node, "max_linear_velocity", 0.15, "m/s, limit per axis of a human's speed", (0.01, 0.5))
        declare(node, "max_angular_velocity", 0.6, "rad/s, limit per axis of a human's turn rate", (0.01, 2.5))

    def _declare_response(self, name: str, deadzone: float, expo: float) -> None:
        node = self._node
        declare(node, f"{name}.gain", [1.0] * 6, "share of the two limits for x y z roll pitch yaw; negative: reversed")
        declare(node, f"{name}.deadzone", deadzone, "dead zone, as a share of full deflection", (0.0, 0.9))
        declare(node, f"{name}.expo", expo, "response curve: 0 straight, 1 cubic", (0.0, 1.0))

    def _declare_spacemouse(self) -> None:
        declare(self._node, "spacemouse.path", "", "device file, e.g. /dev/hidraw3; empty: the first one plugged in")
        declare(
            self._node, "spacemouse.model", "", "pyspacemouse's name of the model; empty: detected by its identifiers"
        )
        self._declare_response("spacemouse", 0.08, 0.5)

    def _declare_page(self) -> None:
        node = self._node
        declare(node, "max_packet_age", MAX_AGE, "s, the arm holds when the page's newest packet is older", (0.05, 0.5))
        declare(node, "webxr.hand", "right", "controller that drives: right or left")
        declare(node, "webxr.scale", 1.0, "initial motion scale, m of the arm per m of the hand", SCALES)
        declare(
            node,
            "webxr.yaw",
            0.0,
            "rad, heading in the local-floor frame that is the arm's forward, at the start",
            (-3.2, 3.2),
        )

    def _declare_joy(self) -> None:
        node = self._node
        declare(node, "joy.topic", "joy", "Joy of the device joy")
        declare(node, "joy.layout", "game_controller", f"driver that publishes it: one of {', '.join(LAYOUTS)}")
        self._declare_response("joy", 0.08, 0.3)
        declare(node, "twist.topic", "spacenav/twist", "TwistStamped of the device twist, m/s and rad/s in base_link")
        declare(node, "twist.joy_topic", "spacenav/joy", "Joy with the buttons of the device twist")
        for field in fields(Buttons):
            what = "-1: deflection counts" if field.name == "deadman" else "-1: none"
            text = f"index in Joy.buttons of {field.name}, {what}"
            declare(node, f"twist.{field.name}", field.default, text, (-1, 31))

    def _response(self, name: str) -> Response:
        values = (self._value(f"{name}.{part}") for part in ("gain", "deadzone", "expo"))
        return Response(*values)

    def _spacemouse(self) -> Device:
        path, model = self._value("spacemouse.path"), self._value("spacemouse.model")
        return SpaceMouseDevice(self.valid_for, *self._speeds, self._response("spacemouse"), path, model)

    def _webxr(self) -> Device:
        hand, scale, yaw = (self._value(f"webxr.{part}") for part in ("hand", "scale", "yaw"))
        return WebXRDevice(self.valid_for, hand, scale, yaw, self._value("max_packet_age"))

    def _page_keyboard(self) -> Device:
        return PageKeyboardDevice(*self._speeds, self.valid_for, self._value("max_packet_age"))

    def _keyboard(self) -> Device:
        device = KeyboardDevice(*self._speeds, self.valid_for)
        self._node.get_logger().info(HELP)
        return device

    def _joy(self) -> Device:
        return JoyDevice(self.valid_for, *self._speeds, layout_named(self._value("joy.layout")), self._response("joy"))

    def _twist(self) -> Device:
        layout = Buttons(**{field.name: self._value(f"twist.{field.name}") for field in fields(Buttons)})
        return TwistDevice("twist", self.valid_for, layout=layout)
