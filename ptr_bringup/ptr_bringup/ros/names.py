# SPDX-License-Identifier: Apache-2.0
"""Names of a robot in a namespace: topics, frames and diagnostics. Robots of one ROS domain have a namespace each.

Nodes use relative names, which ROS puts into the node's namespace. What all robots of a domain share is told apart by
a prefix: frames of /tf, and names in /diagnostics. Without a namespace nothing is prefixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.client import Client
    from rclpy.node import Node

SHARED = frozenset({"/clock", "/diagnostics", "/parameter_events", "/rosout", "/tf", "/tf_static"})
"""Topics that are the same for all robots of a domain."""


def relative(topic: str) -> str:
    """What a node subscribes to for a topic as bags and pages name it: arm/state for /arm/state, but /tf for /tf."""
    return topic if topic in SHARED else topic.lstrip("/")


def service_name(client: Client) -> str:
    """The full name of a client's service; where rclpy does not tell it, the name that it was made with."""
    return str(getattr(client, "service_name", client.srv_name))


def prefix(namespace: str) -> str:
    """What frames and diagnostics of a namespace begin with: left/ for /left; empty without a namespace."""
    name = namespace.strip("/")
    return f"{name}/" if name else ""


def prefixed(node: Node, name: str) -> str:
    """A frame, or a name in /diagnostics, as a node publishes it: left/base_link for base_link in /left."""
    return prefix(node.get_namespace()) + name
