# SPDX-License-Identifier: Apache-2.0
"""Is there at most one robot in this ROS domain?"""

from __future__ import annotations

import os
import subprocess
from collections import Counter

from ptr_bringup.doctor.findings import AbsentError
from ptr_bringup.domain import free_domain, robots_nodes


def one_robot() -> str:
    """Which domain this is, and which of a robot's nodes run in it.

    Raises:
        AbsentError: one of them runs twice, or ROS could not be asked.
    """
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    try:
        nodes = robots_nodes(os.environ)
    except subprocess.SubprocessError as error:
        raise AbsentError(f"the nodes of ROS domain {domain} can't be listed ({error})") from None
    twice = [name for name, count in Counter(nodes).items() if count > 1]
    if twice:
        free = free_domain()
        other = "" if free is None else f", for example ROS_DOMAIN_ID={free}"
        raise AbsentError(
            f"ROS domain {domain} has two robots (twice there: {', '.join(twice)}); end one, or start it in another "
            f"domain{other}, or with namespace:=NAME"
        )
    return f"{domain}, {', '.join(nodes) + ' running' if nodes else 'no robot is running'}"
