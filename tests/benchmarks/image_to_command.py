# SPDX-License-Identifier: Apache-2.0
"""How long from the stamp of an image to the joint command that follows from it? One JSON line.

    python tests/benchmarks/image_to_command.py --seconds 60 --rate 20 --busy 1

The running system in processes of its own: simulator with camera, arm node, recorder, policy server with fresh
networks of a contract with that control rate. A step of the policy names its image (image_stamp) and its command (the
step's stamp); /arm/executed names the command in force. The time ends with the first joint command on the driver's
topic, as a subscriber sees it, whose executed command is that of the step.

The arm node sends once in its period, for which a command waits at most wholly (20 ms at 50 Hz). Where the control
period is a multiple of the camera's, steps follow the images; else an image waits for its step up to a camera period.
The limit: from the stamp of the image to the driver, at most the forward time of this machine plus 15 ms at the 99th
percentile; the forward time is measured in the same run, by the server (inference_time: decoding, resizing, both
networks).

Fields: steps, held_steps, late_steps, image_age_ms, forward_ms, step_to_driver_ms, added_ms (step_to_driver minus the
forward time of that step), image_to_driver_ms: each [p50, p99]; limit_ms of image_to_driver p99.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 15.0  # ms beyond the forward time
TASK = "put_carrot_on_plate"


def write_checkpoint(folder: Path, preset_name: str, rate: float) -> list[str]:
    """A checkpoint with fresh networks, and the server's parameters for it."""
    from ptr_models.algorithms import make_algorithm
    from ptr_models.contract import Contract
    from ptr_models.training.checkpoint import Checkpoint, save_checkpoint
    from ptr_models.training.presets import preset
    from ptr_models.training.tasks import TaskTable

    config, contract = preset(preset_name), Contract(control_rate=rate)
    cameras = tuple(
        replace(camera, height=config.networks.image_size, width=config.networks.image_size)
        for camera in contract.cameras
    )
    contract = replace(contract, cameras=cameras)
    tasks = TaskTable.from_names([TASK], spare=1)
    algorithm = make_algorithm(config.algorithm, config.networks, tasks.slots)
    state = Checkpoint(Path(), contract, tasks, config, step=0)
    path = save_checkpoint(folder / "checkpoint", algorithm, state, optimizer=False, random=False)
    (folder / "contract.json").write_text(contract.to_json())
    return [f"checkpoint:={path}", f"contract_file:={folder / 'contract.json'}"]


@contextlib.contextmanager
def running(module: str, log: Path, *parameters: str) -> Iterator[None]:
    """A node in a process of its own."""
    command = [sys.executable, "-m", module, "--ros-args", *(w for p in parameters for w in ("-p", p))]
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def burning(count: int) -> Iterator[None]:
    """So many processes that each keep a core busy."""
    burners = [multiprocessing.get_context("spawn").Process(target=_burn, daemon=True) for _ in range(count)]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.join()


def _burn() -> None:
    number = 0
    while True:
        number += 1


class Watcher:
    """Takes the times at which steps, executed commands and joint commands arrive."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.action import ActionClient
        from rclpy.executors import SingleThreadedExecutor
        from sensor_msgs.msg import JointState

        from ptr_msgs.action import RunPolicy
        from ptr_msgs.msg import ExecutedCommand, PolicyStep

        rclpy.init()
        self.node = rclpy.create_node("image_to_command")
        self.steps: dict[int, Any] = {}
        self.executed: list[tuple[int, tuple[float, ...]]] = []
        self.sent: list[tuple[float, tuple[float, ...]]] = []
        self.node.create_subscription(PolicyStep, "/policy/step", self._on_step, 100)
        self.node.create_subscription(ExecutedCommand, "/arm/executed", self._on_executed, 100)
        self.node.create_subscription(JointState, "/joint_commands", self._on_joints, 100)
        self.client = ActionClient(self.node, RunPolicy, "/run_policy")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def wait(self, future_or_condition: Any, seconds: float) -> None:
        """Spin until a future or a condition is done."""
        done = getattr(future_or_condition, "done", future_or_condition)
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError("the system did not answer; see the logs")
            self._executor.spin_once(0.05)

    def run(self, steps: int, seconds: float) -> Any:
        """One run of so many steps; its result."""
        from ptr_msgs.action import RunPolicy

        self.wait(self.client.server_is_ready, 120.0)
        sending = self.client.send_goal_async(RunPolicy.Goal(task=TASK, max_steps=steps))
        self.wait(sending, 60.0)
        ending = sending.result().get_result_async()
        self.wait(ending, 2.0 * seconds + 60.0)
        return ending.result().result

    def _on_step(self, message: Any) -> None:
        self.steps[_ns(message.header.stamp)] = message

    def _on_executed(self, message: Any) -> None:
        self.executed.append((_ns(message.command_stamp), tuple(message.joint_positions)))

    def _on_joints(self, message: Any) -> None:
        self.sent.append((time.time(), tuple(message.position[:6])))


def _ns(stamp: Any) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def figures(watcher: Watcher) -> dict[str, Any]:
    """[p50, p99] in ms of every step whose command reached the driver."""
    first: dict[int, tuple[float, ...]] = {}
    for stamp, joints in watcher.executed:
        first.setdefault(round(stamp, -3), joints)  # the core keeps stamps as s: a float of 0.2 µs
    arrived: dict[tuple[float, ...], float] = {}
    for at, joints in watcher.sent:
        arrived.setdefault(joints, at)
    rows = []
    for stamp, step in watcher.steps.items():
        near = next((first[key] for key in (round(stamp, -3) + d for d in (0, -1000, 1000)) if key in first), None)
        if step.held or near not in arrived:
            continue
        to_driver, forward = arrived[near] - stamp * 1e-9, step.inference_time
        rows.append((step.image_age, forward, to_driver, to_driver - forward, step.image_age + to_driver))
    if not rows:
        raise SystemExit("no command reached the driver")
    names = ("image_age_ms", "forward_ms", "step_to_driver_ms", "added_ms", "image_to_driver_ms")
    columns = 1e3 * np.array(rows).T
    return {"matched": len(rows)} | {
        name: [round(float(value), 2) for value in np.percentile(column, [50, 99])]
        for name, column in zip(names, columns, strict=True)
    }


def main() -> None:
    """Run the system once and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the run (60)")
    parser.add_argument("--rate", type=float, default=5.0, help="control rate, Hz (5)")
    parser.add_argument("--camera-rate", type=float, default=30.0, help="Hz (30)")
    parser.add_argument("--arm-rate", type=float, default=50.0, help="of the arm node, Hz (50)")
    parser.add_argument("--preset", default="ptr_small", help="networks (ptr_small)")
    parser.add_argument("--busy", type=int, default=0, help="processes that each keep a core busy (0)")
    parser.add_argument("--domain", type=int, default=88, help="ROS domain (88)")
    options = parser.parse_args()
    os.environ |= {"ROS_DOMAIN_ID": str(options.domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)
    os.environ.setdefault("FASTDDS_DEFAULT_PROFILES_FILE", str(ROOT / "ptr_bringup/config/fastdds_profile.xml"))
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as system:
        folder = Path(name)
        server = write_checkpoint(folder, options.preset, options.rate)
        camera = ["width:=320", "height:=240", f"camera_rate:={options.camera_rate}", f"task:={TASK}"]
        for module, parameters in {
            "ptr_bringup.sim.node": camera,
            "ptr_bringup.arm.node": [f"rate:={options.arm_rate}"],
            "ptr_teleop.recorder.node": [f"directory:={folder / 'bags'}"],
            "ptr_policy.server.node": [*server, "max_holds:=1000"],
        }.items():
            system.enter_context(running(module, folder / f"{module}.log", *parameters))
        watcher = Watcher()
        watcher.run(round(2 * options.rate), 2.0)  # whatever is slow once
        watcher.steps.clear()
        with burning(options.busy):
            result = watcher.run(round(options.seconds * options.rate), options.seconds)
        watcher.wait(lambda: len(watcher.steps) >= result.steps, 10.0)
        late = sum(bool(re.match("the step began", step.reason)) for step in watcher.steps.values())
        line = {"benchmark": "image_to_command", "rate": options.rate, "busy": options.busy, "preset": options.preset}
        line |= {"camera_rate": options.camera_rate, "arm_rate": options.arm_rate}
        line |= {"steps": result.steps, "held_steps": result.held_steps, "late_steps": late}
        found = figures(watcher)
        line |= found | {"limit_ms": round(found["forward_ms"][1] + LIMIT, 2)}
        print(json.dumps(line | {"processors": os.cpu_count(), "load": round(os.getloadavg()[0], 2)}), flush=True)


if __name__ == "__main__":
    main()
