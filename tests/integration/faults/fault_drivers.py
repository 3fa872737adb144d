# SPDX-License-Identifier: Apache-2.0
"""What drives the arm when a fault happens: the policy server, or commands out of the test's process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np
from fault_plant import Plant
from fault_policy import CENTRE, TASK, circle
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_msgs.msg import String

from ptr_msgs.action import RunPolicy
from ptr_msgs.msg import ArmCommand

PERIOD = 0.2  # s, of a policy
FAST = 0.05  # s, of a human's commands


class PolicyRun(AbstractContextManager):
    """The policy server drives; `result` is what its run came to."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self.result: RunPolicy.Result | None = None
        self._abandoned = False

    def wait_for_end(self) -> None:
        """Wait until the run has ended by itself."""
        self._plant.ros.wait(self._future.done, "the end of the run", 60.0)

    def abandon(self) -> None:
        """Nobody will answer any more."""
        self._abandoned = True

    def __enter__(self) -> PolicyRun:
        goal = RunPolicy.Goal(task=TASK, max_steps=100_000, action_choice="mode")
        send = self._plant.run_policy.send_goal_async(goal)
        self._handle = self._plant.ros.result(send, "acceptance of the run", 60.0)
        self._future = self._handle.get_result_async()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._abandoned and self._plant.processes["policy_server"].running:
            if not self._future.done():
                self._handle.cancel_goal_async()
            self.result = self._plant.ros.result(self._future, "the end of the run", 60.0).result


class Source(AbstractContextManager):
    """Commands out of the test's process, while its node spins.

    Attributes:
        change: alters a command before it is sent; returns None to send nothing.
        name, valid_for, period: of the commands; s.
        shift: ns that its clock is ahead.
    """

    shift = 0

    topic = "/policy/command"
    name, period, valid_for = "policy", PERIOD, PERIOD

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self.change: Callable[[ArmCommand], ArmCommand | None] = lambda command: command
        self.publisher = plant.ros.node.create_publisher(ArmCommand, self.topic, 10)

    def __enter__(self) -> Source:
        ros = self._plant.ros
        ros.wait(lambda: self.publisher.get_subscription_count() >= 2, f"arm and recorder on {self.topic}")
        self._timer = ros.node.create_timer(self.period, self.send)
        self._plant.source = self
        return self

    def __exit__(self, *error: Any) -> None:
        node = self._plant.ros.node
        node.destroy_timer(self._timer)
        self.publisher.publish(self._command(np.zeros(6), deadman=False))
        self._plant.ros.spin(0.1)
        node.destroy_publisher(self.publisher)

    def send(self) -> None:
        """Send a command of the circle, as it was changed."""
        newest = self._plant.executed[-1] if self._plant.executed else None
        if newest is None:
            return
        p = newest.target.position
        action = circle(np.array([p.x, p.y, p.z, 0.0, 0.0, 0.0, 1.0]))
        changed = self.change(self._command(action[:6] / PERIOD))
        if changed is not None:
            self.publisher.publish(changed)

    def _command(self, twist: np.ndarray, deadman: bool = True) -> ArmCommand:
        command = ArmCommand(source=self.name, deadman=deadman, gripper_position=1.0)
        now = time.time_ns() + self.shift
        command.header.stamp.sec, command.header.stamp.nanosec = divmod(now, 10**9)
        command.header.frame_id = "base_link"
        command.valid_for.nanosec = round(self.valid_for * 1e9)
        linear, angular = command.twist.linear, command.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = (float(value) for value in twist)
        return command


class PolicySource(Source):
    """A policy of the test's own at 5 Hz."""


class HumanSource(Source):
    """A person's device at 20 Hz, as the teleop node sends it."""

    topic, name, period, valid_for = "/teleop/command", "spacemouse", FAST, 0.15


class Device(AbstractContextManager):
    """A person at a device of the teleop node: up and down again, for as long as the test's node spins.

    Attributes:
        sending: False: the device says nothing any more.
    """

    name, period = "page_keyboard", FAST

    def __init__(self, plant: Plant) -> None:
        self._plant, self.sending = plant, True

    def __enter__(self) -> Device:
        self.choose(self.name)
        for _ in range(3):  # the deadman is seen released
            self.rest()
            self._plant.ros.spin(FAST)
        self._plant.source = self
        self._timer = self._plant.ros.node.create_timer(self.period, self._send)
        return self

    def __exit__(self, *error: Any) -> None:
        self._plant.ros.node.destroy_timer(self._timer)
        if self._plant.processes["teleop"].running:
            self.rest()
            self._plant.ros.spin(0.3)
            self.choose("none")

    def choose(self, device: str) -> None:
        """Let the teleop node use this device."""
        node, ros = self._plant.ros.node, self._plant.ros
        client = node.create_client(SetParameters, "/teleop/set_parameters")
        ros.wait(client.service_is_ready, "teleop's parameters")

        def chosen() -> bool:
            request = SetParameters.Request(parameters=[Parameter("device", value=device).to_parameter_msg()])
            (answer,) = ros.result(client.call_async(request), "the choice of the device").results
            return answer.successful

        ros.wait(chosen, f"the device {device}")
        node.destroy_client(client)

    def _send(self) -> None:
        if self.sending and self._plant.executed:
            self.press(up=self._up())

    def _up(self) -> bool:
        """Turn at 3 cm from the middle."""
        height = self._plant.commanded[2] - CENTRE[2]
        self._upwards = height < 0.03 if getattr(self, "_upwards", True) else height < -0.03
        return self._upwards

    def press(self, up: bool) -> None:
        """Drive, upwards or downwards."""
        raise NotImplementedError

    def rest(self) -> None:
        """Let go."""
        raise NotImplementedError


class PageKeyboard(Device):
    """The keyboard in the console's page; the test sends the packets that the console passes on."""

    def __init__(self, plant: Plant) -> None:
        super().__init__(plant)
        self._number = 0
        self._packets = plant.ros.node.create_publisher(String, "/teleop/page_keyboard", 10)

    def __enter__(self) -> Device:
        self._plant.ros.wait(lambda: self._packets.get_subscription_count() > 0, "teleop to listen to the page")
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._plant.ros.node.destroy_publisher(self._packets)

    def press(self, up: bool) -> None:
        """One packet: a key is held."""
        self._packet(["q" if up else "e"])

    def rest(self) -> None:
        """One packet: no key is held."""
        self._packet([])

    def _packet(self, keys: list[str]) -> None:
        packet = {"v": 1, "session": "page", "seq": self._number, "t": time.monotonic() * 1e3, "deadman": True}
        self._number += 1
        self._packets.publish(String(data=json.dumps(packet | {"keys": keys})))


class SpaceMouse(Device):
    """A SpaceMouse; its device file is a FIFO that stands for /dev/hidrawN."""

    name = "spacemouse"

    def __init__(self, plant: Plant) -> None:
        super().__init__(plant)
        path = plant.parameters["teleop"]["spacemouse.path"]
        os.mkfifo(path)
        self._end: int | None = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._end, fcntl.F_SETFL, os.O_DIRECT | os.O_NONBLOCK)

    def press(self, up: bool) -> None:
        """One report: the cap is lifted or pressed."""
        self._report(f"00 00 00 00 {'00 ff' if up else '00 01'}")

    def rest(self) -> None:
        """One report: the cap is in its middle."""
        self._report("00 00 00 00 00 00")

    def unplug(self) -> None:
        """Pull the cable."""
        os.close(self._end)
        self._end, self.sending = None, False

    def _report(self, axes: str) -> None:
        if self._end is not None:
            with contextlib.suppress(BlockingIOError):  # nobody reads: the kernel drops reports as well
                os.write(self._end, bytes.fromhex("01" + axes))
