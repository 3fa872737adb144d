# SPDX-License-Identifier: Apache-2.0
"""Defaults of ROS 2's environment variables: where its packages are, and who may reach the nodes.

Standard library only: `scripts/bootstrap.py` copies this module into the virtual environment, where a `.pth` file
applies it in every Python that starts there, so that nothing has to be sourced.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, MutableMapping

RANGE, PEERS, PROFILES = "ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_STATIC_PEERS", "FASTDDS_DEFAULT_PROFILES_FILE"
LOCAL, NETWORK = "fastdds_profile.xml", "fastdds_profile_network.xml"
_CLOSED = ("LOCALHOST", "OFF")


def reaches_the_network(environment: Mapping[str, str]) -> bool:
    """True when the user has let nodes talk to other machines: by another discovery range, or by naming peers."""
    return environment.get(RANGE, "LOCALHOST") not in _CLOSED or bool(environment.get(PEERS))


def set_discovery(environment: MutableMapping[str, str], share: str) -> None:
    """Keep nodes on this machine, unless the user has opened the range; a profile of the user's own stays.

    Args:
        environment: is changed.
        share: folder of ptr_bringup's shared files.
    """
    environment.setdefault(RANGE, "LOCALHOST")
    if os.path.basename(environment.get(PROFILES, LOCAL)) not in (LOCAL, NETWORK):
        return
    profile = os.path.join(share, "config", NETWORK if reaches_the_network(environment) else LOCAL)
    if os.path.exists(profile):
        environment[PROFILES] = profile


def apply(prefix: str) -> None:
    """Set in this process what ROS 2 needs to find its packages, to keep its traffic on this machine, and to log.

    Args:
        prefix: where ROS 2 and the workspace are installed, the virtual environment.
    """
    known = [path for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]
    if prefix not in known:
        os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join([prefix, *known])
    if not os.access(os.environ.get("HOME", ""), os.W_OK):  # where rclpy would write its logs, or fail
        folder = os.environ.setdefault("ROS_LOG_DIR", os.path.join("/tmp", f"ros-log-{os.getuid()}"))
        with contextlib.suppress(OSError):
            os.mkdir(folder, mode=0o700)  # rclpy would let everybody in
    set_discovery(os.environ, os.path.join(prefix, "share", "ptr_bringup"))
