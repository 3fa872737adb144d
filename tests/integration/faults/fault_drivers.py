# SPDX-License-Identifier: Apache-2.0
"""What drives the arm when a fault happens: the policy server, or commands out of the test's process."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np
from fault_plant import Plant
from fault_policy import TASK, circle

from ptr_msgs.action import RunPolicy
from ptr_msgs.msg import ArmCommand

PERIOD = 0.2  # s, of a policy
FAST = 0.05  # s, of a human's commands


class PolicyRun(AbstractContextManager):
    """The policy server drives; `result` is what its run came to."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self.result: RunPolicy.Result | None = None

    def __enter__(self) -> PolicyRun:
        goal = RunPolicy.Goal(task=TASK, max_steps=100_000, action_choice="mode")
        send = self._plant.run_policy.send_goal_async(goal)
        self._handle = self._plant.ros.result(send, "acceptance of the run", 60.0)
        self._future = self._handle.get_result_async()
        self._plant.run = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._plant.processes["policy_server"].running:
            if not self._future.done():
                self._handle.cancel_goal_async()
            self.result = self._plant.ros.result(self._future, "the end of the run", 60.0).result


class Source(AbstractContextManager):
    """Commands out of the test's process, while its node spins.

    Attributes:
        change: alters a command before it is sent; returns None to send nothing.
        name, horizon, period: of the commands; s.
    """

    topic = "/policy/command"
    name, period, horizon = "policy", PERIOD, PERIOD

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
        command = ArmCommand(source=self.name, deadman=deadman, gripper=1.0)
        now = time.time_ns()
        command.header.stamp.sec, command.header.stamp.nanosec = divmod(now, 10**9)
        command.header.frame_id = "base_link"
        command.horizon.nanosec = round(self.horizon * 1e9)
        linear, angular = command.twist.linear, command.twist.angular
        linear.x, linear.y, linear.z, angular.x, angular.y, angular.z = (float(value) for value in twist)
        return command


class PolicySource(Source):
    """A policy of the test's own at 5 Hz."""


class HumanSource(Source):
    """A person's device at 20 Hz, as the teleop node sends it."""

    topic, name, period, horizon = "/teleop/command", "spacemouse", FAST, 0.15
