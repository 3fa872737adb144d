# SPDX-License-Identifier: Apache-2.0
"""Preparation of demonstrations and trials on a running robot: sets up the scene and moves the arm to its start."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from geometry_msgs.msg import Point, Quaternion
from numpy.typing import ArrayLike
from rclpy.action import ActionClient
from rclpy.client import Client
from std_srvs.srv import Trigger

from ptr_bringup.arm.remote import reach
from ptr_bringup.ros.session import POLL, Caller, GoalClient, SessionEndedError, SessionError
from ptr_bringup.sim.scene_sampling import start_position
from ptr_msgs.action import MoveTo
from ptr_msgs.srv import GetOutcome, ResetScene

DOWN = (0.0, 0.7071067811865476, 0.0, 0.7071067811865476)  # x y z w: gripper pointing down
MOVE_ATTEMPTS, RETRY_DELAY = 3, 1.0  # attempts to move to a start, and s between them
CLEAR_ATTEMPTS = 10  # attempts to clear a stopped arm


class Stage:
    """Sets up the scene and moves the arm to a varied start.

    Args:
        caller: of the session's node.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller, node = caller, caller.node
        self._reset: Client = node.create_client(ResetScene, "simulator/reset")
        self._outcome: Client = node.create_client(GetOutcome, "simulator/outcome")
        self._clear: Client = node.create_client(Trigger, "arm/clear")
        self._move: ActionClient = GoalClient(node, MoveTo, "arm/move_to")

    def simulated(self, timeout: float) -> bool:
        """True if a simulator's services appear within `timeout` s; does not start to spin the node."""
        deadline = time.monotonic() + timeout
        while not self._reset.service_is_ready():
            if time.monotonic() > deadline:
                return False
            if self._caller.stop.wait(POLL):
                raise SessionEndedError
        return True

    def begin(
        self,
        kitchen: str,
        task: str,
        seed: int,
        simulated: bool = True,
        require_free: Callable[[], None] = lambda: None,
    ) -> None:
        """Move the arm to the start for this seed with an open gripper, then set up the scene.

        The order matters: the arm may push objects on its way, and the reset places a simulated arm near the start.

        Args:
            require_free: called before each step; raises SessionError if the scene is in use.
        """
        self._reach(start_position(seed), require_free)
        require_free()
        if simulated:
            self._caller.call(self._reset, ResetScene.Request(kitchen=kitchen, task=task, seed=seed))

    def recover(self, kitchen: str, task: str, seed: int) -> None:
        """Set up the scene of a simulated robot whose arm was stopped, and clear the arm once its motors are OK."""
        self._caller.call(self._reset, ResetScene.Request(kitchen=kitchen, task=task, seed=seed))
        for left in reversed(range(CLEAR_ATTEMPTS)):
            try:
                self._caller.call(self._clear, Trigger.Request())
                return
            except SessionError:
                if not left:
                    raise
                self._caller.sleep(RETRY_DELAY)

    def _reach(self, position: ArrayLike, require_free: Callable[[], None]) -> None:
        """Move, and retry if the arm held on its way: on a busy machine its state may be late for a moment."""
        for left in reversed(range(MOVE_ATTEMPTS)):
            require_free()
            try:
                return self.move(position)
            except SessionError:
                if not left:
                    raise
                self._caller.sleep(RETRY_DELAY)

    def move(self, position: ArrayLike, timeout: float = 30.0) -> None:
        """Move the end effector to a position (3,) in m in base_link, gripper down and open."""
        goal = MoveTo.Goal(gripper_position=1.0)
        goal.pose.position = Point(**dict(zip("xyz", np.asarray(position, dtype=float).tolist(), strict=True)))
        goal.pose.orientation = Quaternion(**dict(zip("xyzw", DOWN, strict=True)))
        self._act(goal, f"{np.round(np.asarray(position), 3).tolist()}", timeout)

    def move_to_start(self, gripper: float, timeout: float = 60.0) -> None:
        """Move the arm to its pose `start`, keeping what the gripper holds.

        Args:
            gripper: its current commanded opening.
        """
        self._act(MoveTo.Goal(named_pose="start", gripper_position=gripper), "its start", timeout)

    def _act(self, goal: MoveTo.Goal, where: str, timeout: float) -> None:
        if why := reach(self._caller, self._move, goal, timeout):
            raise SessionError(f"the arm did not reach {where}: {why}")

    def outcome(self, timeout: float = 5.0) -> tuple[bool, str]:
        """Whether the task has succeeded, and why."""
        answer = self._caller.call(self._outcome, GetOutcome.Request(), timeout)
        return bool(answer.task_succeeded), str(answer.message)
