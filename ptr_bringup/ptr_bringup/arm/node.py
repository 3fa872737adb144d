# SPDX-License-Identifier: Apache-2.0
"""The arm node: the only way to the arm, for a human, a policy and a move to a pose."""

from __future__ import annotations

import sys

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from std_srvs.srv import Trigger

from ptr_bringup.arm.arbiter import Kind, Timing
from ptr_bringup.arm.core import ArmCore
from ptr_bringup.arm.drivers.base import Driver
from ptr_bringup.arm.drivers.interbotix.parameters import open_driver
from ptr_bringup.arm.drivers.simulated import SimulatedDriver
from ptr_bringup.arm.messages import (
    command_from,
    executed_message,
    pose_from,
    pose_message,
    safety_message,
    state_message,
)
from ptr_bringup.arm.motor_watch import MotorWatch
from ptr_bringup.arm.reports import MoveReport, Output
from ptr_bringup.arm.safety import Limits, bits
from ptr_bringup.node_main import StartupError, declare, run
from ptr_msgs.action import MoveTo
from ptr_msgs.msg import ArmCommand, ArmState, ExecutedCommand, SafetyEvent

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Arm(Node):
    """Runs `ArmCore` at its control rate between the command topics and the driver."""

    def __init__(self) -> None:
        super().__init__("arm")
        robot = declare(self, "robot", "sim", "which arm: sim (the simulator node) or wx250s (Interbotix's xs_sdk)")
        rate = declare(
            self, "rate", 50.0, "Hz, control rate: joint commands, /arm/state, /arm/executed", 5.0, 200.0
        )
        self._core = ArmCore(self._declare_limits(), self._declare_timing())
        self._driver = self._open(robot, rate)
        self._motors = MotorWatch(self, self._core, self._driver, robot)
        self._goal: ServerGoalHandle | None = None
        self._goal_over: Future | None = None
        self._state = self.create_publisher(ArmState, "/arm/state", 10)
        self._executed = self.create_publisher(ExecutedCommand, "/arm/executed", 10)
        self._safety = self.create_publisher(SafetyEvent, "/arm/safety", _LATCHED)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_subscription(ArmCommand, "/teleop/command", lambda m: self._on_command(Kind.HUMAN, m), 10)
        self.create_subscription(
            ArmCommand, "/policy/command", lambda m: self._on_command(Kind.POLICY, m), 10
        )
        self.create_service(Trigger, "/arm/stop", self._on_stop)
        self.create_service(Trigger, "/arm/clear", self._on_clear)
        self._moves = ActionServer(
            self, MoveTo, "/arm/move_to", self._on_move, cancel_callback=lambda _: CancelResponse.ACCEPT
        )
        self.create_timer(1.0 / rate, self._tick)
        self.create_timer(1.0, self._publish_diagnostics)

    def _open(self, robot: str, rate: float) -> Driver:
        if robot == "wx250s":
            return open_driver(self, rate)
        if robot != "sim":
            raise StartupError(f"There is no robot {robot!r}; known: sim, wx250s.")
        return SimulatedDriver(self)

    def _declare_limits(self) -> Limits:
        default = Limits()
        corner = "m, corner of the workspace box of the end effector in base_link: x, y, z"
        numbers = {
            "reach_min": ("m, least horizontal distance from the waist's axis", 1.0),
            "reach_max": ("m, greatest horizontal distance from the waist's axis", 1.0),
            "linear_speed": ("m/s, cap of each linear component of a command", 1.0),
            "angular_speed": ("rad/s, cap of each angular component of a command", 6.3),
            "joint_speed": ("rad/s, cap of every joint", 6.3),
            "joint_margin": ("rad, distance that a joint keeps from its mechanical limits", 0.5),
        }
        values = {
            name: declare(self, name, getattr(default, name), text, 0.0, high)
            for name, (text, high) in numbers.items()
        }
        table = declare(
            self, "table_height", default.table_height, "m, z of the table in base_link", -1.0, 1.0
        )
        low = declare(self, "box_low", list(default.box_low), f"{corner}, lower")
        high = declare(self, "box_high", list(default.box_high), f"{corner}, upper")
        if len(low) != 3 or len(high) != 3:
            raise StartupError(
                f"box_low and box_high need three numbers each, not {list(low)} and {list(high)}."
            )
        try:
            return Limits(box_low=tuple(low), box_high=tuple(high), table_height=table, **values)
        except ValueError as error:
            raise StartupError(str(error)) from error

    def _declare_timing(self) -> Timing:
        default = Timing()
        return Timing(
            declare(
                self, "command_age", default.command_age, "s, age at which a command is refused", 0.0, 10.0
            ),
            declare(self, "watchdog", default.watchdog, "s of silence after which the arm holds", 0.0, 10.0),
            declare(
                self,
                "state_age",
                default.state_age,
                "s, age of joint states at which the arm holds",
                0.0,
                10.0,
            ),
        )

    def _now(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _on_command(self, kind: Kind, message: ArmCommand) -> None:
        self._core.command(kind, command_from(message), self._now())

    def _tick(self) -> None:
        output = self._core.tick(self._now(), self._driver.state())
        if output.joints is not None:
            self._driver.send(output.joints, output.gripper)
        self._publish(output)
        if self._goal is not None:
            self._watch_goal(output.move)

    def _publish(self, output: Output) -> None:
        now = self.get_clock().now().to_msg()
        if output.executed is not None:
            self._executed.publish(executed_message(output.executed, now))
        if output.state is not None:
            self._state.publish(state_message(output.state))
        for change in output.events:
            self._safety.publish(safety_message(change, now))
            reasons = ", ".join(bit.name for bit in bits(change.reason)) or "NONE"
            self.get_logger().info(f"{reasons}: {change.detail}")
        if output.notice:
            self.get_logger().warning(output.notice)

    def _on_stop(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._core.stop("stopped by /arm/stop")
        response.success, response.message = True, "The arm is stopped until /arm/clear."
        return response

    def _on_clear(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        refusal = self._core.clear()
        response.success, response.message = not refusal, refusal or "The arm may move again."
        return response

    async def _on_move(self, goal: ServerGoalHandle) -> MoveTo.Result:
        request = goal.request
        try:
            if request.named_pose:
                arguments = (request.named_pose, request.gripper, request.duration, self._now())
                refusal = self._core.move_to_name(*arguments)
            else:
                arguments = (pose_from(request.pose), request.gripper, request.duration, self._now())
                refusal = self._core.move_to_pose(*arguments)
        except ValueError as error:
            refusal = str(error)
        if refusal:
            goal.abort()
            return MoveTo.Result(success=False, message=refusal)
        self._goal, self._goal_over = goal, Future(executor=self.executor)
        report: MoveReport = await self._goal_over
        self._goal, self._goal_over = None, None
        finish = goal.succeed if report.success else goal.canceled if goal.is_cancel_requested else goal.abort
        finish()
        measured = pose_message(self._core.measured)
        return MoveTo.Result(success=report.success, message=report.message, measured=measured)

    def _watch_goal(self, report: MoveReport | None) -> None:
        if self._goal_over.done():
            return
        if report is None:
            report = MoveReport(0.0, True, False, "The arm was stopped during the move.")
        elif self._goal.is_cancel_requested:
            self._core.cancel_move()
            report = MoveReport(report.progress, True, False, "The move was cancelled.")
        self._goal.publish_feedback(MoveTo.Feedback(progress=report.progress))
        if report.done:
            self._goal_over.set_result(report)

    def _publish_diagnostics(self) -> None:
        health = self._driver.health(self._now())
        level = DiagnosticStatus.OK if health.well else DiagnosticStatus.ERROR
        values = [KeyValue(key=key, value=value) for key, value in health.values.items()]
        values.append(KeyValue(key="mode", value=self._core.arbiter.mode.name))
        status = DiagnosticStatus(level=level, name="arm", message=health.summary, values=values)
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def close(self) -> None:
        """Give back the driver."""
        self._driver.close()


def main(args: list[str] | None = None) -> None:
    """Entry point of the executable `arm`."""
    sys.exit(run(Arm, args))


if __name__ == "__main__":
    main()
