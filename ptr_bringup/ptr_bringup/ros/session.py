# SPDX-License-Identifier: Apache-2.0
"""A node for the duration of one command or session: calls services and actions in sequence while a thread spins it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from rclpy.action import ActionClient
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.task import Future

from ptr_bringup.ros.context import ros_context
from ptr_bringup.ros.names import service_name
from ptr_bringup.ros.node import destroy
from ptr_bringup.ros.parameters import refusal, set_texts
from ptr_models.common.errors import PtrError
from ptr_models.common.processes import exit_after

POLL = 0.05  # s between two checks of a condition
ACCEPT_TIMEOUT = 60.0  # s for an action server to accept or refuse a goal; it may be loading a checkpoint
CANCEL_TIMEOUT = 2.0  # s for an action server to answer a cancellation
SHUTDOWN_TIMEOUT = 20.0  # s for shutting ROS down
Client = TypeVar("Client")
Found = TypeVar("Found")


class SessionError(PtrError):
    """A session can't continue; the message says why and what to do."""


class SessionEndedError(Exception):
    """The user ended the session (SIGINT or SIGTERM)."""


class GoalClient(ActionClient):
    """An action client whose goals may be answered while they are still being sent.

    rclpy sends a goal, then stores the future that it returns, and removes it once it is done. If another thread takes
    the response in between, the handle of the accepted goal is lost, or the removal fails.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._sending = threading.Lock()
        super().__init__(*args, **options)

    def send_goal_async(self, *args: Any, **options: Any) -> Any:
        """See ActionClient; no response is taken before the goal's future is stored."""
        with self._sending:
            return super().send_goal_async(*args, **options)

    def take_data(self) -> Any:
        """See ActionClient."""
        with self._sending:
            return super().take_data()

    def add_future(self, future: Future) -> None:
        """Store a future unless it is already done."""
        if not future.done():
            super().add_future(future)

    def remove_future(self, future: Future) -> None:
        """Remove a future if it was stored."""
        with suppress(ValueError):
            super().remove_future(future)


class Caller:
    """Calls services and actions of other nodes and waits for the response, in a thread that does not spin.

    Args:
        node: spun by another thread.
        stop: set when the user ends the session; every wait then raises SessionEndedError.
        spinner: started at the first wait. Create clients before that: rclpy adds an action client to its node before
            the client is complete, and an executor that checks it at that moment fails. After a callback fails, no more
            messages are received, and every wait raises SessionError.
    """

    def __init__(self, node: Node, stop: threading.Event, spinner: Spinner) -> None:
        self.node, self.stop, self._spinner = node, stop, spinner
        self._is_begun = False

    def begin(self) -> None:
        """Start spinning now, without a wait; all clients must have been created."""
        if not self._is_begun:
            self._is_begun = True
            self._spinner.start()

    def wait(self, condition: Callable[[], Found | None], what: str, timeout: float) -> Found:
        """Wait until a condition holds.

        Returns:
            The condition's value.
        Raises:
            SessionError: it did not hold within `timeout` s.
            SessionEndedError: the user ended the session.
        """
        self.begin()
        deadline = time.monotonic() + timeout
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise SessionError(f"timed out after {timeout:.0f} s waiting for {what}")
            self._pause(POLL)
        if self.stop.is_set():
            raise SessionEndedError
        return found

    def sleep(self, seconds: float) -> None:
        """Wait, unless the user ends the session."""
        self.begin()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            self._pause(min(POLL, left))
        self._pause(0.0)

    def _pause(self, seconds: float) -> None:
        self._spinner.require_alive()
        if self.stop.wait(seconds):
            raise SessionEndedError

    def result(self, future: Future, what: str, timeout: float) -> Any:
        """The result of a future."""
        self.begin()
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        deadline = time.monotonic() + timeout
        while not done.wait(POLL):
            self._spinner.require_alive()
            if self.stop.is_set():
                raise SessionEndedError
            if time.monotonic() > deadline:
                raise SessionError(f"timed out after {timeout:.0f} s waiting for {what}")
        return future.result()

    def act(self, client: ActionClient, goal: Any, name: str, timeout: float) -> Any:
        """Send a goal and wait for its result; None if the goal is refused. Raises the errors of `follow`."""
        ended = self.follow(client, goal, name, timeout)
        return None if ended is None else ended.result

    def follow(
        self,
        client: ActionClient,
        goal: Any,
        name: str,
        timeout: float,
        until: Callable[[], bool] | None = None,
        feedback: Callable[[Any], None] | None = None,
    ) -> Any:
        """Send a goal and wait for its end: an object with `status` and `result`; None if the goal is refused.

        If the user or a timeout ends the wait, the goal is canceled, because nobody would be supervising the robot.

        Args:
            until: once it returns true, the goal is canceled, and its end is awaited.
            feedback: receives the action's feedback messages, in the spinning thread.
        Raises:
            SessionError: there is no such action, or no result within `timeout` s.
            SessionEndedError: the user ended the session.
        """
        name = self.named(name)
        self.wait(client.server_is_ready, f"the action {name}; is its node running?", timeout)
        accepted = client.send_goal_async(goal, feedback_callback=feedback)
        try:
            handle = self.result(accepted, f"{name} to accept the goal", min(timeout, ACCEPT_TIMEOUT))
            if not handle.accepted:
                return None
            ended = handle.get_result_async()
            if until is not None:
                self.wait(lambda: ended.done() or until(), f"the end of {name}", timeout)
                if not ended.done():
                    handle.cancel_goal_async()
            return self.result(ended, f"the end of {name}", timeout)
        except BaseException:
            _cancel(accepted)
            raise

    def named(self, name: str) -> str:
        """The full name of a topic, service or action, for messages: /arm/state for arm/state."""
        return str(self.node.resolve_topic_name(name))

    def call(self, client: Any, request: Any, timeout: float = 20.0, discovery: float | None = None) -> Any:
        """Call a service that answers with `success` and `message`.

        Args:
            timeout: s to wait for the response.
            discovery: s to wait for the service to appear; None: `timeout`.
        Raises:
            SessionError: there is no such service, it does not answer, or it answers with a failure.
        """
        name = service_name(client)
        appears = timeout if discovery is None else discovery
        self.wait(client.service_is_ready, f"the service {name}; is its node running?", appears)
        answer = self.result(client.call_async(request), f"a response from {name}", timeout)
        if not answer.success:
            raise SessionError(answer.message)
        return answer

    def set_parameters(self, client: Any, values: Mapping[str, str], timeout: float = 20.0) -> None:
        """Set string parameters of another node.

        Args:
            client: of its service `set_parameters`.   values: by name.
        Raises:
            SessionError: there is no such node, it does not answer, or it refuses a value.
        """
        name = client.srv_name
        self.wait(client.service_is_ready, f"the service {name}; is its node running?", timeout)
        refused = refusal(self.result(client.call_async(set_texts(values)), f"a response from {name}", timeout))
        if refused:
            raise SessionError(refused)


def _cancel(accepted: Future) -> None:
    """Cancel a goal that may not have been accepted yet; wait for the response, at most CANCEL_TIMEOUT s."""
    answered = threading.Event()

    def cancel(future: Future) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            answered.set()
        else:
            handle.cancel_goal_async().add_done_callback(lambda _: answered.set())

    accepted.add_done_callback(cancel)
    answered.wait(CANCEL_TIMEOUT)


@contextmanager
def connected(name: str, make: Callable[[Caller], Client], namespace: str = "") -> Iterator[Client]:
    """A client of other nodes, on a new node that a thread spins from the first wait on.

    Python handles ctrl-C: KeyboardInterrupt ends any wait.

    Args:
        namespace: of the robot; empty: none.
    """
    with ros_context():
        node = Node(name, namespace=namespace or None)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        spinner = Spinner(executor)
        try:
            yield make(Caller(node, threading.Event(), spinner))
        finally:
            spinner.stop()
            destroy(node)


def run_session(
    make: Callable[[], Node],
    work: Callable[[Any, Caller], int],
    name: str,
    args: Sequence[str] | None = None,
    expected: tuple[type[Exception], ...] = (PtrError, ParameterException, OSError, ValueError),
) -> int:
    """Create a node and do the session's work in this thread while another one spins it.

    SIGINT and SIGTERM, once or more, set the caller's `stop`, so that the work can release its resources. The text of
    an `expected` exception is logged for the user. The process must end soon after, as a launch waits for it:
    `exit_after` ends it even if ROS hangs.

    Returns:
        The exit code: that of the work, 130 after a signal, 1 after an expected exception.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    code = 1
    with ros_context(args):
        executor = SingleThreadedExecutor()
        spinner = Spinner(executor)
        try:
            node = make()
            executor.add_node(node)
            code = work(node, Caller(node, stop, spinner))
        except SessionEndedError:
            code = 130
        except expected as error:
            get_logger(name).fatal(str(error))
        finally:
            exit_after(SHUTDOWN_TIMEOUT, code)
            spinner.stop()
    return code


class Spinner(threading.Thread):
    """Spins an executor. Jazzy's can't be shut down while another thread spins it."""

    def __init__(self, executor: SingleThreadedExecutor) -> None:
        super().__init__(daemon=True)
        self._executor, self._stopping = executor, threading.Event()
        self._error: BaseException | None = None

    def run(self) -> None:
        """Spin until `stop`, or until a callback raises; Python prints its traceback."""
        try:
            while not self._stopping.is_set():
                self._executor.spin_once(timeout_sec=1.0)
        except ExternalShutdownException:
            pass
        except BaseException as error:  # SystemExit, too, would end this thread silently
            self._error = error
            raise

    def require_alive(self) -> None:
        """Raises SessionError if a callback failed, after which no messages are received."""
        if self._error is not None:
            raise SessionError(
                f"a callback failed: {type(self._error).__name__}: {self._error}; the traceback is above"
            ) from self._error

    def stop(self) -> None:
        """Stop spinning, and shut the executor down."""
        self._stopping.set()
        self._executor.wake()
        if self.is_alive():
            self.join(timeout=5.0)
        self._executor.shutdown()
