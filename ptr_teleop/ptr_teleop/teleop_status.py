# SPDX-License-Identifier: Apache-2.0
"""What the person at the device must know: NODE/status, and the same once a second on /diagnostics."""

from __future__ import annotations

from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.qos import QoSProfile

from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.qos import LATCHED
from ptr_teleop.clutch import State


@dataclass(frozen=True)
class Status:
    """Of the node.

    Attributes:
        device: name of the active one.
        state: of its clutch.
        heard: something has come from the device.
        other: source of another node that is in charge; empty: none.
        arm: /arm/state is there.
        event: the last thing that the device said.
        devices: names of all.
        values: figures of the device.
    """

    device: str
    state: State
    heard: bool
    other: str
    arm: bool
    event: str
    devices: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def sentence(self) -> str:
        """What it comes to."""
        if self.device == "none":
            return "no device is chosen; set the parameter device"
        if not self.arm:
            return "no /arm/state has come; start the arm node"
        if not self.heard:
            return f"nothing has come from {self.device} yet"
        if self.other:
            return f"{self.device} is refused: {self.other} is in charge; release its deadman first"
        return {
            State.UNARMED: f"{self.device} waits until its deadman is released once",
            State.RELEASED: "hold a key to move"
            if "keyboard" in self.device
            else f"hold the deadman of {self.device} to move",
            State.HELD: f"{self.device} drives the arm",
            State.LOST: f"{self.device} is lost, the arm holds" + (f": {self.event}" if self.event else ""),
        }[self.state]

    @property
    def well(self) -> bool:
        """Nothing stands in the way of the person."""
        return self.arm and self.heard and not self.other and self.state in (State.RELEASED, State.HELD)

    def message(self, name: str) -> DiagnosticStatus:
        """As a message of the node of this name."""
        held = self.state in (State.HELD, State.LOST)
        values = {
            "device": self.device,
            "deadman": str(self.state is State.HELD).lower(),
            "in_charge": self.other or (self.device if held else ""),
            "devices": ",".join(self.devices),
            "last_event": self.event,
            **self.values,
        }
        level = DiagnosticStatus.OK if self.well or self.device == "none" else DiagnosticStatus.WARN
        pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
        return DiagnosticStatus(level=level, name=name, message=self.sentence, values=pairs)


class StatusPublisher:
    """Publishes a status when it differs from the one before."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._status = node.create_publisher(DiagnosticStatus, "~/status", LATCHED)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        self._last: Status | None = None

    def update(self, status: Status) -> None:
        """Publish it, if it is news."""
        if status != self._last:
            self._last = status
            self._status.publish(status.message(self._node.get_name()))

    def repeat(self, status: Status) -> None:
        """Publish it in any case, and on /diagnostics too."""
        self._last = status
        message = status.message(self._node.get_name())
        self._status.publish(message)
        array = DiagnosticArray(status=[status.message(prefixed(self._node, self._node.get_name()))])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)
