# SPDX-License-Identifier: Apache-2.0
"""Accepts the connections of one door: a limited number per address, and none that stays silent.

asyncio's own server accepts every client, and never drops one that sends no request. A thousand of those at the
door to other machines would use up the process's file descriptors, and the stop button at the other door would fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Any

from ptr_teleop.console.admission import Admission, DoorLimits

HANDSHAKE = 4.0  # s for TLS
HEADER = 5.0  # s from there to a whole request
SWEEP = 0.5  # s between two checks for silent connections
BACKLOG = 128
PAUSE = 0.01  # s after a refusal, so that a flood at one door leaves time for the other
FILES = 1024  # file descriptors, more than doors and ROS together need
LOG = logging.getLogger(__name__)


class CountedSocket(socket.socket):
    """A socket that calls back when it is closed."""

    on_close: Callable[[], None] | None = None

    def close(self) -> None:
        """Close it, and call back once."""
        super().close()
        done, self.on_close = self.on_close, None
        if done is not None:
            done()


class DoorKeeper:
    """Listens at one address.

    Args:
        host, port: 0: any port that is free.
        make: creates the protocol of a connection.
        tls: None: unencrypted.

    Raises:
        OSError: the address is in use or does not exist.
    """

    def __init__(
        self, host: str, port: int, make: Callable[[], Any], tls: ssl.SSLContext | None, limits: DoorLimits
    ) -> None:
        self._make, self._tls, self._admission = make, tls, Admission(limits)
        self._silent: dict[Any, tuple[float, asyncio.Transport]] = {}
        self._tasks: set[asyncio.Task] = set()
        self._listening = socket.create_server((host, port), backlog=BACKLOG)
        self._listening.setblocking(False)
        self.port = int(self._listening.getsockname()[1])

    def start(self) -> None:
        """Start accepting connections."""
        self._create_task(self._accept())
        self._create_task(self._sweep())

    def close(self) -> None:
        """Stop accepting; open connections stay open."""
        for task in self._tasks:
            task.cancel()
        self._listening.close()

    def confirm(self, peer: Any) -> None:
        """Keep the connection of a client (its address and port) that has sent a whole request."""
        self._silent.pop(peer, None)

    def _create_task(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, peer = await loop.sock_accept(self._listening)
            except OSError as error:
                LOG.error("port %d can't accept: %s", self.port, error.strerror)
                await asyncio.sleep(SWEEP)
                continue
            if refusal := self._admission.refusal(peer[0]):
                accepted.close()
                LOG.warning("connections to port %d are refused: %s", self.port, refusal)
                await asyncio.sleep(PAUSE)
                continue
            connection = CountedSocket(accepted.family, accepted.type, accepted.proto, accepted.detach())
            connection.setblocking(False)
            connection.on_close = lambda address=peer[0]: self._admission.release(address)
            self._create_task(self._serve(connection, peer))

    async def _serve(self, connection: CountedSocket, peer: Any) -> None:
        limits = {"ssl_handshake_timeout": HANDSHAKE} if self._tls else {}
        if self._tls and sys.version_info >= (3, 11):
            limits["ssl_shutdown_timeout"] = HANDSHAKE
        started = time.monotonic()
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                self._make, connection, ssl=self._tls, **limits
            )
        except OSError as error:  # no TLS, or not in time; SSLError is an OSError
            LOG.debug("no connection with %s: %s", peer[0], error)
            return
        if not transport.is_closing():
            self._silent[peer] = started, transport

    async def _sweep(self) -> None:
        """Drop connections that have been open for a while without a request."""
        while True:
            await asyncio.sleep(SWEEP)
            limit = time.monotonic() - HEADER
            for peer, (started, transport) in list(self._silent.items()):
                if transport.is_closing() or started < limit:
                    del self._silent[peer]
                    transport.abort()


def reserve_files() -> None:
    """Raise the limit of file descriptors to what full doors and ROS need, if the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < FILES:
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
