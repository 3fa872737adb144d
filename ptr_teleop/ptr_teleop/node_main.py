# SPDX-License-Identifier: Apache-2.0
"""The main function that this package's nodes share: ends cleanly on one or two SIGINTs and on SIGTERM."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from ptr_models.common.errors import PtrError

_LOOK = 0.2
"""s between two looks for a signal: one does not end the executor's waiting by itself, nor does simulated time that
stands still."""
_LAST_WORDS = 0.3
"""s for which a node that has last words stays: see `EndingNode.end`."""
_TAKEDOWN = 3
"""s that taking ROS down may last: Fast DDS can hang in it (ptr_bringup/config/fastdds_profile.xml). SIGALRM then ends
the process, whatever lock is held, and the launcher knows what that means."""


class EndingNode(Node):
    """A node that has something to give back when it ends."""

    def end(self) -> bool:
        """Called once, when the node was made and the process ends. ROS is still up.

        Returns:
            True: last words were sent. A message whose publisher vanishes may be lost even on its way to a reader that
            is there, so the node stays for a moment.
        """
        raise NotImplementedError


def run(make: Callable[[], EndingNode], name: str, args: Sequence[str] | None = None) -> None:
    """Make a node, spin it until SIGINT or SIGTERM (once or more), and let it give back what it holds.

    A node that can't start raises an exception whose text is the sentence that the user reads; the process
    exits with 1.
    """
    signals = _Signals()
    failed = False
    try:
        with rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO):
            signals.interrupting = False
            try:
                node = make()
            except (PtrError, ParameterException, OSError, ValueError) as error:
                get_logger(name).fatal(str(error))
                failed = True
            else:
                _spin(node, signals)
    except KeyboardInterrupt:
        pass
    if failed:
        sys.exit(1)


class _Signals:
    """SIGINT and SIGTERM as a flag, in place of rclpy's handlers, which take ROS down under the node.

    Attributes:
        interrupting: a signal raises KeyboardInterrupt. Once the node is being made, that would break off what runs
            just then, such as a save.
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


def _spin(node: EndingNode, signals: _Signals) -> None:
    executor = SingleThreadedExecutor()
    try:
        node.create_timer(_LOOK, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
        executor.add_node(node)
        while not signals.received:
            executor.spin_once()
    finally:
        if node.end():
            time.sleep(_LAST_WORDS)
        signal.alarm(_TAKEDOWN)
        node.destroy_node()
