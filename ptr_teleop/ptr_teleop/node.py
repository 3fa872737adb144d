# SPDX-License-Identifier: Apache-2.0
"""The node `teleop`: one device in, /teleop/command out; its buttons start and end episodes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from geometry_msgs.msg import TwistStamped
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.task import Future
from sensor_msgs.msg import Joy

from ptr_msgs.msg import ArmCommand, ArmState
from ptr_msgs.srv import StartEpisode, StopEpisode
from ptr_teleop.clutch import Clutch, Wish
from ptr_teleop.devices.base import Button, Device
from ptr_teleop.devices.joy import JoyDevice, JoyLayout
from ptr_teleop.devices.keyboard import HELP, KeyboardDevice
from ptr_teleop.node_main import EndingNode, run
from ptr_teleop.parameters import declare

DEVICES = ("joy", "scripted", "keyboard")
SCRIPTED_STEP = 0.2  # s: one command of the scripted operator is one control step


class TeleopNode(EndingNode):
    """Reads a device, passes it through the clutch and publishes what the human wants."""

    def __init__(self) -> None:
        super().__init__("teleop")
        self._declare()
        self._arm_gripper = 1.0
        self._device = self._make_device(str(self._value("device")))
        caps = float(self._value("max_speed")), float(self._value("max_turn"))
        self._clutch = Clutch(None if self._value("device") == "scripted" else caps)
        self._commands = self.create_publisher(ArmCommand, "/teleop/command", QoSProfile(depth=10))
        self.create_subscription(ArmState, "/arm/state", self._on_state, qos_profile_sensor_data)
        self._start = self.create_client(StartEpisode, "/recorder/start")
        self._stop = self.create_client(StopEpisode, "/recorder/stop")
        period = 1.0 / float(self._value("rate"))
        self.create_timer(period, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def end(self) -> None:
        """Restore the terminal."""
        self._device.close()

    def _declare(self) -> None:
        declare(self, "device", "joy", f"input device: one of {', '.join(DEVICES)}")
        declare(self, "rate", 20.0, "Hz, how often a device is read that is not event-driven", (1.0, 200.0))
        declare(self, "task", "", "name of the task that a recorded episode gets")
        declare(self, "operator_name", "", "who drives, written into the episode")
        declare(self, "max_speed", 0.15, "m/s, cap on each axis of a human's speed", (0.01, 0.5))
        declare(self, "max_turn", 0.6, "rad/s, cap on each axis of a human's turn rate", (0.01, 2.5))
        declare(self, "twist_topic", "/joy/twist", "TwistStamped of the device `joy`, in base_link")
        declare(self, "joy_topic", "/joy/buttons", "Joy of the device `joy`")
        layout = JoyLayout()
        for name in JoyLayout.__dataclass_fields__:
            what = "index in Joy.axes" if name == "gripper_axis" else "index in Joy.buttons"
            declare(self, f"joy.{name}", getattr(layout, name), f"{what} of {name}, -1: none", (-1, 31))

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _make_device(self, name: str) -> Device:
        if name == "keyboard":
            self.get_logger().info(HELP)
            hold = 2.0 / float(self._value("rate"))
            return KeyboardDevice(float(self._value("max_speed")), float(self._value("max_turn")), hold)
        if name not in DEVICES:
            raise ValueError(f"unknown device {name!r}; known: {', '.join(DEVICES)}")
        layout = JoyLayout(**{key: self._value(f"joy.{key}") for key in JoyLayout.__dataclass_fields__})
        if name == "scripted":
            device = JoyDevice("scripted", SCRIPTED_STEP, paired=True)
            twist_topic, joy_topic = "/scripted/twist", "/scripted/joy"
        else:
            device = JoyDevice("joy", 2.0 / float(self._value("rate")), layout=layout)
            twist_topic, joy_topic = str(self._value("twist_topic")), str(self._value("joy_topic"))
        self.create_subscription(TwistStamped, twist_topic, self._on_twist, QoSProfile(depth=10))
        self.create_subscription(Joy, joy_topic, self._on_joy, QoSProfile(depth=10))
        return device

    def _on_state(self, message: ArmState) -> None:
        self._arm_gripper = message.gripper_commanded

    def _on_twist(self, message: TwistStamped) -> None:
        linear, angular = message.twist.linear, message.twist.angular
        twist = (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)
        self._device.on_twist(twist, _nanoseconds(message.header.stamp), time.monotonic())
        self._on_message()

    def _on_joy(self, message: Joy) -> None:
        stamp = _nanoseconds(message.header.stamp)
        self._device.on_joy(message.buttons, message.axes, stamp, time.monotonic())
        self._on_message()

    def _on_message(self) -> None:
        if self._device.event_driven:
            self._step()

    def _on_timer(self) -> None:
        if not self._device.event_driven:
            self._step()

    def _step(self) -> None:
        reading = self._device.read(time.monotonic())
        wish = None if reading is None else self._clutch.advance(reading, self._arm_gripper)
        if wish is not None:
            self._commands.publish(self._command(wish))
        for button in self._device.presses():
            self._on_press(button)

    def _command(self, wish: Wish) -> ArmCommand:
        command = ArmCommand(source=self._device.source, gripper=wish.gripper, deadman=wish.deadman)
        command.header.stamp = self.get_clock().now().to_msg()
        command.header.frame_id = "base_link"
        linear, angular = command.twist.linear, command.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = (float(value) for value in wish.twist)
        command.horizon.sec, command.horizon.nanosec = divmod(round(self._device.horizon * 1e9), 10**9)
        return command

    def _on_press(self, button: Button) -> None:
        """Ask the recorder for what the button says, and log its answer."""
        client = self._start if button is Button.START else self._stop
        if not client.service_is_ready():
            self.get_logger().error(f"'{button.value}' was pressed, but no recorder runs; start it")
            return
        client.call_async(self._request(button)).add_done_callback(self._on_answer)

    def _request(self, button: Button) -> StartEpisode.Request | StopEpisode.Request:
        if button is Button.START:
            task, who = str(self._value("task")), str(self._value("operator_name"))
            return StartEpisode.Request(
                task=task,
                kind="demonstration",
                operator_name=who,
                extra_json=f'{{"device": "{self._device.source}"}}',
            )
        outcome = {Button.SAVE: "success", Button.FAIL: "failure", Button.DISCARD: "unlabelled"}[button]
        return StopEpisode.Request(save=button is not Button.DISCARD, outcome=outcome, score=float("nan"))

    def _on_answer(self, future: Future) -> None:
        answer = future.result()
        if not answer.success:
            self.get_logger().error(answer.message)


def _nanoseconds(stamp: object) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def main(args: Sequence[str] | None = None) -> None:
    """Run the node."""
    run(TeleopNode, "teleop", args)


if __name__ == "__main__":
    main()
