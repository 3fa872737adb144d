# SPDX-License-Identifier: Apache-2.0
"""ROS for the time of a `with` block."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import rclpy
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rclpy.signals import SignalHandlerOptions

from ptr_bringup.ros_environment import set_discovery, set_log_folder, unsupported
from ptr_models.common.errors import PtrError


class StartupError(PtrError):
    """A node can't do its work; the message says why and what to do, in one sentence."""


def prepare_environment() -> None:
    """Give ROS's environment variables the suite's defaults, where the user has set none.

    Whatever has launched this process: nodes then stay on this machine, and discover each other within a second.

    Raises:
        StartupError: the ROS that is sourced is not supported.
    """
    if why := unsupported(os.environ):
        raise StartupError(why)
    set_log_folder(os.environ)
    try:
        share = get_package_share_directory("ptr_bringup")
    except (PackageNotFoundError, OSError, ValueError):  # run from the sources alone: there is no profile
        share = ""
    set_discovery(os.environ, share)


_users = 0
"""Programs of this process that ROS is up for: two arms of one program share it."""


@contextmanager
def ros_context(args: Sequence[str] | None = None) -> Iterator[None]:
    """ROS is up within the block. Signals are left to the caller: rclpy's handlers would shut ROS down under it.

    A block without arguments within another one, or overlapping it, shares its ROS.

    `with rclpy.init():` does the same from Kilted on; Jazzy's `init` returns nothing.

    Raises:
        StartupError: the arguments are wrong, such as a parameter file that can't be read, or ROS is not supported.
    """
    global _users
    if not (_users and args is None):
        _init(args)
    _users += 1
    try:
        yield
    finally:
        _users -= 1
        if not _users:
            rclpy.try_shutdown()


def _init(args: Sequence[str] | None) -> None:
    prepare_environment()
    try:
        rclpy.init(args=None if args is None else list(args), signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:
        raise StartupError(str(error)) from error
