# SPDX-License-Identifier: Apache-2.0
"""How long from an input event to the command? One JSON line per device and way.

    python tests/benchmarks/device_latency.py --seconds 20

Real nodes in processes of their own: `teleop`, and `console` for the ways through its WebSocket. An event is a HID
report written to the device file (a FIFO with one packet per report, as hidraw has it), a packet sent into the
page's WebSocket, or a packet published where the console would publish it. Each event carries another number, so
that the command which it caused is known; the time is taken until that command has arrived at a subscriber.

Fields: events, missing (events without a command of theirs within 1 s), p50_ms, p99_ms (limit 10), max_ms.
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import contextlib
import fcntl
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 10.0  # ms
WAYS = ("spacemouse report", "page_keyboard topic", "page_keyboard socket", "webxr topic", "webxr socket")
RATES = {"spacemouse": 62.5, "page_keyboard": 20.0, "webxr": 72.0}  # Hz
KEYS = {"w": (0, 1), "s": (0, -1), "a": (1, 1), "d": (1, -1), "q": (2, 1), "e": (2, -1)}
Send = Callable[[Any], Awaitable[None]]


class Watcher:
    """A node that plays the arm's state and takes the time of every command."""

    def __init__(self) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticStatus
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from std_msgs.msg import String

        from ptr_msgs.msg import ArmCommand, ArmState

        rclpy.init()
        self.node = rclpy.create_node("device_latency")
        self.arrivals: list[tuple[float, tuple[int, int, int]]] = []
        self._state = ArmState(mode=ArmState.IDLE, commanded_gripper_position=1.0)
        self._state.commanded_pose.orientation.w = 1.0
        self._states = self.node.create_publisher(ArmState, "/arm/state", 10)
        self.node.create_timer(0.02, lambda: self._states.publish(self._state))
        self.node.create_subscription(ArmCommand, "/teleop/command", self._on_command, 10)
        self.status = ""
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(DiagnosticStatus, "/teleop/status", self._on_status, latched)
        self.pages = {
            name: self.node.create_publisher(String, f"/teleop/{name}", 10) for name in ("webxr", "page_keyboard")
        }
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()

    def close(self) -> None:
        """End the thread and leave ROS."""
        import rclpy

        self._executor.shutdown()
        self._thread.join()
        rclpy.shutdown()

    def _on_status(self, message: Any) -> None:
        self.status = message.message

    def _on_command(self, message: Any) -> None:
        now, linear = time.monotonic(), message.twist.linear
        self.arrivals.append((now, _identity((linear.x, linear.y, linear.z))))


def _identity(velocity: tuple[float, ...]) -> tuple[int, int, int]:
    """What a command is recognized by: its velocity in tenths of a mm/s."""
    return tuple(round(value * 1e4) for value in velocity)


# --- events: what is sent, and the velocity that it means ---------------------------------------------------


def report(k: int) -> tuple[bytes, tuple[int, int, int]]:
    """A SpaceMouse pushed forward by another number each time; full deflection, 350, is 0.15 m/s."""
    deflection = 100 + k % 200
    return struct.pack("<B3h", 1, 0, -deflection, 0), _identity((deflection / 350 * 0.15, 0.0, 0.0))


def key(k: int) -> tuple[dict[str, Any], tuple[int, int, int]]:
    """Another key each time."""
    name = list(KEYS)[k % len(KEYS)]
    axis, sign = KEYS[name]
    return {"keys": [name], "deadman": True}, _identity(tuple(0.15 * sign * float(i == axis) for i in range(3)))


def hand(k: int) -> tuple[dict[str, Any], tuple[int, int, int]]:
    """A hand, up to 8 mm to the left or right of where it gripped; the arm approaches with 8 1/s."""
    offset = 0.001 * (k % 17 - 8) if k else 0.0
    right = {"position": [-offset, 1.0, 0.0], "orientation": [0.0, 0.0, 0.0, 1.0], "grip": 1.0, "trigger": 0.0}
    right |= {"a": False, "b": False, "stick": [0.0, 0.0], "stick_pressed": False}
    return {"hands": {"right": right}}, _identity((0.0, 8.0 * offset, 0.0))


def packet(content: dict[str, Any], sequence: int) -> str:
    """The JSON text of a page's packet."""
    return json.dumps({"v": 1, "session": "benchmark", "seq": sequence, "t": time.monotonic() * 1e3} | content)


# --- ways ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def running(module: str, log: Path, *parameters: str) -> Iterator[None]:
    """A node, until the end of the block."""
    command = [sys.executable, "-m", module, "--ros-args"]
    for parameter in parameters:
        command += ["-p", parameter]
    with log.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20.0)


async def measure(watcher: Watcher, device: str, send: Send, seconds: float) -> dict[str, Any]:
    """Send events at the device's rate, and compare with the commands that arrived."""
    content, rate = {"spacemouse": report, "page_keyboard": key, "webxr": hand}[device], RATES[device]
    released = {"keys": [], "deadman": False} if device == "page_keyboard" else {"hands": {"right": _released()}}
    sequence = 0
    while "is ready" not in watcher.status or sequence < 20:  # released: the device arms
        await send(struct.pack("<B3h", 1, 0, 0, 0) if device == "spacemouse" else packet(released, sequence))
        sequence += 1
        await asyncio.sleep(0.02)
    sent = []
    watcher.arrivals.clear()
    for k in range(int(seconds * rate)):
        what, identity = content(k)
        text = what if device == "spacemouse" else packet(what, sequence + k)
        sent.append((time.monotonic(), identity))
        await send(text)
        await asyncio.sleep(max(0.0, sent[0][0] + (k + 1) / rate - time.monotonic()))
    await asyncio.sleep(1.0)
    return figures(sent, list(watcher.arrivals))


def _released() -> dict[str, Any]:
    return hand(0)[0]["hands"]["right"] | {"grip": 0.0}


def figures(sent: list[tuple[float, Any]], arrivals: list[tuple[float, Any]]) -> dict[str, Any]:
    """Each event's time until the first command of it, or of a later one that was read together with it."""
    carried = [(t, event) for t, identity in arrivals if (event := _event_behind(sent, t, identity)) is not None]
    latencies, begin = [], 0
    for k, (at, _) in enumerate(sent):
        while begin < len(carried) and (carried[begin][0] < at or carried[begin][1] < k):
            begin += 1
        if begin < len(carried) and carried[begin][0] - at < 1.0:
            latencies.append((carried[begin][0] - at) * 1e3)
    missing = len(sent) - len(latencies)
    p50, p99 = np.percentile(latencies, [50, 99]) if latencies else (float("nan"),) * 2
    line = {"events": len(sent), "missing": missing, "p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
    return line | {"max_ms": round(max(latencies, default=float("nan")), 2), "limit_ms": LIMIT}


def _event_behind(sent: list[tuple[float, Any]], arrived: float, identity: Any) -> int | None:
    """The newest event of this number that was sent before the command arrived."""
    newest = bisect.bisect_right(sent, arrived, key=lambda event: event[0]) - 1
    return next((k for k in range(newest, max(newest - 100, -1), -1) if sent[k][1] == identity), None)


async def through(watcher: Watcher, way: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Measure one way."""
    device, kind = way.split()
    if kind == "report":
        with running("ptr_teleop.node", folder / "teleop.log", *_spacemouse(folder)):
            cable = os.open(folder / "hidraw", os.O_RDWR)
            fcntl.fcntl(cable, fcntl.F_SETFL, os.O_DIRECT)  # one read returns one report
            await _ready(watcher)

            async def write(data: bytes) -> None:
                os.write(cable, data)

            return await measure(watcher, device, write, seconds)
    with running("ptr_teleop.node", folder / "teleop.log", f"device:={device}", "max_packet_age:=0.5"):
        await _ready(watcher)
        if kind == "topic":
            from std_msgs.msg import String

            async def publish(text: str) -> None:
                watcher.pages[device].publish(String(data=text))

            return await measure(watcher, device, publish, seconds)
        log = folder / "console.log"
        with running("ptr_teleop.console.node", log, "port:=0"):
            address = await _address(log)
            origin = {"Origin": address.rstrip("/")}
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(f"{address}drive/{device}", headers=origin) as socket,
            ):
                return await measure(watcher, device, socket.send_str, seconds)


def _spacemouse(folder: Path) -> list[str]:
    os.mkfifo(folder / "hidraw")
    straight = ["spacemouse.deadzone:=0.0", "spacemouse.expo:=0.0", "spacemouse.model:=SpaceMouseCompact"]
    return ["device:=spacemouse", f"spacemouse.path:={folder / 'hidraw'}", *straight]


async def _ready(watcher: Watcher) -> None:
    """Wait until teleop's commands would arrive, and it knows the arm."""
    while watcher.node.count_publishers("/teleop/command") == 0 or watcher.node.count_subscribers("/arm/state") == 0:
        await asyncio.sleep(0.05)
    watcher.status = ""
    await asyncio.sleep(2.0)


async def _address(log: Path) -> str:
    while not (match := re.search(r"the console is at (http://\S+)", log.read_text(errors="replace"))):
        await asyncio.sleep(0.1)
    await asyncio.sleep(2.0)
    return match[1]


def main() -> None:
    """Measure every way that was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of events per way (20)")
    parser.add_argument("--way", choices=WAYS, action="append", help="default: all")
    parser.add_argument("--domain", type=int, default=87, help="ROS domain (87)")
    options = parser.parse_args()
    os.environ |= {"ROS_DOMAIN_ID": str(options.domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(ROOT / "ptr_bringup/config/fastdds_profile.xml"))
    with contextlib.closing(Watcher()) as watcher:
        for way in options.way or WAYS:
            with tempfile.TemporaryDirectory() as folder:
                line = asyncio.run(through(watcher, way, Path(folder), options.seconds))
            device, kind = way.split()
            load = {"processors": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}
            print(json.dumps({"benchmark": "device_latency", "device": device, "way": kind} | line | load), flush=True)


if __name__ == "__main__":
    main()
