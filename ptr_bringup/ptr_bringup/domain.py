# SPDX-License-Identifier: Apache-2.0
"""Is a robot already running in this ROS domain, and which domain is free?

Two robots in the same domain and namespace drive each other's arm and record each other's images. A separate process
asks ROS for the nodes of other processes. Whether a domain is used on this machine shows immediately from the UDP ports
that the RTPS standard assigns to its participants.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping

UNIQUE = ("arm", "simulator", "xs_sdk", "recorder", "policy_server")
"""Nodes that may run only once per namespace of a domain."""
ANYWHERE = tuple(f"*/{name}" for name in UNIQUE)
"""The same in any namespace."""
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
    """True if a participant on this machine is in the domain: one of its ports can't be bound."""
    for number in range(_PARTICIPANTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", _FIRST + _EACH * domain + _UNICAST + 2 * number))
            except OSError:
                return True
    return False


def free_domain() -> int | None:
    """The lowest domain without a participant on this machine; None if all have one."""
    return next((domain for domain in range(LAST + 1) if not occupied(domain)), None)


def robots_nodes(environment: Mapping[str, str], names: Collection[str] = ANYWHERE, allowed: int = 1) -> list[str]:
    """The nodes among `names` that run in the domain of an environment; listed once per running instance.

    Args:
        names: with the namespace, such as left/arm; `*` matches any.
        allowed: how many instances may run. If there are more, the check is repeated until leftovers of killed
            processes have expired.
    """
    command = [sys.executable, "-c", _ASK, ",".join(names), str(allowed)]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    return list(json.loads(done.stdout.splitlines()[-1]))


def conflict(environment: Mapping[str, str], names: Collection[str]) -> str:
    """Why these nodes can't be started in the domain of an environment, or an empty string.

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
        return ""  # the nodes start anyway: they report the cause better, and the arm node checks for itself
    if not running:
        return ""
    free = free_domain()
    other = f"export ROS_DOMAIN_ID={free}" if free is not None else "set ROS_DOMAIN_ID to another one"
    return (
        f"a robot is already running in ROS domain {text} (nodes {', '.join(running)}): end it, or give this one a "
        f"namespace (namespace:=NAME) or its own domain: {other}"
    )
