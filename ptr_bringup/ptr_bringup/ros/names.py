# SPDX-License-Identifier: Apache-2.0
"""Names of a robot in a namespace: topics, frames and diagnostics. Each robot in a ROS domain has its own namespace.

Nodes use relative names, which ROS resolves in the node's namespace. On topics that all robots share, a prefix
distinguishes them: in frames of /tf and names in /diagnostics. Without a namespace there is no prefix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rclpy.client import Client
    from rclpy.node import Node

SHARED = frozenset({"/clock", "/diagnostics", "/parameter_events", "/rosout", "/tf", "/tf_static"})
"""Topics shared by all robots in a domain."""


def relative(topic: str) -> str:
    """The name a node subscribes to, for a topic's name in bags and docs: arm/state for /arm/state, but /tf for /tf."""
    return topic if topic in SHARED else topic.lstrip("/")


def service_name(client: Client) -> str:
    """The full name of a client's service; if rclpy does not provide it, the name it was created with."""
    return str(getattr(client, "service_name", client.srv_name))


def prefix(namespace: str) -> str:
    """Prefix of a namespace's frames and diagnostics: left/ for /left; empty without a namespace."""
    name = namespace.strip("/")
    return f"{name}/" if name else ""


def prefixed(node: Node, name: str) -> str:
    """A frame, or a name in /diagnostics, as a node publishes it: left/base_link for base_link in /left."""
    return prefix(node.get_namespace()) + name
