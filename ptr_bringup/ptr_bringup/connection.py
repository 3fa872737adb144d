# SPDX-License-Identifier: Apache-2.0
"""A node for the time of one command line, and how its errors reach the terminal. Imports rclpy."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from ptr_bringup.session import Caller, SessionError

Client = TypeVar("Client")


@contextmanager
def connected(name: str, make: Callable[[Caller], Client]) -> Iterator[Client]:
    """A client of other nodes, made from the caller of a new node that a thread spins from its first wait on.

    Ctrl-C is left to Python: KeyboardInterrupt ends whatever is waited for.
    """
    with rclpy.init(signal_handler_options=SignalHandlerOptions.NO):
        node = Node(name)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        spinner = threading.Thread(target=_spin, args=(executor,), daemon=True)
        try:
            yield make(Caller(node, threading.Event(), spinner.start))
        finally:
            executor.shutdown()
            if spinner.is_alive():
                spinner.join(timeout=5.0)
            node.destroy_node()


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


def reported(work: Callable[[], int]) -> int:
    """The exit code of `work`; 2 when another node refuses or does not answer, with its sentence on stderr."""
    try:
        return work()
    except SessionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
