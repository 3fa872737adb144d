# SPDX-License-Identifier: Apache-2.0
"""Real nodes as subprocesses, and a node of the test's own to watch them with.

`ros` is a domain of its own per test module: `ros.start("ptr_bringup.arm.node", rate=50.0)` starts a node,
`ros.wait(lambda: ..., "what is waited for")` spins the test's node until a condition holds, `ros.call` calls
a service. Everything that was started is ended with the module.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stalls import STOPS

from ptr_bringup.ros_environment import PROFILES, PROFILES_OF_JAZZY, set_discovery
from ptr_models.common.processes import interrupted_with_parent

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / name for name in ("models", "ptr_bringup", "ptr_teleop", "ptr_policy")]
OF_ROS = ("ROS_", "FASTDDS_", "FASTRTPS_", "AMENT_")


class NodeProcess:
    """One node in a process of its own; its output goes to a file."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=interrupted_with_parent(),  # a killed run leaves no node in a domain of others
            )

    @property
    def output(self) -> str:
        """Everything that it has printed so far."""
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int = signal.SIGINT) -> None:
        """Send one signal to it, if it still runs."""
        if number in (signal.SIGSTOP, signal.SIGKILL):
            STOPS.append(time.time_ns())
        if self.running:
            self.process.send_signal(number)

    def wait(self, timeout: float = 20.0) -> int:
        """Exit code, once it has ended by itself or after a signal; one that hangs shows where before it is killed."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # faulthandler prints the stack of every thread
            self.process.wait()
            raise AssertionError(f"{self.log.stem} did not end within {timeout} s:\n{self.output}") from None

    def end(self) -> None:
        """End it: SIGINT, and SIGKILL when it does not listen."""
        self.signal(signal.SIGINT)
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class RosHarness:
    """A ROS domain: nodes as subprocesses, and `node`, which lives in the test's process.

    Attributes:
        names_publishers: a message names its publisher; Jazzy's do not (docs/reference/ros-versions.md).
    """

    names_publishers = os.environ.get("ROS_DISTRO") != "jazzy"

    def __init__(self, domain: int, folder: Path) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.domain = domain
        self.folder = folder
        self.environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain),
            "PYTHONFAULTHANDLER": "1",
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_LOG_DIR": str(folder / "log"),
            "PYTHONPATH": os.pathsep.join([*map(str, SOURCES), os.environ.get("PYTHONPATH", "")]),
        }
        self.environment.setdefault("AMENT_PREFIX_PATH", sys.prefix)
        for name in (PROFILES, PROFILES_OF_JAZZY):
            self.environment.pop(name, None)
        set_discovery(self.environment, str(ROOT / "ptr_bringup"))
        leave_shared_memory_out(self.environment, folder)
        os.environ.update({key: value for key, value in self.environment.items() if key.startswith(OF_ROS)})
        self.processes: list[NodeProcess] = []
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("watcher", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def start(self, module: str, *arguments: str, **parameters: Any) -> NodeProcess:
        """Start `python -m module` with node parameters; its output is in `folder`.

        Args:
            module: for example `ptr_bringup.arm.node`.
            arguments: further ROS arguments, for example `-r`, `__node:=left`.
            parameters: written as YAML scalars: numbers, booleans and strings.
        """
        command = [sys.executable, "-m", module, "--ros-args", *arguments]
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            command += ["-p", f"{name}:={text}"]
        return self.run(command, name=module)

    def run(self, command: list[str], name: str = "process") -> NodeProcess:
        """Start any command in this domain, for example a launch file."""
        log = self.folder / f"{name}-{len(self.processes)}.log"
        self.processes.append(NodeProcess(command, self.environment, log))
        return self.processes[-1]

    def spin(self, seconds: float) -> None:
        """Let callbacks of the test's node run for a while."""
        self.wait_until(lambda: False, seconds)

    def wait_until(self, condition: Callable[[], Any], timeout: float) -> bool:
        """Spin until `condition()` is true; False when time ran out."""
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.executor.spin_once(timeout_sec=0.02)
        return True

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = 20.0) -> None:
        """Spin until `condition()` is true; otherwise fail, with what ROS has found and the output of all processes."""
        if not self.wait_until(condition, timeout):
            logs = "\n".join(self._last_words(process) for process in reversed(self.processes))
            pytest.fail(f"waited {timeout} s in vain for: {what}\n{self._found()}\n{logs}")

    @staticmethod
    def _last_words(process: NodeProcess) -> str:
        code = process.process.poll()
        state = "runs" if code is None else f"ended with {code}"
        return f"--- {process.log.name} ({state})\n{process.output[-2000 if code is None else -300 :]}"

    def _found(self) -> str:
        """Other nodes, and topics of the test's node that nobody else is matched to."""
        subscribed = {subscription.topic_name for subscription in self.node.subscriptions}
        silent = [topic for topic in subscribed if not self.node.count_publishers(topic)]
        unheard = [p.topic_name for p in self.node.publishers if not p.get_subscription_count()]
        return f"nodes: {self.node.get_node_names()}; without publisher: {silent}; without reader: {unheard}"

    def collect(self, message_type: type, topic: str, qos: Any = 10) -> list[Any]:
        """A list that fills with the messages of a topic from now on."""
        messages: list[Any] = []
        self.node.create_subscription(message_type, topic, messages.append, qos)
        return messages

    def result(self, future: Any, what: str, timeout: float = 20.0) -> Any:
        """Wait for a future of rclpy and return its result."""
        self.wait(future.done, what, timeout)
        return future.result()

    def call(self, service_type: type, name: str, request: Any = None, timeout: float = 20.0) -> Any:
        """Call a service, waiting for it to appear first."""
        client = self.node.create_client(service_type, name)
        self.wait(client.service_is_ready, f"service {name}", timeout)
        answer = self.result(client.call_async(request or service_type.Request()), f"answer of {name}", timeout)
        self.node.destroy_client(client)
        return answer

    def act(self, action_type: type, name: str, goal: Any, timeout: float = 60.0) -> Any:
        """Send a goal to an action and wait for its result; None when the goal is rejected."""
        from rclpy.action import ActionClient

        client = ActionClient(self.node, action_type, name)
        self.wait(client.server_is_ready, f"action {name}", timeout)
        handle = self.result(client.send_goal_async(goal), f"acceptance by {name}", timeout)
        answer = self.result(handle.get_result_async(), f"result of {name}", timeout) if handle.accepted else None
        client.destroy()
        return None if answer is None else answer.result

    def close(self) -> None:
        """End the test's node and every process.

        In this order: taking a node down while publishers of others go away can hang in Fast DDS, with Python's lock
        held (https://github.com/eProsima/Fast-DDS/issues/6502).
        """
        import rclpy

        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
        for process in reversed(self.processes):
            process.signal(signal.SIGINT)
        for process in reversed(self.processes):
            process.end()


def leave_shared_memory_out(environment: dict[str, str], folder: Path) -> None:
    """Use the suite's Fast DDS profile without shared memory.

    Its ports are the machine's, not a domain's: one that a stopped or killed node of another test has left locked makes
    each process that starts print an error, and its messages get lost (https://github.com/eProsima/Fast-DDS/issues/5737).
    """
    name = PROFILES if PROFILES in environment else PROFILES_OF_JAZZY
    text = Path(environment[name]).read_text()
    less = re.sub(r"<transport_descriptor><transport_id>shm<.*?</transport_descriptor>", "", text)
    less = less.replace("<userTransports><transport_id>shm</transport_id>", "<userTransports>")
    assert less.count("shm") == 0 < text.count("shm"), "the profile is written in another way"
    file = folder / "fastdds_udp.xml"
    file.write_text(less)
    environment[name] = str(file)


@pytest.fixture(scope="module")
def ros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RosHarness]:
    """A ROS domain that no other test on this machine uses; shared by the tests of one module."""
    pytest.importorskip("rclpy")
    import domain_coordinator

    with domain_coordinator.domain_id() as domain:
        saved = dict(os.environ)
        harness = RosHarness(int(domain), tmp_path_factory.mktemp("ros"))
        try:
            yield harness
        finally:
            harness.close()
            os.environ.clear()
            os.environ.update(saved)
