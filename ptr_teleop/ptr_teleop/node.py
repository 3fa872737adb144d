# SPDX-License-Identifier: Apache-2.0
"""The node `teleop`: one device in, /teleop/command out. The device's buttons start and end episodes.

A device is read whenever it sends data, and also at `rate`: commands repeat while the deadman is held, and silence is
detected.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence

import numpy as np
from geometry_msgs.msg import TwistStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.subscription import Subscription
from sensor_msgs.msg import Joy
from std_msgs.msg import String

from ptr_bringup.ros.node import LAST_WORDS, RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.time import STEADY, duration_from_seconds, nanoseconds
from ptr_models.common.rotations import matrix_from_quaternion
from ptr_msgs.msg import ArmCommand, ArmState
from ptr_teleop.buttons import RecorderButtons, SceneButton
from ptr_teleop.clutch import ArmTarget, Clutch, State, TeleopCommand
from ptr_teleop.control_authority import ControlAuthority
from ptr_teleop.device_factory import DeviceFactory
from ptr_teleop.devices.base import Button, Device, DeviceError, JoyReceiver, PacketReceiver, Reading, TwistReceiver
from ptr_teleop.file_watcher import FileWatcher
from ptr_teleop.teleop_status import Status, StatusPublisher

PAGE_TOPICS = {"webxr": "teleop/webxr", "page_keyboard": "teleop/page_keyboard"}
ARM_AGE = 0.5
"""s; with an older pose of the arm, hand motion is not followed."""
REPEAT = 1.0
"""s before the same notice is repeated."""


class TeleopNode(RunnableNode, Node):
    """Reads a device, passes it through the clutch and publishes what the human wants."""

    def __init__(self) -> None:
        super().__init__("teleop")
        self._factory = DeviceFactory(self)
        names = ", ".join(self._factory.names)
        name = declare(self, "device", "joy", f"input device: one of {names}", read_only=False)
        declare(self, "task", "", "task name written into recorded episodes", read_only=False)
        declare(self, "instruction", "", "the task in free words, written into the episode", read_only=False)
        declare(self, "operator_name", "", "who drives, written into the episode", read_only=False)
        self._state_topic = self.resolve_topic_name("arm/state")
        self._arm: ArmState | None = None
        self._arm_at = 0.0
        self._authority = ControlAuthority()
        self._own_stamps: deque[int] = deque(maxlen=256)
        self._event = ""
        self._refused_at: dict[str, float] = {}
        self._subscriptions_of_device: list[Subscription] = []
        self._watcher: FileWatcher | None = None
        self._commands = self.create_publisher(ArmCommand, "teleop/command", QoSProfile(depth=10))
        self._recorder, self._scene = RecorderButtons(self, self._notify), SceneButton(self, self._notify)
        self._status = StatusPublisher(self)
        self._guard = self.create_guard_condition(self._step)
        self._use(name, self._factory.make(name), armed=name == "scripted")
        self._subscribe()
        self.create_timer(1.0 / self.get_parameter("rate").value, self._step, clock=STEADY)
        self.create_timer(1.0, lambda: self._status.repeat(self._state()), clock=STEADY)
        self.add_on_set_parameters_callback(self._on_set_parameters)

    def close(self) -> None:
        """Stop the arm if a person is driving it, and release the device.

        The deadman stays held, as with a lost device. Otherwise a running policy would get the arm back just when
        nobody can take over any more.
        """
        requested = self._clutch.hold_lost()
        if requested is not None:
            self._publish(requested)
            self._notify("teleoperation ended while its deadman was held; restart it, or clear the arm")
            self._status.update(self._state())
        self._watch(None)
        self._device.close()
        if requested is not None:
            time.sleep(LAST_WORDS)

    # --- the device ---------------------------------------------------------------------------------------

    def _use(self, name: str, device: Device, armed: bool = False) -> None:
        """Make a device the active one; it is armed once its deadman has been released."""
        for subscription in self._subscriptions_of_device:
            self.destroy_subscription(subscription)
        self._device = device
        self._clutch, self._received = Clutch(self._factory.caps(name), armed), False
        topics = self._factory.topics(name)
        wanted = ((TwistStamped, topics.twist, self._on_twist), (Joy, topics.joy, self._on_joy))
        self._subscriptions_of_device = [
            self.create_subscription(kind, topic, callback, QoSProfile(depth=10))
            for kind, topic, callback in wanted
            if topic
        ]
        self._watch(device.fileno())

    def _watch(self, file: int | None) -> None:
        """Wake up when this file is readable, and for no other file."""
        if self._watcher is not None and self._watcher.file != file:
            self._watcher.close()
            self._watcher = None
        if self._watcher is None and file is not None:
            self._watcher = FileWatcher(file, self._guard.trigger)

    def _on_set_parameters(self, parameters: Sequence[Parameter]) -> SetParametersResult:
        """Switch to the device that was set, or return why not."""
        names = [parameter.value for parameter in parameters if parameter.name == "device"]
        if not names or names[-1] == self._device.source:
            return SetParametersResult(successful=True)
        if self._clutch.state is State.HELD:
            reason = f"{self._device.source} has control; release its deadman first"
            return SetParametersResult(successful=False, reason=reason)
        try:
            device = self._factory.make(str(names[-1]))
        except DeviceError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._watch(None)
        self._device.close()
        self._use(device.source, device)
        self.get_logger().info(f"the device is now {device.source}")
        self._step()
        return SetParametersResult(successful=True)

    # --- what arrives -------------------------------------------------------------------------------------

    def _subscribe(self) -> None:
        self.create_subscription(ArmState, self._state_topic, self._on_state, qos_profile_sensor_data)
        self.create_subscription(ArmCommand, "teleop/command", self._on_command, QoSProfile(depth=10))
        for name, topic in PAGE_TOPICS.items():
            self.create_subscription(String, topic, lambda m, n=name: self._on_page(n, m), QoSProfile(depth=10))

    def _on_state(self, message: ArmState) -> None:
        self._arm, self._arm_at = message, time.monotonic()

    def _on_command(self, message: ArmCommand) -> None:
        """Track which other nodes drive; the node's own commands arrive here too."""
        stamp = nanoseconds(message.header.stamp)
        if stamp not in self._own_stamps:
            self._authority.receive(message.source, message.deadman, stamp * 1e-9, time.monotonic())

    def _on_page(self, name: str, message: String) -> None:
        now = time.monotonic()
        if self._device.source == name and isinstance(self._device, PacketReceiver):
            self._device.on_packet(message.data, now)
            self._step()
        elif self.count_publishers("teleop/command") == 1:  # otherwise another node may listen to the page
            self._notify_refusal(
                f"{name} is refused: {self._device.source} is the active device; select {name} first", now
            )

    def _on_twist(self, message: TwistStamped) -> None:
        linear, angular = message.twist.linear, message.twist.angular
        twist = (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
        if isinstance(self._device, TwistReceiver):
            self._device.on_twist(twist, nanoseconds(message.header.stamp), time.monotonic())
        self._step()

    def _on_joy(self, message: Joy) -> None:
        stamp, now = nanoseconds(message.header.stamp), time.monotonic()
        if isinstance(self._device, JoyReceiver):
            self._device.on_joy(message.buttons, message.axes, stamp, now)
        self._step()

    # --- one reading of the device ------------------------------------------------------------------------

    def _step(self) -> None:
        now = time.monotonic()
        reading = self._device.read(now)
        self._received = self._received or reading is not None
        self._after_reading()
        requested = self._command_for(reading, now)
        if requested is not None:
            self._publish(requested)
        for button in self._device.presses():
            if button is Button.NEXT:
                self._scene.press()
            else:
                self._recorder.press(button, self._device.source)
        self._status.update(self._state())

    def _after_reading(self) -> None:
        self._watch(self._device.fileno())
        if self._watcher is not None:
            self._watcher.handled()
        for notice in self._device.notices():
            self._notify(notice)

    def _command_for(self, reading: Reading | None, now: float) -> TeleopCommand | None:
        if reading is None or self._arm is None:
            return None
        if reading.hand is not None and now - self._arm_at > ARM_AGE:
            reading = Reading(lost=True)
            self._notify_refusal(f"the arm is silent: no {self._state_topic} for {ARM_AGE} s; check the arm node", now)
        if reading.deadman and self._arm.mode == ArmState.PROTECTIVE_STOP:
            self._notify_refusal("the arm is stopped: clear it, then release the deadman and hold it again", now)
            return self._clutch.disarm()
        other = self._authority.other(now)
        if reading.deadman and other is not None:
            refused = f"{self._device.source} is refused: {other} has control; release its deadman first"
            self._notify_refusal(refused, now)
            return self._clutch.disarm()
        return self._clutch.advance(reading, _arm_from(self._arm))

    def _publish(self, requested: TeleopCommand) -> None:
        command = ArmCommand(source=self._device.source, gripper_position=requested.gripper, deadman=requested.deadman)
        command.header.stamp = self.get_clock().now().to_msg()
        command.header.frame_id = "base_link"
        linear, angular = command.twist.linear, command.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = (float(value) for value in requested.twist)
        command.valid_for = duration_from_seconds(self._device.valid_for)
        stamp = nanoseconds(command.header.stamp)
        self._own_stamps.append(stamp)
        if requested.deadman:
            self._authority.press(stamp * 1e-9)
        else:
            self._authority.release()
        self._commands.publish(command)

    # --- notices to the person ----------------------------------------------------------------------------

    def _notify(self, sentence: str) -> None:
        self._event = sentence
        self.get_logger().warning(sentence)

    def _notify_refusal(self, sentence: str, now: float) -> None:
        """Show a notice that may repeat, at most once a second."""
        if now - self._refused_at.get(sentence, -REPEAT) >= REPEAT:
            self._refused_at[sentence] = now
            self._notify(sentence)

    def _state(self) -> Status:
        other = self._authority.other(time.monotonic()) or ""
        return Status(
            self._device.source,
            self._clutch.state,
            self._received,
            other,
            self._arm is not None,
            self._event,
            self._factory.names,
            self._device.values(),
        )


def _arm_from(message: ArmState) -> ArmTarget:
    """What the arm is commanded to."""
    position, orientation = message.commanded_pose.position, message.commanded_pose.orientation
    return ArmTarget(
        np.array([position.x, position.y, position.z]),
        matrix_from_quaternion(np.array([orientation.x, orientation.y, orientation.z, orientation.w])),
        message.commanded_gripper_position,
    )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run(TeleopNode, "teleop", args)


if __name__ == "__main__":
    sys.exit(main())
