# SPDX-License-Identifier: Apache-2.0
"""Client of the arm node for other programs: its services, moves and published state. Imports rclpy."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.client import Client
from std_srvs.srv import SetBool, Trigger

from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.motors.conversions import DIAGNOSTIC_NAME, NOT_READ, motors_from
from ptr_bringup.arm.motors.health import Level
from ptr_bringup.arm.motors.recovery import Condition
from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.session import POLL, Caller, GoalClient, SessionError
from ptr_msgs.action import MoveTo
from ptr_msgs.msg import ArmState, MotorStates, SafetyEvent

_TIMEOUT = 10.0
"""s within which the arm node must answer."""
_MOVE_TIMEOUT = 60.0
"""s within which a named pose must be reached."""
_MAX_AGE = {"state": 0.5, "motors": 2.0, "unread": 2.0}
"""s after which received data is out of date. Motors are published once a second and when they change."""


class RemoteArm:
    """Talks to the arm node.

    Attributes:
        state: the newest arm state, None before the first.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller, node = caller, caller.node
        self.state: ArmState | None = None
        self._watched = prefixed(node, DIAGNOSTIC_NAME)
        self._motors: MotorStates | None = None
        self._safety: SafetyEvent | None = None
        self._received_at = dict.fromkeys(_MAX_AGE, -math.inf)
        node.create_subscription(ArmState, "arm/state", self._on_state, 10)
        node.create_subscription(MotorStates, "arm/motors", self._on_motors, LATCHED)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        node.create_subscription(SafetyEvent, "arm/safety", self._on_safety, LATCHED)
        self._services: dict[str, Client] = {
            name: node.create_client(kind, f"arm/{name}")
            for name, kind in (
                ("stop", Trigger), ("clear", Trigger), ("torque", SetBool), ("reboot_motors", Trigger)
            )
        }  # fmt: skip
        self._move: ActionClient = GoalClient(node, MoveTo, "arm/move_to")

    @property
    def state_age(self) -> float:
        """s since the newest state arrived; infinite before the first."""
        return time.monotonic() - self._received_at["state"]

    def _on_state(self, message: ArmState) -> None:
        self._received_at["state"], self.state = time.monotonic(), message

    def _on_motors(self, message: MotorStates) -> None:
        self._received_at["motors"], self._motors = time.monotonic(), message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if any(status.name == self._watched and status.message == NOT_READ for status in message.status):
            self._received_at["unread"] = time.monotonic()

    def _on_safety(self, message: SafetyEvent) -> None:
        self._safety = message

    def condition(self) -> Condition:
        """Current condition of the arm and its motors; without motors if the driver does not read them.

        Raises:
            SessionError: the arm node publishes no state, or neither its motors nor why it can't read them.
        """
        wait = self._caller.wait
        state = wait(
            lambda: self.state if self._fresh("state") else None,
            f"{self._caller.named('arm/state')}; are the arm node and its driver running?",
            _TIMEOUT,
        )
        what = f"{self._caller.named('arm/motors')}; check the driver in /diagnostics"
        wait(lambda: self._fresh("motors") or self._fresh("unread"), what, _TIMEOUT)
        motors, safety = self._motors, self._safety
        mode, reason = Mode(state.mode), safety.message if safety is not None and safety.reason else ""
        if motors is None or not self._fresh("motors"):
            return Condition(mode, None, NOT_READ, (), reason)
        return Condition(mode, Level(motors.level), motors.message, motors_from(motors).readings, reason)

    def _fresh(self, what: str) -> bool:
        return time.monotonic() - self._received_at[what] < _MAX_AGE[what]

    def wait_until(self, wanted: Callable[[Condition], bool], timeout: float) -> bool:
        """Wait for a condition of the arm; False if it does not hold within `timeout` s."""
        deadline = time.monotonic() + timeout
        while not wanted(self.condition()):
            if time.monotonic() > deadline:
                return False
            self._caller.sleep(POLL)
        return True

    def stop(self) -> str:
        """Stop the arm until it is cleared; returns the arm node's answer."""
        return self._call("stop", Trigger.Request())

    def clear(self) -> str:
        """Clear the stop."""
        return self._call("clear", Trigger.Request())

    def torque(self, on: bool) -> str:
        """Switch the torque of all motors on or off."""
        return self._call("torque", SetBool.Request(data=on))

    def reboot(self) -> str:
        """Reboot the motors that have an error."""
        return self._call("reboot_motors", Trigger.Request())

    def _call(self, name: str, request: Any) -> str:
        return str(self._caller.call(self._services[name], request, _TIMEOUT).message)

    def move(self, pose: str, gripper: float | None = None) -> str:
        """Move slowly to a named pose; without `gripper`, the gripper's command stays as it is.

        A KeyboardInterrupt ends the move where it is.

        Raises:
            SessionError: the arm did not reach the pose.
        """
        why = self.try_move(pose, gripper)
        if why:
            raise SessionError(f"the arm did not reach {pose}: {why}")
        return f"The arm is at {pose}."

    def try_move(self, pose: str, gripper: float | None = None) -> str:
        """Like `move`, but returns an empty string on success, otherwise the reason for the failure."""
        what = f"{self._caller.named('arm/state')}; is the arm node running?"
        state = self._caller.wait(lambda: self.state, what, _TIMEOUT)
        opening = state.commanded_gripper_position if gripper is None else gripper
        return self.reach(MoveTo.Goal(named_pose=pose, gripper_position=opening))

    def reach(self, goal: MoveTo.Goal) -> str:
        """Move to any goal; returns an empty string on success, otherwise the reason for the failure."""
        self._caller.wait(self._move.server_is_ready, f"the action {self._caller.named('arm/move_to')}", _TIMEOUT)
        return reach(self._caller, self._move, goal, _MOVE_TIMEOUT + goal.duration)


def reach(caller: Caller, client: ActionClient, goal: MoveTo.Goal, timeout: float) -> str:
    """Send a move and wait for its end; returns an empty string on success, otherwise the reason for the failure."""
    result = caller.act(client, goal, "arm/move_to", timeout)
    if result is None:
        return "the arm node refused the move; release the deadman, and clear the arm if it is stopped"
    return "" if result.success else str(result.message)
