# SPDX-License-Identifier: Apache-2.0
"""The system as `ptr launch ptr_bringup deploy.launch.xml` starts it: when one process is killed, all end in order."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import domain_coordinator
import fault_bag
import pytest
from fault_drivers import PolicyRun
from fault_plant import MODULES, TIMEOUT, Plant
from fault_policy import TASK
from stalls import watched_for_stalls

STARTED = re.compile(r"(\w+)-\d+ started, pid (\d+)")


class LaunchedNode:
    """A node that the launch has started; the interface of the tests' own processes."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.handle = os.pidfd_open(pid)

    @property
    def running(self) -> bool:
        try:
            signal.pidfd_send_signal(self.handle, 0)
        except ProcessLookupError:
            return False
        return True

    def signal(self, number: int) -> None:
        signal.pidfd_send_signal(self.handle, number)

    def wait(self) -> None:
        """Its parent, the launch, reaps it."""


class LaunchedPlant(Plant):
    """The plant, started by the launch file."""

    def revive(self) -> None:
        """Start the launch, and wait until everything answers."""
        if "launch" in self.processes:
            return
        arguments = {
            "checkpoint": self.checkpoint,
            "directory": self.folder,
            "task": TASK,
            "camera_width": 160,
            "camera_height": 120,
            "console_port": 18765,
        }
        words = [f"{name}:={value}" for name, value in arguments.items()]
        command = [sys.executable, "-m", "ptr_models.cli", "launch", "ptr_bringup", "deploy.launch.xml", *words]
        self.processes["launch"] = launch = self.ros.run(command, name="launch")
        wanted = {*MODULES, "console"}
        self.ros.wait(lambda: wanted <= {name for name, _ in STARTED.findall(launch.output)}, "the launch", TIMEOUT)
        self.processes |= {name: LaunchedNode(int(pid)) for name, pid in STARTED.findall(launch.output)}
        self.ros.wait(lambda: self.status.newest is not None, "the recorder's status", TIMEOUT)
        for name, client in self.clients.items():
            self.ros.wait(client.service_is_ready, f"service {name}", TIMEOUT)
        self.ros.wait(self.run_policy.server_is_ready, "the policy server", TIMEOUT)
        self.ros.spin(0.5)


@pytest.fixture
def launched(ros, checkpoint: Path, tmp_path: Path) -> Iterator[LaunchedPlant]:
    """A launch in a domain of its own: what a killed process holds of the shared memory of a domain stays held."""
    with domain_coordinator.domain_id() as domain:
        own = type(ros)(int(domain), tmp_path)
        plant = LaunchedPlant(own, tmp_path / "episodes", checkpoint)
        yield plant
        plant.processes["launch"].end()
        own.close()


@pytest.mark.parametrize("victim", ["recorder", "console", "launch"])
def test_when_one_is_killed_all_end_and_the_arm_holds(launched: LaunchedPlant, victim: str) -> None:
    launched.ready()
    folder = launched.record()
    with watched_for_stalls() as stalls, PolicyRun(launched) as driver:
        launched.wait_moving()
        launched.ros.spin(0.7)
        killed = time.time_ns()
        launched.processes[victim].signal(signal.SIGKILL)
        others = [node for name, node in launched.processes.items() if name not in (victim, "launch")]
        launched.ros.wait(lambda: not any(node.running for node in others), "the end of all the others", 40.0)
        driver.abandon()
    bound = fault_bag.BOUND + stalls.allowance(killed, killed + 2 * fault_bag.BOUND)
    assert 0 < launched.last_change() <= killed + bound
    finished = folder.with_name(folder.name.removesuffix(".partial"))
    bag = fault_bag.read(folder if victim == "recorder" else finished)
    assert bag.changes() and bag.of("/policy/step")
    if victim != "recorder":
        assert bag.metadata.outcome == "unlabelled"
        assert bag.says("the recorder ended; kept unlabelled")
