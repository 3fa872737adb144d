# SPDX-License-Identifier: Apache-2.0
"""The action /arm/move_to: one goal at a time, reported by the gate tick by tick."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import ServerGoalHandle
from rclpy.node import Node
from rclpy.task import Future

from ptr_bringup.arm.core import ArmCore
from ptr_bringup.arm.messages import pose_from, pose_message, short
from ptr_bringup.arm.reports import MoveReport
from ptr_msgs.action import MoveTo


class MoveAction:
    """Serves moves to a pose.

    Args:
        now: s, the gate's time.
    """

    def __init__(self, node: Node, core: ArmCore, now: Callable[[], float]) -> None:
        self._node, self._core, self._now = node, core, now
        self._goal: ServerGoalHandle | None = None
        self._over: Future | None = None
        self._server = ActionServer(
            node, MoveTo, "/arm/move_to", self._on_goal, cancel_callback=lambda _: CancelResponse.ACCEPT
        )

    def _begin(self, request: MoveTo.Goal) -> str:
        """Ask the gate; returns its refusal."""
        try:
            if request.named_pose:
                name = short(request.named_pose)
                return self._core.move_to_name(name, request.gripper, request.duration, self._now())
            return self._core.move_to_pose(pose_from(request.pose), request.gripper, request.duration, self._now())
        except ValueError as error:
            return str(error)

    async def _on_goal(self, goal: ServerGoalHandle) -> MoveTo.Result:
        refusal = self._begin(goal.request)
        if refusal:
            goal.abort()
            return MoveTo.Result(success=False, message=refusal)
        self._goal, self._over = goal, Future(executor=self._node.executor)
        report: MoveReport = await self._over
        if self._goal is goal:  # not yet the next one
            self._goal, self._over = None, None
        finish = goal.succeed if report.success else goal.canceled if goal.is_cancel_requested else goal.abort
        finish()
        measured = pose_message(self._core.measured)
        return MoveTo.Result(success=report.success, message=report.message, measured=measured)

    def watch(self, report: MoveReport | None) -> None:
        """Pass on what the gate said of the move in this tick."""
        if self._goal is None or self._over.done():
            return
        if report is None:
            report = MoveReport(0.0, True, False, "The move was ended: the arm was stopped, or the clock jumped.")
        elif self._goal.is_cancel_requested and not report.done:
            self._core.cancel_move()
            report = MoveReport(report.progress, True, False, "The move was cancelled.")
        self._goal.publish_feedback(MoveTo.Feedback(progress=report.progress))
        if report.done:
            self._over.set_result(report)
