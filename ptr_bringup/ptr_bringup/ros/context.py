# SPDX-License-Identifier: Apache-2.0
"""ROS for the time of a `with` block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rclpy
from rclpy.signals import SignalHandlerOptions

from ptr_models.common.errors import PtrError


class StartupError(PtrError):
    """A node can't do its work; the message says why and what to do, in one sentence."""


@contextmanager
def ros_context(args: Sequence[str] | None = None) -> Iterator[None]:
    """ROS is up within the block. Signals are left to the caller: rclpy's handlers would shut ROS down under it.

    `with rclpy.init():` does the same from Kilted on; Jazzy's `init` returns nothing.

    Raises:
        StartupError: the arguments are wrong, such as a parameter file that can't be read.
    """
    try:
        rclpy.init(args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        raise StartupError(str(error)) from error
    try:
        yield
    finally:
        rclpy.try_shutdown()
