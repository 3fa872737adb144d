# SPDX-License-Identifier: Apache-2.0
"""What this package's nodes share: described parameters, latched topics, a main that ends cleanly."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile

from ptr_models.errors import PtrError

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


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


def run(
    make: Callable[[], Node], work: Callable[[Any], None], name: str, args: Sequence[str] | None = None
) -> None:
    """Make a node and do its work until that returns or a signal ends it.

    What goes wrong in either is an exception whose text is the sentence that the user reads; the process then
    exits with 1. Ends cleanly on one or two SIGINTs and on SIGTERM.
    """
    failed = False
    try:
        with rclpy.init(args=args):
            try:
                node = make()
                try:
                    work(node)
                finally:
                    signal.signal(signal.SIGINT, signal.SIG_IGN)  # launch and terminal may both send it
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    node.destroy_node()
            except rclpy_implementation.RCLError:
                if rclpy.ok():  # otherwise a signal ended the context while the node was being made
                    raise
            except (PtrError, ParameterException, OSError, ValueError) as error:
                get_logger(name).fatal(str(error))
                failed = True
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    gc.freeze()  # nothing is left to take down; looking through all of PyTorch for it took seconds
    if failed:
        sys.exit(1)
