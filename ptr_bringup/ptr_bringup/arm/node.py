# SPDX-License-Identifier: Apache-2.0
"""The arm node: all commands from humans and policies, and all moves to a pose, reach the arm through it."""

from __future__ import annotations

import sys
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from ptr_bringup.arm.drivers import DRIVERS
from ptr_bringup.arm.drivers.base import Driver, Topic
from ptr_bringup.arm.drivers.simulated import SimulatedDriver
from ptr_bringup.arm.gate.arbiter import Kind
from ptr_bringup.arm.gate.gate import Gate
from ptr_bringup.arm.gate.limits import split_reasons
from ptr_bringup.arm.messages import command_from, executed_message, safety_message, state_message
from ptr_bringup.arm.monotonic_clock import MonotonicClock
from ptr_bringup.arm.motion.move_to_server import MoveToServer
from ptr_bringup.arm.motors.monitor import MotorMonitor
from ptr_bringup.arm.parameters import check_config_files, declare_limits, declare_timing
from ptr_bringup.arm.realtime import LoopStatistics, prepare
from ptr_bringup.arm.stop.exclusive_topics import require_sole_publisher
from ptr_bringup.arm.stop.protective_stop import ProtectiveStop
from ptr_bringup.arm.types import Output
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.publisher_identity import PublisherIdentities
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import STEADY
from ptr_msgs.msg import ArmCommand, ArmState, ExecutedCommand, SafetyEvent

_STATE = Topic("arm/state", ArmState)


class ArmNode(RunnableNode, Node):
    """Runs `Gate` at its control rate between the command topics and the driver."""

    def __init__(self) -> None:
        super().__init__("arm")
        check_config_files(self)
        robot = declare(self, "robot", "sim", "which arm: sim (the simulator node) or wx250s (a WidowX 250)")
        rate = declare(self, "rate", 50.0, "Hz, control rate: joint commands, /arm/state, /arm/executed", (5.0, 200.0))
        text = "SCHED_FIFO priority of this process if the system grants it, 0: none"
        priority = declare(self, "realtime_priority", 20, text, (0, 98))
        require_sole_publisher(self, _STATE)
        self._simulated_time = self.get_parameter("use_sim_time").value
        self._time = MonotonicClock(self._ros_now(), time.monotonic(), self._simulated_time)
        self._gate = Gate(declare_limits(self), declare_timing(self))
        self._driver = self._open(robot, rate)
        self._motors = MotorMonitor(self, self._gate, self._driver, robot, lambda: self._time.now)
        exclusive = (_STATE, Topic("arm/executed", ExecutedCommand), *self._driver.exclusive)
        self._stops = ProtectiveStop(self, self._gate, exclusive)
        self._moves = MoveToServer(self, self._gate, lambda: self._time.now)
        self._statistics, self._commands = LoopStatistics(1.0 / rate), 0
        self._connect(rate)
        self._scheduling = prepare(priority)
        self.get_logger().info(f"The control loop runs at {rate:g} Hz with {self._scheduling}.")

    def _connect(self, rate: float) -> None:
        self._state = self.create_publisher(ArmState, "arm/state", 10)
        self._executed = self.create_publisher(ExecutedCommand, "arm/executed", 10)
        self._safety = self.create_publisher(SafetyEvent, "arm/safety", LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        for kind, topic in ((Kind.HUMAN, "teleop/command"), (Kind.POLICY, "policy/command")):
            self.create_subscription(ArmCommand, topic, self._receiver(kind), 10)
        self.create_timer(1.0 / rate, self._tick, clock=self.get_clock() if self._simulated_time else STEADY)
        self.create_timer(1.0, self._publish_diagnostics, clock=STEADY)

    def _open(self, robot: str, rate: float) -> Driver:
        if robot == "sim":
            return SimulatedDriver(self)
        if robot != "wx250s":
            raise StartupError(f"unknown robot {robot!r}; known: sim, wx250s")
        text = "driver of a wx250s: xs_sdk (Interbotix's topics and services), modules (its Python API), or a plug-in"
        return DRIVERS[declare(self, "driver", "xs_sdk", text)](self, rate)

    def _ros_now(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _advance_clock(self) -> float:
        """Advance the gate's time, and hold after a clock jump; returns the ROS clock's time (s)."""
        ros = self._ros_now()
        jump = self._time.advance(ros, time.monotonic())
        if jump:
            self._gate.clock_jumped(jump, self._time.now)
        return ros

    def _receiver(self, kind: Kind) -> Any:
        senders = PublisherIdentities()

        def on_command(message: ArmCommand, info: dict[str, Any]) -> None:
            """Pass a command to the gate; the publisher's identity distinguishes senders of the same name."""
            ros, command = self._advance_clock(), command_from(message)
            publisher = senders.identify(command.source, info)
            self._commands += 1
            self._gate.command(kind, command, self._time.now, ros - command.stamp, publisher)

        return on_command

    def _tick(self) -> None:
        ros, state = self._advance_clock(), self._driver.state()
        self._statistics.tick(time.monotonic())
        age = ros - state.stamp if state is not None else None
        output = self._gate.tick(self._time.now, state, age)
        if output.joints is not None:
            self._driver.send(output.joints, output.gripper)
        self._publish(output)
        self._moves.update(output.move)

    def _publish(self, output: Output) -> None:
        now = self.get_clock().now().to_msg()
        if output.executed is not None:
            self._executed.publish(executed_message(output.executed, now))
        if output.state is not None:
            self._state.publish(state_message(output.state))
        for change in output.events:
            self._safety.publish(safety_message(change, now))
            reasons = ", ".join(bit.name or "" for bit in split_reasons(change.reason)) or "NONE"
            self.get_logger().info(f"{reasons}: {change.message}")
        if output.notice:
            self.get_logger().warning(output.notice)

    def _publish_diagnostics(self) -> None:
        health = self._driver.health(self._ros_now())
        level = DiagnosticStatus.OK if health.ok else DiagnosticStatus.ERROR
        loop = self._statistics.figures() | {"scheduling": self._scheduling, "commands": str(self._commands)}
        values = health.values | {"mode": self._gate.arbiter.mode.name} | loop
        status = DiagnosticStatus(level=level, name=prefixed(self, "arm"), message=health.message)
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def close(self) -> None:
        """End the move in progress, and release the stop button and the driver."""
        try:
            self._moves.close()
        finally:
            self._stops.close()
            self._driver.close()


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `arm`; returns the exit code."""
    return run(ArmNode, "arm", args)


if __name__ == "__main__":
    sys.exit(main())
