# SPDX-License-Identifier: Apache-2.0
"""The main function that this package's nodes share: ends cleanly on one or two SIGINTs and on SIGTERM."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.node import Node

from ptr_models.errors import PtrError


def run(make: Callable[[], Node], name: str, args: Sequence[str] | None = None) -> None:
    """Make a node, spin it until a signal, and give back what it holds.

    A node that can't start raises an exception whose text is the sentence that the user reads; the process
    exits with 1.
    """
    try:
        with rclpy.init(args=args):
            try:
                node = make()
            except (PtrError, OSError, ValueError) as error:
                get_logger(name).fatal(str(error))
                sys.exit(1)
            try:
                rclpy.spin(node)
            finally:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # launch and terminal may both send it
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                node.destroy_node()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
