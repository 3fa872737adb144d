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


class StartupError(RuntimeError):
    """The node can't do its work; the message says why and what to do, in one sentence."""


def run(factory: Callable[[], Node], args: list[str] | None = None) -> int:
    """Make a node, spin it until SIGINT or SIGTERM (once or twice), and take it down cleanly.

    A node with an attribute `finished` (an integer or None) ends with that exit code once it is set. A node
    with a method `close` is closed before it is destroyed.

    Returns:
        Exit code: 0, or 1 when the node could not start; the reason is printed on stderr.
    """
    listening = False

    def interrupt(*_: object) -> None:
        """Leave SIGINT to rclpy once it listens: an exception in the middle of a driver's call can't be caught well."""
        if not listening:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        with rclpy.init(args=args):
            listening = True
            return _spin(factory)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except (StartupError, ParameterException, InvalidParameterValueException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _spin(factory: Callable[[], Node]) -> int:
    node: Node | None = None
    try:
        node = factory()
        wake_up(node)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and getattr(node, "finished", None) is None:
            executor.spin_once()
    except Exception:
        if rclpy.ok():
            raise
        # A signal has shut ROS down while something was being sent or waited for.
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a launch and a terminal may both send it
        if node is not None:
            getattr(node, "close", lambda: None)()
            node.destroy_node()
    return getattr(node, "finished", None) or 0


def wake_up(node: Node) -> None:
    """Let the executor look up once a second, also when simulated time has stopped and no message comes.

    rclpy wakes it once for a signal; if it looks before the context is down, nothing else would wake it.
    """
    node.create_timer(1.0, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))


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
