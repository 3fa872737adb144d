# SPDX-License-Identifier: Apache-2.0
"""The action /arm/move_to: one goal at a time, reported by the gate tick by tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from ptr_bringup.arm.gate.gate import Gate
from ptr_bringup.arm.messages import pose_from, pose_message, short
from ptr_bringup.arm.types import MoveReport
from ptr_bringup.ros.node import keep_answering
from ptr_msgs.action import MoveTo

_ENDED = MoveReport(0.0, True, False, "The move was ended: the arm was stopped, or the clock jumped.")
_CLOSED = MoveReport(0.0, True, False, "The move was ended: the arm node is being stopped.")


@dataclass
class _Current:
    """The move in progress.

    Attributes:
        over: completed when the move ends.
        report: how it ended.
    """

    goal: ServerGoalHandle
    over: Future
    report: MoveReport = _ENDED


class MoveToServer:
    """Serves moves to a pose.

    Args:
        now: s, the gate's time.
    """

    def __init__(self, node: Node, gate: Gate, now: Callable[[], float]) -> None:
        self._node, self._gate, self._now = node, gate, now
        self._current: _Current | None = None
        self._is_closing = False
        self._server = ActionServer(
            node, MoveTo, "arm/move_to", self._on_goal, cancel_callback=lambda _: CancelResponse.ACCEPT
        )

    def _start(self, request: MoveTo.Goal) -> str:
        """Start a move; returns why the gate refused it, or an empty string."""
        if self._is_closing:
            return "the arm node is being stopped"
        try:
            if request.named_pose:
                name = short(request.named_pose)
                return self._gate.move_to_name(name, request.gripper_position, request.duration, self._now())
            return self._gate.move_to_pose(
                pose_from(request.pose), request.gripper_position, request.duration, self._now()
            )
        except ValueError as error:
            return str(error)

    async def _on_goal(self, goal: ServerGoalHandle) -> MoveTo.Result:
        refusal = self._start(goal.request)
        if refusal:
            goal.abort()
            return MoveTo.Result(success=False, message=refusal)
        self._current = current = _Current(goal, Future(executor=self._node.executor))
        await current.over
        report = current.report
        if self._current is current:  # not yet the next one
            self._current = None
        finish = goal.succeed if report.success else goal.canceled if goal.is_cancel_requested else goal.abort
        finish()
        result = MoveTo.Result(success=report.success, message=report.message)
        if self._gate.measured is not None:
            result.measured_pose = pose_message(self._gate.measured)
        return result

    def update(self, report: MoveReport | None) -> None:
        """Forward the gate's report on the move in this tick."""
        current = self._current
        if current is None or current.over.done():
            return
        if report is None:
            report = _ENDED
        elif current.goal.is_cancel_requested and not report.done:
            self._gate.cancel_move()
            report = MoveReport(report.progress, True, False, "The move was canceled.")
        current.goal.publish_feedback(MoveTo.Feedback(progress=report.progress))
        if report.done:
            current.report = report
            current.over.set_result(None)

    def close(self) -> None:
        """Tell the client of a move in progress that it has ended; the node must not command the arm after this."""
        current = self._current
        self._is_closing = True
        if current is not None and not current.over.done():
            self._gate.cancel_move()
            current.report = _CLOSED
            current.over.set_result(None)
            keep_answering(self._node)
