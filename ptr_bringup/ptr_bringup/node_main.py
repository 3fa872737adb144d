# SPDX-License-Identifier: Apache-2.0
"""How a node of this package begins and ends, and how it declares its parameters."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterValueException, ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions


class StartupError(RuntimeError):
    """The node can't do its work; the message says why and what to do, in one sentence."""


_LOOK = 0.2
"""s between two looks for a signal: one does not end the executor's waiting by itself."""
_TAKEDOWN = 3
"""s that taking ROS down may last: Fast DDS can hang in it (config/fastdds_profile.xml). SIGALRM then ends the process,
whatever lock is held, and the launcher knows what that means."""


def run(factory: Callable[[], Node], args: list[str] | None = None) -> int:
    """Make a node, spin it until SIGINT or SIGTERM (once or more), and take it down cleanly.

    A node with an attribute `finished` (an integer or None) ends with that exit code once it is set. A node
    with a method `close` is closed before it is destroyed; ROS is still up then, so it can send its last words.

    Returns:
        Exit code: 0, or 1 when the node could not start; the reason is printed on stderr.
    """
    signals = _Signals()
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        try:
            signals.interrupting = False
            return _spin(factory, signals)
        finally:
            rclpy.try_shutdown()
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except (StartupError, ParameterException, InvalidParameterValueException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


class _Signals:
    """SIGINT and SIGTERM as a flag, in place of rclpy's handlers, which take ROS down under the node.

    Attributes:
        interrupting: true as long as a signal raises KeyboardInterrupt; later an exception in the middle of a
            driver's call could not be caught well.
        received: true once one has come.
    """

    def __init__(self) -> None:
        self.interrupting, self.received = True, False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, *_: object) -> None:
        self.received = True
        if self.interrupting:
            raise KeyboardInterrupt


def _spin(factory: Callable[[], Node], signals: _Signals) -> int:
    node = factory()
    try:
        node.create_timer(_LOOK, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not signals.received and getattr(node, "finished", None) is None:
            executor.spin_once()
    finally:
        getattr(node, "close", lambda: None)()
        signal.alarm(_TAKEDOWN)
        node.destroy_node()
    return getattr(node, "finished", None) or 0


def declare(
    node: Node, name: str, default: Any, description: str, low: float | None = None, high: float | None = None
) -> Any:
    """Declare a read-only parameter with its description and, for numbers, its range; returns its value."""
    descriptor = ParameterDescriptor(description=description, read_only=True)
    if low is not None and high is not None:
        if isinstance(default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    return node.declare_parameter(name, default, descriptor).value
