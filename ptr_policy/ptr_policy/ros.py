# SPDX-License-Identifier: Apache-2.0
"""What this package's nodes share: described parameters, latched topics, a main that ends cleanly."""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import Executor, SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions

from ptr_models.common.errors import PtrError

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_LOOK = 0.2
"""s between two looks for a signal: one does not end the executor's waiting by itself, nor does simulated time that
stands still."""
_LAST_WORDS = 0.3
"""s for which a node that has ended something still answers: whoever waits for the end gets to know of it."""
_TAKEDOWN = 3
"""s that taking ROS down may last: Fast DDS can hang in it (ptr_bringup/config/fastdds_profile.xml). SIGALRM then ends
the process, whatever lock is held, and the launcher knows what that means."""


def declare(
    node: Node, name: str, default: Any, description: str, limits: tuple[float, float] | None = None
) -> Any:
    """Declare a parameter that is set at start only, and return its value.

    Args:
        limits: smallest and largest value of a number, both allowed.
    """
    descriptor = ParameterDescriptor(description=description, read_only=True)
    if limits is not None:
        if isinstance(default, float):
            low, high = float(limits[0]), float(limits[1])
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(limits[0]), to_value=int(limits[1]))]
    return node.declare_parameter(name, default, descriptor).value


class Serving(Protocol):
    """A node that begins its work when it has been made, and ends it when the process is to end."""

    def begin(self) -> None:
        """Called once, before the node is spun; a signal breaks it off."""

    def end(self) -> bool:
        """Called once, while ROS is still up; True: answers have to leave yet."""


def run(make: Callable[[], Serving], name: str, args: Sequence[str] | None = None) -> None:
    """Make a node, spin it until SIGINT or SIGTERM (once or more), and let it end what it does.

    What goes wrong is an exception whose text is the sentence that the user reads; the process then exits with 1.
    """
    signals = _Signals()
    failed = False
    try:
        with rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO):
            try:
                _serve(make(), signals)
            except (PtrError, ParameterException, OSError, ValueError) as error:
                get_logger(name).fatal(str(error))
                failed = True
    except SystemExit:
        pass
    gc.freeze()  # nothing is left to take down; looking through all of PyTorch for it took seconds
    if failed:
        sys.exit(1)


class _Signals:
    """SIGINT and SIGTERM as a flag, in place of rclpy's handlers, which take ROS down under the node.

    Attributes:
        interrupting: the next signal raises SystemExit: a checkpoint that is being loaded is not waited for. (After a
            KeyboardInterrupt that has left `exec`, as used all over PyTorch, Python kills itself though it was caught.)
        received: true once one has come.
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


def _serve(node: Any, signals: _Signals) -> None:
    executor = SingleThreadedExecutor()
    try:
        node.begin()
        signals.interrupting = False
        node.create_timer(_LOOK, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
        executor.add_node(node)
        while not signals.received:
            executor.spin_once()
    finally:
        signals.interrupting = False
        if node.end():
            _linger(executor)
        signal.alarm(_TAKEDOWN)
        node.destroy_node()


def _linger(executor: Executor) -> None:
    """Answer for a moment yet."""
    until = time.monotonic() + _LAST_WORDS
    while time.monotonic() < until:
        executor.spin_once(timeout_sec=_LAST_WORDS / 10)
