# SPDX-License-Identifier: Apache-2.0
"""The main function that this package's nodes share: ends cleanly on one or two SIGINTs and on SIGTERM."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.node import Node

from ptr_models.errors import PtrError


class EndingNode(Node):
    """A node that has something to give back when it ends."""

    def end(self) -> None:
        """Called once, when the node was made and the process ends; nothing can be published any more."""


def run(make: Callable[[], EndingNode], name: str, args: Sequence[str] | None = None) -> None:
    """Make a node, spin it until a signal, and let it give back what it holds.

    A node that can't start raises an exception whose text is the sentence that the user reads; the process
    exits with 1.
    """
    failed = listening = False

    def interrupt(*_: object) -> None:
        """Leave SIGINT to rclpy once it listens: an exception would break off what runs just then, such as a save."""
        if not listening:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        with rclpy.init(args=args):
            listening = True
            try:
                node = make()
            except rclpy_implementation.RCLError:
                if rclpy.ok():  # otherwise a signal ended the context while the node was being made
                    raise
            except (PtrError, ParameterException, OSError, ValueError) as error:
                get_logger(name).fatal(str(error))
                failed = True
            else:
                _spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    if failed:
        sys.exit(1)


def _spin(node: EndingNode) -> None:
    # Wakes the executor after a signal even when simulated time has stopped and no message comes.
    node.create_timer(1.0, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
    try:
        rclpy.spin(node)
    except rclpy_implementation.RCLError:
        if rclpy.ok():  # otherwise a signal ended the context in the middle of a callback
            raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # launch and terminal may both send it
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        node.end()
        node.destroy_node()
