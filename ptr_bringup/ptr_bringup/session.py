# SPDX-License-Identifier: Apache-2.0
"""The ROS side of staging: a session calls services and actions in sequence; a thread spins its node.

Used by nodes only (it imports rclpy): the scripted operator and the evaluator.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from geometry_msgs.msg import Point, Quaternion
from rclpy.action import ActionClient
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from std_srvs.srv import Trigger

from ptr_bringup.sim.staging import start_position
from ptr_msgs.action import MoveTo
from ptr_msgs.srv import GetOutcome, ResetScene

DOWN = (0.0, 0.7071067811865476, 0.0, 0.7071067811865476)  # x y z w: gripper pointing down
POLL = 0.05  # s between two looks at what is waited for
MOVES, BETWEEN_MOVES = 3, 1.0  # tries of the way to a start, and s between them
CANCELLED = 2.0  # s at most until an action server has heard of a cancellation
TAKEDOWN = 20.0  # s at most that taking ROS down may last
CLEARS = 10  # tries to clear a stopped arm: its motors are looked at once a second


class SessionError(RuntimeError):
    """A session can't go on; the message says why and what to do."""


class SessionEndedError(Exception):
    """The user ended the session (SIGINT or SIGTERM)."""


class Caller:
    """Calls services and actions of other nodes and waits for the answer, in a thread that does not spin.

    Args:
        node: spun by another thread.
        stop: set when the user ends the session; every wait then raises SessionEndedError.
        spin: starts that thread; called at the first wait. Clients have to be made before: rclpy adds an action
            client to its node before it is complete, and an executor that looks at it just then fails.
    """

    def __init__(self, node: Node, stop: threading.Event, spin: Callable[[], None] | None = None) -> None:
        self.node, self.stop, self._spin = node, stop, spin

    def _begin(self) -> None:
        if self._spin is not None:
            spin, self._spin = self._spin, None
            spin()

    def wait(self, condition: Callable[[], Any], what: str, timeout: float) -> None:
        """Wait until a condition holds.

        Raises:
            SessionError: it did not within `timeout` s.
            SessionEndedError: the user ended the session.
        """
        self._begin()
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                raise SessionError(f"waited {timeout:.0f} s in vain for {what}")
            if self.stop.wait(POLL):
                raise SessionEndedError
        if self.stop.is_set():
            raise SessionEndedError

    def sleep(self, seconds: float) -> None:
        """Wait, unless the user ends the session."""
        self._begin()
        if self.stop.wait(max(0.0, seconds)):
            raise SessionEndedError

    def result(self, future: Future, what: str, timeout: float) -> Any:
        """The result of a future."""
        self._begin()
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        deadline = time.monotonic() + timeout
        while not done.wait(POLL):
            if self.stop.is_set():
                raise SessionEndedError
            if time.monotonic() > deadline:
                raise SessionError(f"waited {timeout:.0f} s in vain for {what}")
        return future.result()

    def act(self, client: ActionClient, goal: Any, name: str, timeout: float) -> Any:
        """Send a goal and wait for its result; None when the goal is refused.

        Whatever ends the wait, the user or a time-out, cancels the goal: nobody would look at what the robot does then.

        Raises:
            SessionError: there is no such action, or no result within `timeout` s.
            SessionEndedError: the user ended the session.
        """
        self.wait(client.server_is_ready, f"the action {name}; is its node running?", timeout)
        accepted = client.send_goal_async(goal)
        try:
            handle = self.result(accepted, f"the acceptance by {name}", timeout)
            if not handle.accepted:
                return None
            return self.result(handle.get_result_async(), f"the end of {name}", timeout).result
        except BaseException:
            _cancel(accepted)
            raise

    def call(self, client: Any, request: Any, timeout: float = 20.0) -> Any:
        """Call a service that answers with `success` and `message`.

        Raises:
            SessionError: there is no such service, it does not answer, or it answers with a failure.
        """
        name = client.srv_name
        self.wait(client.service_is_ready, f"the service {name}; is its node running?", timeout)
        answer = self.result(client.call_async(request), f"the answer of {name}", timeout)
        if not answer.success:
            raise SessionError(f"{name}: {answer.message}")
        return answer


def _cancel(accepted: Future) -> None:
    """Cancel a goal whose acceptance may still be on its way; wait until that was heard, or CANCELLED is over."""
    heard = threading.Event()

    def ask(future: Future) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            heard.set()
        else:
            handle.cancel_goal_async().add_done_callback(lambda _: heard.set())

    accepted.add_done_callback(ask)
    heard.wait(CANCELLED)


class Stage:
    """Lays out the scene and brings the arm to a varied start.

    Args:
        caller: of the session's node.
    """

    def __init__(self, caller: Caller) -> None:
        self._caller, node = caller, caller.node
        self._reset = node.create_client(ResetScene, "/simulator/reset")
        self._outcome = node.create_client(GetOutcome, "/simulator/outcome")
        self._clear = node.create_client(Trigger, "/arm/clear")
        self._move = ActionClient(node, MoveTo, "/arm/move_to")

    def simulated(self, timeout: float) -> bool:
        """True when a simulator offers its services within `timeout` s; does not start to spin the node."""
        deadline = time.monotonic() + timeout
        while not self._reset.service_is_ready():
            if time.monotonic() > deadline:
                return False
            if self._caller.stop.wait(POLL):
                raise SessionEndedError
        return True

    def begin(self, kitchen: str, task: str, seed: int, simulated: bool = True) -> None:
        """Bring the arm to the start of this seed, open the gripper, then lay out the scene.

        In this order: the arm may push things on its way, and the reset puts a simulated arm near the start.
        """
        self._reach(start_position(seed))
        if simulated:
            self._caller.call(self._reset, ResetScene.Request(kitchen=kitchen, task=task, seed=seed))

    def recover(self, kitchen: str, task: str, seed: int) -> None:
        """Lay out the scene of a simulated robot whose arm was stopped, and clear the arm once it is well again."""
        self._caller.call(self._reset, ResetScene.Request(kitchen=kitchen, task=task, seed=seed))
        for left in reversed(range(CLEARS)):
            try:
                self._caller.call(self._clear, Trigger.Request())
                return
            except SessionError:
                if not left:
                    raise
                self._caller.sleep(BETWEEN_MOVES)

    def _reach(self, position: Sequence[float]) -> None:
        """Move, and again when the arm held on its way: on a busy machine its state may be late for a moment."""
        for left in reversed(range(MOVES)):
            try:
                return self.move(position)
            except SessionError:
                if not left:
                    raise
                self._caller.sleep(BETWEEN_MOVES)

    def move(self, position: Sequence[float], timeout: float = 30.0) -> None:
        """Move the end effector to a position (3,) in m in base_link, gripper down and open."""
        goal = MoveTo.Goal(gripper=1.0)
        goal.pose.position = Point(**dict(zip("xyz", map(float, position), strict=True)))
        goal.pose.orientation = Quaternion(**dict(zip("xyzw", DOWN, strict=True)))
        result = self._caller.act(self._move, goal, "/arm/move_to", timeout)
        if result is None:
            raise SessionError(f"the arm refused to move to {[round(float(v), 3) for v in position]}")
        if not result.success:
            raise SessionError(f"the arm did not reach its start: {result.message}")

    def outcome(self, timeout: float = 5.0) -> tuple[bool, str]:
        """True when the task has succeeded, and what that rests on."""
        answer = self._caller.call(self._outcome, GetOutcome.Request(), timeout)
        return bool(answer.task_succeeded), str(answer.message)


def run_session(
    make: Callable[[], Node],
    work: Callable[[Any, Caller], int],
    name: str,
    args: Sequence[str] | None = None,
    expected: tuple[type[Exception], ...] = (SessionError, ParameterException, OSError, ValueError),
) -> None:
    """Make a node, do the session's work here while a thread spins it, and exit with the code that it returns.

    SIGINT and SIGTERM, once or more often, set the caller's `stop`; the work then has the chance to give back
    what it holds, and the exit code is 130. The text of an `expected` exception is the sentence that the user
    reads; the exit code is then 1, as it is where ROS hangs when it is taken down (Fast DDS can: see
    config/fastdds_profile.xml), for a launch waits for the end of the session.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    code = 1
    with rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO):
        executor = SingleThreadedExecutor()
        try:
            node = make()
            executor.add_node(node)
            spinner = threading.Thread(target=_spin, args=(executor,), daemon=True)
            try:
                code = work(node, Caller(node, stop, spinner.start))
            finally:
                faulthandler.dump_traceback_later(TAKEDOWN, exit=True)  # it may hang with Python's lock held
                executor.shutdown()
                if spinner.is_alive():
                    spinner.join(timeout=5.0)
        except SessionEndedError:
            code = 130
        except expected as error:
            get_logger(name).fatal(str(error))
    sys.exit(code)


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass
