# SPDX-License-Identifier: Apache-2.0
"""ROS for the duration of a `with` block."""

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
    """Set ROS's environment variables to the suite's defaults unless the user has set them.

    However this process was launched, nodes then stay on this machine and discover each other within a second.

    Raises:
        StartupError: the ROS that is sourced is not supported.
    """
    if why := unsupported(os.environ):
        raise StartupError(why)
    set_log_folder(os.environ)
    try:
        share = get_package_share_directory("ptr_bringup")
    except (PackageNotFoundError, OSError, ValueError):  # not installed, so there is no profile
        share = ""
    set_discovery(os.environ, share)


_users = 0
"""Number of contexts in this process: two robots in one program share ROS."""


@contextmanager
def ros_context(args: Sequence[str] | None = None) -> Iterator[None]:
    """ROS is up within the block. The caller handles signals: rclpy's handlers would shut ROS down too early.

    A block without arguments inside another one, or overlapping it, shares its ROS.

    `with rclpy.init():` does the same since Kilted; Jazzy's `init` returns nothing.

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
