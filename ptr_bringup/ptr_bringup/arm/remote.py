# SPDX-License-Identifier: Apache-2.0
"""The arm as other programs reach it: its services, its moves and what it publishes. Imports rclpy."""

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
from ptr_bringup.arm.motors.conversions import UNREAD, WATCHED, motors_from
from ptr_bringup.arm.motors.health import Level
from ptr_bringup.arm.motors.recovery import Condition
from ptr_bringup.ros.names import prefixed
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.session import POLL, Caller, GoalClient, SessionError
from ptr_msgs.action import MoveTo
from ptr_msgs.msg import ArmState, MotorStates, SafetyEvent

_THERE = 10.0
"""s within which the arm node answers."""
_MOVE = 60.0
"""s within which a named pose is reached."""
_FRESH = {"state": 0.5, "motors": 2.0, "unread": 2.0}
"""s since what was heard last, for it to say how things are; motors are told of once a second and when they change."""


class RemoteArm:
    """Talks to the arm node.

    Attributes:
        state: the newest one; None: none has arrived.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller, node = caller, caller.node
        self.state: ArmState | None = None
        self._watched = prefixed(node, WATCHED)
        self._motors: MotorStates | None = None
        self._safety: SafetyEvent | None = None
        self._heard = dict.fromkeys(_FRESH, -math.inf)
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
        """s since the newest state arrived; infinite: none has."""
        return time.monotonic() - self._heard["state"]

    def _on_state(self, message: ArmState) -> None:
        self.state, self._heard["state"] = message, time.monotonic()

    def _on_motors(self, message: MotorStates) -> None:
        self._motors, self._heard["motors"] = message, time.monotonic()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        if any(status.name == self._watched and status.message == UNREAD for status in message.status):
            self._heard["unread"] = time.monotonic()

    def _on_safety(self, message: SafetyEvent) -> None:
        self._safety = message

    def condition(self) -> Condition:
        """What the arm and its motors say now; nothing of the motors where the driver does not read them.

        Raises:
            SessionError: the arm says nothing, or nothing of its motors and not why.
        """
        wait = self._caller.wait
        state = wait(
            lambda: self.state if self._fresh("state") else None,
            f"{self._caller.named('arm/state')}; are the arm node and its driver running?",
            _THERE,
        )
        told = f"{self._caller.named('arm/motors')}; is the driver well? /diagnostics say"
        wait(lambda: self._fresh("motors") or self._fresh("unread"), told, _THERE)
        motors, safety = self._motors, self._safety
        mode, reason = Mode(state.mode), safety.message if safety is not None and safety.reason else ""
        if motors is None or not self._fresh("motors"):
            return Condition(mode, None, UNREAD, (), reason)
        return Condition(mode, Level(motors.level), motors.message, motors_from(motors).readings, reason)

    def _fresh(self, what: str) -> bool:
        return time.monotonic() - self._heard[what] < _FRESH[what]

    def until(self, wanted: Callable[[Condition], bool], timeout: float) -> bool:
        """True as soon as the arm is as wanted; False when it is not within `timeout` s."""
        deadline = time.monotonic() + timeout
        while not wanted(self.condition()):
            if time.monotonic() > deadline:
                return False
            self._caller.sleep(POLL)
        return True

    def stop(self) -> str:
        """Stop the arm until it is cleared; returns what the arm node says."""
        return self._ask("stop", Trigger.Request())

    def clear(self) -> str:
        """Release the stop."""
        return self._ask("clear", Trigger.Request())

    def torque(self, on: bool) -> str:
        """Let the motors hold, or go limp."""
        return self._ask("torque", SetBool.Request(data=on))

    def reboot(self) -> str:
        """Reboot the motors that have an error."""
        return self._ask("reboot_motors", Trigger.Request())

    def _ask(self, name: str, request: Any) -> str:
        return str(self._caller.call(self._services[name], request, _THERE).message)

    def move(self, pose: str, gripper: float | None = None) -> str:
        """Move slowly to a named pose; the gripper keeps what it holds unless an opening is given.

        Raises:
            SessionError: the arm does not get there. KeyboardInterrupt ends the move where it is.
        """
        why = self.try_move(pose, gripper)
        if why:
            raise SessionError(f"the arm did not get to {pose}: {why}")
        return f"The arm is at {pose}."

    def try_move(self, pose: str, gripper: float | None = None) -> str:
        """Move as `move` does; empty when the arm is there, else a sentence that says why not."""
        what = f"{self._caller.named('arm/state')}; is the arm node running?"
        state = self._caller.wait(lambda: self.state, what, _THERE)
        opening = state.commanded_gripper_position if gripper is None else gripper
        return self.reach(MoveTo.Goal(named_pose=pose, gripper_position=opening))

    def reach(self, goal: MoveTo.Goal) -> str:
        """Move to any goal; empty when the arm is there, else a sentence that says why not."""
        self._caller.wait(self._move.server_is_ready, f"the action {self._caller.named('arm/move_to')}", _THERE)
        return reach(self._caller, self._move, goal, _MOVE)


def reach(caller: Caller, client: ActionClient, goal: MoveTo.Goal, timeout: float) -> str:
    """Send a move and wait for its end; empty when the arm is there, else a sentence that says why not."""
    result = caller.act(client, goal, "arm/move_to", timeout)
    if result is None:
        return "the arm node refused the move; release the deadman, and clear the arm if it is stopped"
    return "" if result.success else str(result.message)
