# SPDX-License-Identifier: Apache-2.0
"""How even is the period of the commands that reach the driver? One JSON line per rate, load and priority.

    python tests/benchmarks/control_jitter.py --seconds 60

The running system: simulator with its camera (640x480, 15 Hz), arm node at the rate under test, recorder recording an
episode, and a source that commands at that rate. A watcher takes the stamps that the arm node gives its joint
commands when it hands them to the driver. Busy: another process burns a core. Each case is measured without and with
real-time priority, the latter as far as the system grants it (field `scheduling`, as the node reports it).

Fields: periods, p50/p99/max of |period - nominal| in ms (limit of the p99: 2 idle, 5 busy), lost (periods without a
command; 0 wanted), source_refused (commands that the gate did not take as they were).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from recorder import burn, running

ROOT = Path(__file__).resolve().parents[2]
LIMIT = {False: 2.0, True: 5.0}  # ms
CAMERA = ["width:=640", "height:=480", "camera_rate:=15.0", "joint_rate:=100.0"]


class Watcher:
    """Commands the arm, and takes the stamps of what reaches the driver."""

    def __init__(self, rate: float) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile
        from sensor_msgs.msg import JointState

        from ptr_msgs.msg import ArmCommand, SafetyEvent

        rclpy.init()
        self.node = rclpy.create_node("control_jitter")
        self.stamps: list[int] = []
        self.events, self.scheduling = 0, ""
        self._period, self._sent, self._type = 1.0 / rate, 0, ArmCommand
        self._publisher = self.node.create_publisher(ArmCommand, "/policy/command", 10)
        self.node.create_subscription(JointState, "/joint_commands", self._on_joints, QoSProfile(depth=1000))
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self.node.create_subscription(SafetyEvent, "/arm/safety", self._on_event, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def close(self) -> None:
        """Leave ROS."""
        import rclpy

        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown()

    def _on_joints(self, message: Any) -> None:
        self.stamps.append(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)

    def _on_event(self, message: Any) -> None:
        self.events += message.reason != 0

    def _on_diagnostics(self, message: Any) -> None:
        for value in (value for status in message.status for value in status.values):
            if value.key == "scheduling":
                self.scheduling = value.value

    def _command(self) -> None:
        """A slow circle about the start."""
        message = self._type(source="benchmark", gripper_position=1.0, deadman=True)
        message.header.stamp = self.node.get_clock().now().to_msg()
        angle = self._sent * self._period
        message.twist.linear.x, message.twist.linear.y = 0.03 * np.cos(angle), 0.03 * np.sin(angle)
        message.valid_for.nanosec = int(self._period * 1e9)
        self._publisher.publish(message)
        self._sent += 1

    def command_for(self, seconds: float) -> None:
        """Be the source for some time."""
        timer = self.node.create_timer(self._period, self._command)
        self.wait(lambda: False, seconds)
        self.node.destroy_timer(timer)

    def wait(self, condition: Callable[[], Any], timeout: float) -> bool:
        """Spin until a condition holds."""
        end = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.05)
        return True

    def call(self, kind: type, name: str, request: Any) -> None:
        """Call a service until it succeeds: the recorder waits for the first images."""
        client = self.node.create_client(kind, name)
        for _ in range(20):
            if self.wait(client.service_is_ready, 60.0):
                future = client.call_async(request)
                if self.wait(future.done, 60.0) and future.result().success:
                    return
            self.wait(lambda: False, 1.0)
        raise SystemExit(f"{name} failed")


def node(module: str, *parameters: str) -> list[str]:
    """The command line of a node."""
    command = [sys.executable, "-m", module, "--ros-args"]
    return command + [word for parameter in parameters for word in ("-p", parameter)]


def measure(rate: float, busy: bool, priority: int, seconds: float) -> dict[str, Any]:
    """One case, with processes of its own."""
    from ptr_msgs.srv import StartEpisode, StopEpisode

    burner = multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
    quiet: dict[str, Any] = {"stdout": sys.stderr}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        arm = node("ptr_bringup.arm.node", f"rate:={rate}", f"realtime_priority:={priority}")
        recorder = node("ptr_teleop.recorder.node", f"directory:={folder}", "cameras:=[over_shoulder]")
        for command in (node("ptr_bringup.sim.node", *CAMERA), arm, recorder):
            stack.enter_context(running(command, **quiet))
        with contextlib.closing(Watcher(rate)) as watcher:
            if not watcher.wait(lambda: watcher.stamps and watcher.scheduling, 60.0):
                raise SystemExit("waited in vain for the arm's commands")
            watcher.call(StartEpisode, "/recorder/start", StartEpisode.Request(task="benchmark", kind="practice"))
            if busy:
                burner.start()
            watcher.command_for(2.0)
            watcher.stamps.clear()
            watcher.events = 0
            watcher.command_for(seconds)
            stamps = watcher.stamps.copy()
            if busy:
                burner.terminate()
            watcher.call(StopEpisode, "/recorder/stop", StopEpisode.Request(save=False, score=float("nan")))
            return figures(stamps, rate) | {
                "source_refused": watcher.events,
                "scheduling": watcher.scheduling.split(",")[0].split(":")[0],
            }


def figures(stamps: list[int], rate: float) -> dict[str, Any]:
    """What the stamps (ns) say."""
    periods = np.diff(np.array(stamps)) * 1e-6
    error = np.abs(periods - 1e3 / rate)
    lost = np.maximum(np.round(periods * rate / 1e3) - 1, 0).sum()
    p50, p99 = np.percentile(error, [50, 99])
    line = {"periods": len(periods), "p50_ms": round(p50, 3), "p99_ms": round(p99, 3)}
    return line | {"max_ms": round(error.max(), 2), "lost": int(lost)}


def main() -> None:
    """Parse the options and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each case (60)")
    parser.add_argument("--rate", type=float, action="append", help="Hz (default: 5, 20 and 50)")
    parser.add_argument("--busy", choices=("no", "yes", "both"), default="both", help="burn a core (both)")
    parser.add_argument("--priority", type=int, action="append", help="real-time priority (default: 0 and 20)")
    parser.add_argument("--domain", type=int, default=86, help="ROS domain (86)")
    options = parser.parse_args()
    os.environ |= {"ROS_DOMAIN_ID": str(options.domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    os.environ.setdefault("LP_NUM_THREADS", "0")
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(ROOT / "ptr_bringup/config/fastdds_profile.xml"))
    loads = {"no": [False], "yes": [True], "both": [False, True]}[options.busy]
    for rate, busy, priority in itertools.product(
        options.rate or [5.0, 20.0, 50.0], loads, options.priority or [0, 20]
    ):
        line = {"benchmark": "control_jitter", "rate_hz": rate, "busy": busy, "limit_ms": LIMIT[busy]}
        line |= measure(rate, busy, priority, options.seconds) | {"seconds": options.seconds}
        print(json.dumps(line | {"load": round(os.getloadavg()[0], 2), "cores": os.cpu_count()}), flush=True)


if __name__ == "__main__":
    main()
