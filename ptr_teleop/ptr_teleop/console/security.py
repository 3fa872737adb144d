# SPDX-License-Identifier: Apache-2.0
"""Access control: the host name, the page's own origin, and the token on the door to other machines.

Any website's page can send requests to this machine through the operator's browser. It can't set the headers `Host` and
`Origin`, which therefore reveal it (DNS rebinding, cross-site requests, cross-site WebSockets).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

COOKIE = "ptr_console"
MAX_PATH = 2048
"""Characters of a path with its query; the page's longest has the token."""
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?")
"""A name or an address with or without a port, and nothing else (RFC 9110, 7.2)."""
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a form's Origin would be `null`
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused.

    Attributes:
        status: HTTP status.   text: one sentence for the person at the page.
    """

    status: int
    text: str


def path_refusal(path: str) -> Refusal | None:
    """Why a path is refused; None: it is not."""
    if len(path) > MAX_PATH:
        return Refusal(414, f"This address has {len(path)} characters; the limit is {MAX_PATH}.")
    if "%00" in path:
        return Refusal(400, "This address contains an invalid character (%00).")
    return None


@dataclass(frozen=True)
class Guard:
    """Access rules of one door.

    Attributes:
        scheme: http or https.
        hosts: accepted host names and addresses, lower case.
        token: required in every request; empty: none, for the door that only this machine can reach.
    """

    scheme: str
    hosts: Collection[str]
    token: str = ""

    def refusal(
        self, method: str, upgrade: bool, headers: Mapping[str, str], tokens: Collection[str]
    ) -> Refusal | None:
        """Why a request is refused; None: it is not.

        Args:
            upgrade: the request asks for a WebSocket.
            headers: with case-insensitive names, as aiohttp gives them.
            tokens: its tokens, from the address and the cookie.
        """
        hosts = headers.getall("Host", []) if hasattr(headers, "getall") else [headers.get("Host", "")]
        host = hosts[0] if len(hosts) == 1 else ""
        if not self._knows(host):
            return Refusal(421, f"This console is not known as '{host[:80]}': use the address that it printed.")
        if upgrade or method not in ("GET", "HEAD"):
            origin = headers.get("Origin", "")
            if origin.lower() != f"{self.scheme}://{host}".lower():
                return Refusal(403, f"A page from another origin ('{origin[:80]}') may not use this console.")
        if self.token and not any(self._matches(token) for token in tokens):
            wrong = any(tokens)
            what = "This token is wrong" if wrong else "A token is needed"
            return Refusal(403 if wrong else 401, f"{what}: open the whole address that the console printed.")
        return None

    def _knows(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        return found is not None and found[1].strip("[]").lower() in self.hosts

    def _matches(self, token: str) -> bool:
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())
