# SPDX-License-Identifier: Apache-2.0
"""Defaults of ROS 2's environment variables, for every Python that starts in this virtual environment.

`scripts/bootstrap.py` puts this module into the virtual environment, with a `.pth` file that imports it, so
that nothing has to be sourced. A variable that is set already is left alone.
"""

import os
import sys


def apply(prefix: str) -> None:
    """Set what ROS 2 needs to find its packages, keep its traffic on this machine, and let it log.

    Args:
        prefix: where ROS 2 and the workspace are installed, the virtual environment.
    """
    known = [path for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]
    if prefix not in known:
        os.environ["AMENT_PREFIX_PATH"] = os.pathsep.join([prefix, *known])
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    if not os.access(os.environ.get("HOME", ""), os.W_OK):  # where rclpy would write its logs, or fail
        os.environ.setdefault("ROS_LOG_DIR", os.path.join("/tmp", f"ros-log-{os.getuid()}"))
    profile = os.path.join(prefix, "share", "ptr_bringup", "config", "fastdds_profile.xml")
    if os.path.exists(profile):
        os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", profile)


apply(sys.prefix)
