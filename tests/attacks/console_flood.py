#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A flood at the console's door to other machines must not keep anybody from pressing stop at the local one.

    .venv/bin/python tests/attacks/console_flood.py

Starts a console of a robot that only takes notes, in a process with 1024 file descriptors, and floods its encrypted
door from 60 addresses of this machine's loopback (127.0.1.1 to 127.0.1.60): 1100 connections that say nothing, then
120 clients that finish TLS and say nothing, then 60 malformed requests. Meanwhile it presses stop at the local door.
Prints one line of JSON; nothing leaves the loopback interface.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / name for name in ("models", "ptr_bringup", "ptr_teleop", "ptr_policy")]
FILES = 1024  # descriptors of the console's process
IDLE, HANDSHAKES, MALFORMED, ADDRESSES = 1100, 120, 60, 60
PHASE = 8.0  # s that each kind of flood lasts at most
SILENCE = 30.0  # s that the end of silent connections is waited for


def main() -> int:
    """Flood, press stop, and count."""
    if sys.argv[1:2] == ["console"]:
        return console(Path(sys.argv[2]))
    wanted = IDLE + 600
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    with tempfile.TemporaryDirectory() as folder, open(Path(folder) / "log", "wb") as log:
        command = [sys.executable, __file__, "console", folder]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, SOURCES))}
        with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=log, env=environment, text=True) as process:
            try:
                local, remote = map(int, process.stdout.readline().split())
                figures = flood(local, remote, process.pid)
            finally:
                process.kill()
        figures["log_kb"] = round((Path(folder) / "log").stat().st_size / 1e3, 1)
    print(json.dumps(figures))
    return 0


def flood(local: int, remote: int, pid: int) -> dict[str, Any]:
    """Every kind of flood, and what a press of stop gets meanwhile."""
    figures: dict[str, Any] = {"stop_before": press_stop(local)}
    silent = within(PHASE, IDLE, lambda number: connect(remote, number))
    figures["silent_connections"] = still_open(silent)
    figures["stop_during_silent_connections"] = press_stop(local)
    figures["files_of_the_console"] = len(os.listdir(f"/proc/{pid}/fd"))
    figures["silent_for_s"] = wait_until_closed(silent)
    tried = within(PHASE, HANDSHAKES, lambda number: handshake(remote, number))
    finished = [client for client in tried if client is not None]
    figures["handshakes_finished"] = len(finished)
    figures["stop_during_finished_handshakes"] = press_stop(local)
    wait_until_closed(finished)
    within(PHASE, MALFORMED, lambda number: malformed(remote, number))
    figures["stop_during_malformed_requests"] = press_stop(local)
    figures["silent_connections_left"] = still_open([*silent, *finished])
    return figures


def within(seconds: float, count: int, act: Callable[[int], Any]) -> list[Any]:
    """Do something so many times, or as often as there is time."""
    begin = time.monotonic()
    return [act(number) for number in range(count) if time.monotonic() - begin < seconds]


def wait_until_closed(clients: list[socket.socket]) -> float:
    """Wait until the console has closed them, and return how long that took (s); not for ever."""
    begin = time.monotonic()
    while still_open(clients) and time.monotonic() - begin < SILENCE:
        time.sleep(0.2)
    return round(time.monotonic() - begin, 1)


def press_stop(port: int) -> int:
    """Status of POST /stop at the local door, 0 when it is not answered within 10 s."""
    address = f"http://127.0.0.1:{port}"
    request = urllib.request.Request(f"{address}/stop", data=b"", headers={"Origin": address}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10.0) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def connect(port: int, number: int) -> socket.socket:
    """A connection from one of the addresses that says nothing."""
    client = socket.socket()
    client.settimeout(0.3)
    client.bind((f"127.0.1.{1 + number % ADDRESSES}", 0))
    try:
        client.connect(("127.0.0.1", port))
    except OSError:
        client.close()
    return client


def handshake(port: int, number: int) -> ssl.SSLSocket | None:
    """A connection that finishes TLS; None where the door did not let it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        return context.wrap_socket(connect(port, number))
    except (OSError, ValueError):
        return None


def malformed(port: int, number: int) -> None:
    """A request that is none, if the door is open."""
    client = handshake(port, number)
    if client is not None:
        try:
            client.sendall(b"GET / HTTP/1.1\r\nHost: \x01\r\nA" + 9000 * b"a" + b"\r\n\r\n")
            client.recv(100)
        except OSError:
            pass
        client.close()


def still_open(clients: list[socket.socket]) -> int:
    """How many of them the console has not closed."""
    alive = [client for client in clients if client.fileno() >= 0]
    poll = select.poll()
    for client in alive:
        poll.register(client, select.POLLIN | select.POLLRDHUP)
    closed = {file for file, events in poll.poll(0) if events & (select.POLLRDHUP | select.POLLHUP | select.POLLERR)}
    return len(alive) - len(closed)


class NotedRobot:
    """Stops at once."""

    def __init__(self) -> None:
        from ptr_teleop.console.frames import NewestFrame
        from ptr_teleop.console.state import ConsoleState

        self.state, self.frames, self.reference = ConsoleState([], [], {}), {}, NewestFrame()

    async def carry_out(self, request: Any) -> Any:
        """Say that it is done."""
        from ptr_teleop.console.robot import Answer

        return Answer(True, "stopped")

    def drive(self, device: str, packet: str) -> None:
        """Do not move."""


def console(folder: Path) -> int:
    """The console with both doors, until its input ends; prints their ports."""
    from ptr_teleop.console.addresses import LOCAL_NAMES
    from ptr_teleop.console.admission import REMOTE
    from ptr_teleop.console.credentials import obtain
    from ptr_teleop.console.security import Guard
    from ptr_teleop.console.server import ConsoleServer, Door

    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    made = obtain(folder / "credentials", ["127.0.0.1"])
    guard = Guard("https", ["127.0.0.1"], made.token)
    doors = [Door("127.0.0.1", 0, Guard("http", LOCAL_NAMES)), Door("127.0.0.1", 0, guard, made.tls(), limits=REMOTE)]
    print(*ConsoleServer(NotedRobot(), doors).start(), flush=True)
    sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
