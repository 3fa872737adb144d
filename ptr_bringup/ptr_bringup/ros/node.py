# SPDX-License-Identifier: Apache-2.0
"""Start and shutdown of a node: one runner for all nodes of the suite."""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Callable, Sequence

import rclpy
from rclpy.action import ActionClient, ActionServer
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node

from ptr_bringup.ros.context import StartupError, ros_context
from ptr_bringup.ros.parameter_files import given_files, require_reachable
from ptr_bringup.ros.time import STEADY
from ptr_models.common.errors import PtrError
from ptr_models.common.processes import exit_after

LAST_WORDS = 0.3
"""s that a node stays up after its last message, which may be lost in transit if its publisher vanishes too early."""
_POLL_PERIOD = 0.2
"""s between two checks for a signal: neither a signal nor stopped simulated time wakes the executor."""
_SHUTDOWN_TIMEOUT = 3.0
"""s, timeout for shutting ROS down, in which Fast DDS can hang (config/fastdds_profile.xml)."""


class RunnableNode(Node):
    """The methods of a node that `run` calls; list it before `Node` or `LifecycleNode` among the bases.

    Attributes:
        exit_code: set it to close the node and end the process with this code.
    """

    exit_code: int | None = None

    def start(self) -> None:
        """Called once, after the node was created and before it is spun. A signal interrupts it with SystemExit."""

    def close(self) -> None:
        """Release the node's resources. Called once, while ROS is still up, whether `start` succeeded or not."""


def run(make: Callable[[], RunnableNode], name: str, args: Sequence[str] | None = None) -> int:
    """Create a node, start it, spin it until SIGINT or SIGTERM (once or more), and close it.

    An error that the user can fix is logged as one sentence. Any other error propagates with its traceback after the
    node is closed.

    Args:
        make: creates a node that is also a `RunnableNode`.
        name: of the logger for errors.
    Returns:
        The exit code: 0 after a signal, 1 after an error, or the node's own.
    """
    signals = _Signals()
    code = 0
    try:
        with ros_context(args):
            signals.interrupting = False
            code = _run(make, signals, sys.argv if args is None else args)
    except SystemExit:
        pass
    except (PtrError, OSError) as error:
        get_logger(name).fatal(str(error))
        code = 1
    gc.freeze()  # nothing is left to clean up; a garbage collection with PyTorch loaded took seconds
    return code


def keep_answering(node: Node, duration: float = LAST_WORDS) -> None:
    """Spin a node that is being closed, so that pending responses are sent."""
    deadline = time.monotonic() + duration
    while time.monotonic() < deadline:
        if node.executor is not None:
            node.executor.spin_once(timeout_sec=duration / 10)


def destroy(node: Node) -> None:
    """Destroy a node so that it disappears from the graph immediately.

    rclpy leaves action servers and clients, and the state machine of a lifecycle node, to the garbage collector. While
    one of them exists, so does the participant, and other nodes list the node until its lease ends.
    """
    for waitable in list(node.waitables):
        if isinstance(waitable, (ActionServer, ActionClient)):
            waitable.destroy()
    state_machine = getattr(node, "_state_machine", None)  # rclpy has no public API for it
    if state_machine is not None:
        state_machine.destroy_when_not_in_use()
    node.destroy_node()


class _Signals:
    """SIGINT and SIGTERM as a flag, instead of rclpy's handlers, which shut ROS down while the node still runs.

    Attributes:
        interrupting: the next signal raises SystemExit. (After a KeyboardInterrupt from `exec`, which PyTorch uses a
            lot, Python kills itself even if it was caught.) False while a node is created or spun, because an exception
            would abort whatever is running, such as a save or a driver's call.
        received: a signal has arrived.
    """

    def __init__(self) -> None:
        self.interrupting, self.received = True, False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self.received = True
        if self.interrupting:
            self.interrupting = False
            raise SystemExit


def _run(make: Callable[[], RunnableNode], signals: _Signals, args: Sequence[str]) -> int:
    try:
        node = make()
    except (ParameterException, ValueError) as error:
        raise StartupError(str(error)) from error
    code = 1
    try:
        require_reachable(given_files(args), node.get_namespace())
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        node.create_timer(_POLL_PERIOD, lambda: None, clock=STEADY)
        _start(node, signals)
        while rclpy.ok() and not signals.received and node.exit_code is None:
            executor.spin_once()
        code = node.exit_code or 0
    except (SystemExit, ExternalShutdownException):
        code = 0
    finally:
        signals.interrupting = False
        node.close()
        exit_after(_SHUTDOWN_TIMEOUT, code)
        destroy(node)
    return code


def _start(node: RunnableNode, signals: _Signals) -> None:
    signals.interrupting = True
    try:
        if not signals.received:
            node.start()
    except (ParameterException, ValueError) as error:
        raise StartupError(str(error)) from error
    finally:
        signals.interrupting = False
