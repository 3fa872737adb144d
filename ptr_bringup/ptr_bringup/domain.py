# SPDX-License-Identifier: Apache-2.0
"""Is there a robot in this ROS domain already, and which domain is free?

Two robots of one domain and namespace drive each other's arm and record each other's images. Nodes of other processes
are found by asking ROS, in a process of its own; whether anybody is in a domain of this machine shows at once by the
UDP ports that the RTPS standard gives its participants.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping

UNIQUE = ("arm", "simulator", "xs_sdk", "recorder", "policy_server")
"""Nodes that a namespace of a domain can have once."""
ANYWHERE = tuple(f"*/{name}" for name in UNIQUE)
"""The same in whatever namespace."""
_FIRST, _EACH, _UNICAST, _PARTICIPANTS = 7400, 250, 10, 16
"""Ports of RTPS (OMG DDSI-RTPS 2.5, 9.6.2): base, per domain, first of unicast discovery; and how many are tried."""
LAST = 101
"""Highest domain whose ports stay clear of Linux's ephemeral ones."""
_TIMEOUT = 40.0
"""s for the process that asks ROS: it may wait for the lease of a killed node."""
_ASK = """
import json, sys, time
import rclpy
wanted, allowed = sys.argv[1].split(","), int(sys.argv[2])
discovery, lease = 1.5, 12.0  # s; nodes of a killed process are known for up to 10 s more
rclpy.init()
node, begin, seen = rclpy.create_node("domain_check", start_parameter_services=False), time.monotonic(), []
while (passed := time.monotonic() - begin) < discovery or (
    passed < lease and any(seen.count(name) > allowed for name in seen)
):
    rclpy.spin_once(node, timeout_sec=0.1)
    found = [(name, f"{space}/{name}".strip("/")) for name, space in node.get_node_names_and_namespaces()]
    seen = sorted(full for name, full in found if full in wanted or f"*/{name}" in wanted)
print(json.dumps(seen))
rclpy.try_shutdown()
"""


def occupied(domain: int) -> bool:
    """True when a participant of this machine is in the domain: one of its ports can't be bound."""
    for number in range(_PARTICIPANTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", _FIRST + _EACH * domain + _UNICAST + 2 * number))
            except OSError:
                return True
    return False


def free_domain() -> int | None:
    """The lowest domain without a participant of this machine; None: all have one."""
    return next((domain for domain in range(LAST + 1) if not occupied(domain)), None)


def robots_nodes(environment: Mapping[str, str], names: Collection[str] = ANYWHERE, allowed: int = 1) -> list[str]:
    """Which of these nodes run in the domain of an environment; one is named as often as it runs.

    Args:
        names: with the namespace, such as left/arm; `*` stands for any.
        allowed: how often each may run. When one runs more often, it is looked again until what is left of killed
            processes is forgotten.
    """
    command = [sys.executable, "-c", _ASK, ",".join(names), str(allowed)]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def conflict(environment: Mapping[str, str], names: Collection[str]) -> str:
    """Why these nodes can't be started in the domain of an environment, or empty.

    Args:
        names: of the nodes that are to be started, with their namespace: arm, or left/arm.
    """
    wanted = [name for name in names if name.rpartition("/")[2] in UNIQUE]
    text = environment.get("ROS_DOMAIN_ID") or "0"
    local = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST" and not environment.get("ROS_STATIC_PEERS")
    if not wanted or not text.isdecimal() or (local and not occupied(int(text))):
        return ""
    try:
        running = robots_nodes(environment, wanted, allowed=0)
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""  # what hinders it says so better where it is needed: the nodes start, and the arm looks for itself
    if not running:
        return ""
    free = free_domain()
    other = f"export ROS_DOMAIN_ID={free}" if free is not None else "set ROS_DOMAIN_ID to another one"
    return (
        f"ROS domain {text} has a robot already (nodes {', '.join(running)}): end it, or give this one a namespace "
        f"(namespace:=NAME) or a domain of its own: {other}"
    )
