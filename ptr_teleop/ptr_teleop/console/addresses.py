# SPDX-License-Identifier: Apache-2.0
"""The names under which this machine can be reached, and the address of the page."""

from __future__ import annotations

import io
import ipaddress
import socket

import segno

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def machine_names() -> list[str]:
    """This machine's host name, its mDNS name, and its address in the network, if any."""
    host = socket.gethostname()
    names = [host] if "." in host else [host, f"{host}.local"]
    address = network_address()
    return [name for name in [*names, address] if name]


def network_address() -> str | None:
    """The source IPv4 address of packets to other machines; None without a network. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address (RFC 5737): only the route is looked up
            address = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if ipaddress.ip_address(address).is_unspecified else address


def url(scheme: str, host: str, port: int, token: str = "") -> str:
    """The page's address."""
    place = f"[{host}]" if ":" in host else host
    return f"{scheme}://{place}:{port}/" + (f"?token={token}" if token else "")


def qr_code(address: str) -> str:
    """The address as a QR code of text characters, for a terminal."""
    text = io.StringIO()
    segno.make(address, error="l", micro=False).terminal(text, border=2, compact=True)
    return text.getvalue()
