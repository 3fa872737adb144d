# SPDX-License-Identifier: Apache-2.0
"""The state of teleoperation for the person at the device: NODE/status, and once a second /diagnostics."""

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
    """State of the node.

    Attributes:
        device: name of the active device.
        state: state of its clutch.
        received: the device has sent data.
        other: source of another node that has control; empty: none.
        arm: /arm/state has arrived.
        event: last notice of the device.
        devices: names of all devices.
        values: figures of the device, by name.
    """

    device: str
    state: State
    received: bool
    other: str
    arm: bool
    event: str
    devices: tuple[str, ...] = ()
    values: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def sentence(self) -> str:
        """The state as one sentence, with what to do."""
        if self.device == "none":
            return "no device is selected; set the parameter device"
        if not self.arm:
            return "no /arm/state has arrived; start the arm node"
        if not self.received:
            return f"no data from {self.device} yet"
        if self.other:
            return f"{self.device} is refused: {self.other} has control; release its deadman first"
        return {
            State.UNARMED: f"release the deadman of {self.device} once to arm it",
            State.RELEASED: "hold a key to move"
            if "keyboard" in self.device
            else f"hold the deadman of {self.device} to move",
            State.HELD: f"{self.device} drives the arm",
            State.LOST: f"{self.device} is lost, the arm holds" + (f": {self.event}" if self.event else ""),
        }[self.state]

    @property
    def ok(self) -> bool:
        """Nothing prevents the person from driving."""
        return self.arm and self.received and not self.other and self.state in (State.RELEASED, State.HELD)

    def message(self, name: str) -> DiagnosticStatus:
        """As a message of the node `name`."""
        held = self.state in (State.HELD, State.LOST)
        values = {
            "device": self.device,
            "deadman": str(self.state is State.HELD).lower(),
            "in_charge": self.other or (self.device if held else ""),
            "devices": ",".join(self.devices),
            "last_event": self.event,
            **self.values,
        }
        level = DiagnosticStatus.OK if self.ok or self.device == "none" else DiagnosticStatus.WARN
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
        """Publish it if it has changed."""
        if status != self._last:
            self._last = status
            self._status.publish(status.message(self._node.get_name()))

    def repeat(self, status: Status) -> None:
        """Publish it even if unchanged, on /diagnostics too."""
        self._last = status
        message = status.message(self._node.get_name())
        self._status.publish(message)
        array = DiagnosticArray(status=[status.message(prefixed(self._node, self._node.get_name()))])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(array)
