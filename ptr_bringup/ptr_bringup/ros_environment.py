# SPDX-License-Identifier: Apache-2.0
"""Defaults of ROS 2's environment variables: where its packages are, who may reach the nodes, where logs go.

Every node and command sets them before it uses ROS, however it was launched. Standard library only:
`scripts/bootstrap.py` also copies this module into the virtual environment, where a `.pth` file applies it whenever
Python starts, so that nothing has to be sourced.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, MutableMapping

RANGE, PEERS, PROFILES = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS", "FASTDDS_DEFAULT_PROFILES_FILE"
LOCAL, NETWORK = "fastdds_profile.xml", "fastdds_profile_network.xml"
PROFILES_OF_JAZZY = "FASTRTPS_DEFAULT_PROFILES_FILE"
"""Name of PROFILES in Fast DDS 2, which Jazzy uses. Later versions read both, and fail if both name the same file."""
_CLOSED = ("LOCALHOST", "OFF")
_HUMBLE = (
    "ROS 2 Humble is not supported: its launch files support neither equals nor a node's on_exit, its rosbag2 "
    "can't read the suite's bags, and it can't keep nodes on this machine; source Jazzy or Kilted, or source no ROS "
    "and use `make setup`"
)


def unsupported(environment: Mapping[str, str]) -> str:
    """Why the sourced ROS is not supported, or an empty string."""
    return _HUMBLE if environment.get("ROS_DISTRO") == "humble" else ""


def reaches_the_network(environment: Mapping[str, str]) -> bool:
    """True if the user has allowed nodes to reach other machines, by the discovery range or by naming peers."""
    return environment.get(RANGE, "LOCALHOST") not in _CLOSED or bool(environment.get(PEERS))


def set_discovery(environment: MutableMapping[str, str], share: str) -> None:
    """Keep nodes on this machine unless the user has widened the range; the user's own profile is kept.

    Args:
        environment: modified.
        share: ptr_bringup's share folder.
    """
    environment.setdefault(RANGE, "LOCALHOST")
    given = (environment[name] for name in (PROFILES, PROFILES_OF_JAZZY) if name in environment)
    if any(os.path.basename(path) not in (LOCAL, NETWORK) for path in given):
        return
    profile = os.path.join(share, "config", NETWORK if reaches_the_network(environment) else LOCAL)
    if os.path.exists(profile):
        jazzy = environment.get("ROS_DISTRO") == "jazzy"
        environment.pop(PROFILES if jazzy else PROFILES_OF_JAZZY, None)
        environment[PROFILES_OF_JAZZY if jazzy else PROFILES] = profile


def set_log_folder(environment: MutableMapping[str, str]) -> None:
    """Set a writable log folder: rclpy fails if the home folder is read-only."""
    if not os.access(environment.get("HOME", ""), os.W_OK):
        folder = environment.setdefault("ROS_LOG_DIR", os.path.join("/tmp", f"ros-log-{os.getuid()}"))
        with contextlib.suppress(OSError):
            os.mkdir(folder, mode=0o700)  # rclpy would make it accessible to everyone


def apply(prefix: str) -> None:
    """Set this process's variables for ROS 2's packages, discovery and log folder.

    Args:
        prefix: the virtual environment, where ROS 2 and the workspace are installed.
    """
    known = [path for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]
    if prefix not in known:
        os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join([prefix, *known])
    set_log_folder(os.environ)
    set_discovery(os.environ, os.path.join(prefix, "share", "ptr_bringup"))
