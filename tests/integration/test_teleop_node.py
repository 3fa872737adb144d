# SPDX-License-Identifier: Apache-2.0
"""The node `teleop` with the simulated arm: devices move it, faults hold it, and one drives at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import signal
import time
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("ptr_msgs.msg")

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from geometry_msgs.msg import TwistStamped  # noqa: E402
from rcl_interfaces.msg import ParameterType  # noqa: E402
from rcl_interfaces.srv import GetParameters, ListParameters, SetParameters  # noqa: E402
from rclpy.parameter import Parameter, parameter_value_to_python  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ptr_msgs.action import MoveTo  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState, EpisodeStatus  # noqa: E402
from ptr_msgs.srv import StartEpisode, StopEpisode  # noqa: E402

pytestmark = pytest.mark.xdist_group("teleop_node")

CONFIG = Path(__file__).resolve().parents[2] / "ptr_bringup" / "config" / "teleop.yaml"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Robot:
    """The simulated arm, and what the person at the device can see."""

    def __init__(self, ros: Any) -> None:
        self.ros = ros
        ros.start("ptr_bringup.sim.node", width=64, height=48, camera_rate=5.0)
        ros.start("ptr_bringup.arm.node")
        self.states = ros.collect(ArmState, "/arm/state", qos_profile_sensor_data)
        self.commands = ros.collect(ArmCommand, "/teleop/command")
        self.statuses = ros.collect(DiagnosticStatus, "/teleop/status", LATCHED)
        self.webxr = ros.node.create_publisher(String, "/teleop/webxr", 10)
        self.keys = ros.node.create_publisher(String, "/teleop/page_keyboard", 10)
        ros.wait(lambda: self.states, "the arm's state", timeout=60.0)

    def teleop(self, device: str, *arguments: str, **parameters: Any) -> Any:
        """A teleop node that has heard the arm; patient, for a machine that is busy with other tests."""
        parameters = {"max_packet_age": 0.5} | parameters
        process = self.ros.start("ptr_teleop.node", *arguments, device=device, **parameters)
        self.said(device)
        self.ros.wait(lambda: self.webxr.get_subscription_count() > 0, "the page's topics")
        return process

    def said(self, what: str, timeout: float = 20.0) -> None:
        """Wait for a status that says this."""
        self.ros.wait(lambda: any(what in s.message for s in self.statuses[-3:]), f"a status: {what}", timeout)

    def value(self, key: str) -> str:
        """A figure of the newest status."""
        return next(v.value for v in self.statuses[-1].values if v.key == key)

    @property
    def commanded(self) -> np.ndarray:
        p = self.states[-1].commanded_pose.position
        return np.array([p.x, p.y, p.z])

    def switch(self, device: str, meanwhile: Any = None) -> tuple[bool, str]:
        """Set the parameter `device`; `meanwhile` is done again and again until the answer comes."""
        parameter = Parameter("device", value=device).to_parameter_msg()
        assert parameter.value.type == ParameterType.PARAMETER_STRING
        request = SetParameters.Request(parameters=[parameter])
        client = self.ros.node.create_client(SetParameters, "/teleop/set_parameters")
        self.ros.wait(client.service_is_ready, "the service of parameters")
        future = client.call_async(request)
        while meanwhile is not None and not future.done():
            meanwhile()
        (result,) = self.ros.result(future, "the switch").results
        self.ros.node.destroy_client(client)
        return result.successful, result.reason


@pytest.fixture(scope="module")
def robot(ros) -> Robot:
    return Robot(ros)


@pytest.fixture(autouse=True)
def fresh(robot: Robot) -> Iterator[None]:
    """No teleop node of the test before, and the arm at its start."""
    yield
    for process in robot.ros.processes[2:]:
        process.end()
    robot.ros.wait(lambda: robot.ros.node.count_publishers("/teleop/status") == 0, "no teleop node")
    robot.ros.call(Trigger, "/arm/clear")
    assert robot.ros.act(MoveTo, "/arm/move_to", MoveTo.Goal(named_pose="start", gripper_position=1.0)).success
    robot.commands.clear()
    robot.statuses.clear()


class Headset:
    """Sends packets at about 50 Hz; `pose` and buttons are what it sends."""

    def __init__(self, robot: Robot) -> None:
        self.robot, self.sequence = robot, 0
        self.session = os.urandom(4).hex()
        self.hand = {"position": [0.1, 1.2, -0.4], "orientation": [0.0, 0.0, 0.0, 1.0], "grip": 0.0, "trigger": 0.0}
        self.hand |= {"a": False, "b": False, "stick": [0.0, 0.0], "stick_pressed": False}

    def send(self, **changes: Any) -> None:
        self.hand |= changes
        packet = {"v": 1, "session": self.session, "seq": self.sequence, "t": time.monotonic() * 1e3}
        self.sequence += 1
        self.robot.webxr.publish(String(data=json.dumps(packet | {"hands": {"right": self.hand}})))
        self.robot.ros.spin(0.02)

    def until(self, condition: Any, what: str, timeout: float = 20.0, **changes: Any) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for: {what}"
            self.send(**changes)

    def move(self, vector: np.ndarray, metres_per_packet: float = 0.002) -> None:
        """Move the hand by a vector of the room, at 10 cm/s."""
        start = np.array(self.hand["position"])
        steps = math.ceil(np.linalg.norm(vector) / metres_per_packet)
        for k in range(1, steps + 1):
            self.send(position=(start + vector * k / steps).tolist())


def test_a_hand_in_vr_moves_the_arm_by_the_same_vector(robot: Robot) -> None:
    robot.teleop("webxr")
    headset = Headset(robot)
    headset.until(lambda: robot.value("packets") != "0", "packets at the node")
    before = robot.commanded
    headset.until(lambda: "drives the arm" in robot.statuses[-1].message, "the grip", grip=1.0)
    headset.move(np.array([-0.03, 0.02, -0.05]))  # left, up, forward
    wanted = before + [0.05, 0.03, 0.02]
    headset.until(lambda: np.abs(robot.commanded - wanted).max() < 5e-4, "the arm where the hand is")
    headset.send(trigger=1.0)
    headset.until(lambda: robot.states[-1].commanded_gripper_position == 0.0, "a closed gripper")
    headset.until(lambda: not robot.commands[-1].deadman, "a release", grip=0.0, trigger=0.0)
    headset.move(np.array([0.2, 0.0, 0.0]), 0.01)  # with the grip released
    robot.ros.spin(0.2)
    assert robot.states[-1].commanded_gripper_position == 0.0
    headset.until(lambda: robot.commands[-1].deadman, "the grip again", grip=1.0)
    for _ in range(15):
        headset.send()
    assert np.abs(robot.commanded - wanted).max() < 2e-3  # re-referenced: it has not followed the 20 cm
    assert robot.states[-1].commanded_gripper_position == 0.0  # the trigger is released, but has not met the gripper


def test_a_headset_that_falls_silent_holds_the_arm_and_says_so(robot: Robot) -> None:
    robot.teleop("webxr", max_packet_age=0.15)
    headset = Headset(robot)
    headset.send()
    headset.until(lambda: robot.commands and robot.commands[-1].deadman, "the grip", grip=1.0)
    start = np.array(headset.hand["position"])
    headset.send(position=(start + [0.0, 0.0, -0.04]).tolist())
    silent = time.monotonic()
    robot.said("packet is 0.", 2.0)
    assert time.monotonic() - silent < 1.0
    command = robot.commands[-1]
    assert command.deadman and command.twist.linear.x == 0.0
    robot.ros.wait(lambda: robot.states[-1].mode == ArmState.HOLD, "the arm's watchdog")
    assert robot.statuses[-1].level == DiagnosticStatus.WARN


class Page:
    """Sends which keys are held, every 50 ms."""

    def __init__(self, robot: Robot) -> None:
        self.robot, self.sequence = robot, 0

    def hold(self, *keys: str) -> None:
        """One packet."""
        packet = {"v": 1, "session": "page", "seq": self.sequence, "t": time.monotonic() * 1e3, "deadman": True}
        self.sequence += 1
        self.robot.keys.publish(String(data=json.dumps(packet | {"keys": list(keys)})))
        self.robot.ros.spin(0.05)

    def until(self, condition: Any, what: str, *keys: str) -> None:
        """Hold keys until something is true."""
        deadline = time.monotonic() + 20.0
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain for: {what}"
            self.hold(*keys)


def test_devices_are_switched_while_the_deadman_is_released(robot: Robot) -> None:
    process = robot.teleop("page_keyboard")
    page = Page(robot)
    page.until(lambda: "to move" in robot.statuses[-1].message, "the node")
    page.until(lambda: robot.commands and robot.commands[-1].twist.linear.x > 0.0, "a command forward", "w")
    refusal = (False, "page_keyboard has control; release its deadman first")
    assert robot.switch("webxr", lambda: page.hold("w")) == refusal
    page.until(lambda: "to move" in robot.statuses[-1].message, "a release")
    assert robot.switch("tiller")[1].startswith("there is no device 'tiller'; known: spacemouse, webxr")
    assert "no SpaceMouse is plugged in" in robot.switch("spacemouse")[1]
    assert robot.switch("webxr") == (True, "")
    count = len(robot.commands)
    headset = Headset(robot)
    for _ in range(5):
        headset.send(grip=1.0)  # held already when it became the active device
    page.hold("w")
    assert len(robot.commands) == count
    robot.ros.wait(lambda: "page_keyboard is refused: webxr is the active device" in process.output, "the refusal")
    headset.send(grip=0.0)
    headset.until(lambda: robot.commands[-1].source == "webxr" and robot.commands[-1].deadman, "the grip", grip=1.0)


def test_a_second_node_is_refused_with_the_name_of_who_is_in_charge(robot: Robot) -> None:
    robot.teleop("page_keyboard")
    page = Page(robot)
    others = robot.ros.collect(DiagnosticStatus, "/other/status", LATCHED)
    parameters = {"device": "twist", "twist.deadman": -1, "twist.topic": "/driver/twist"}
    other = robot.ros.start("ptr_teleop.node", "-r", "__node:=other", **parameters)
    driver = robot.ros.node.create_publisher(TwistStamped, "/driver/twist", 10)
    robot.ros.wait(lambda: driver.get_subscription_count() > 0, "the second node")
    message = TwistStamped()
    message.twist.linear.z = 0.05
    page.hold()
    refusal = "twist is refused: page_keyboard has control; release its deadman first"
    page.until(lambda: any(refusal in s.message for s in others), "the name of who is in charge", "a")
    driver.publish(message)
    page.until(lambda: refusal in other.output, "the refusal", "a")
    assert {command.source for command in robot.commands} == {"page_keyboard"}
    page.until(lambda: not robot.commands[-1].deadman, "a release")
    driver.publish(TwistStamped())
    robot.ros.wait(lambda: "deadman of twist to move" in others[-1].message, "a free arm")
    driver.publish(message)
    robot.ros.wait(lambda: robot.commands[-1].source == "twist", "the second device")


def test_a_person_at_the_page_takes_over_from_a_policy_and_hands_back(robot: Robot) -> None:
    robot.ros.start("ptr_teleop.node", device="none", max_packet_age=0.5)  # as deploy.launch.xml starts it
    robot.said("no device is selected")
    policy = robot.ros.node.create_publisher(ArmCommand, "/policy/command", 10)
    robot.ros.wait(lambda: policy.get_subscription_count() > 0, "the arm at the policy's topic")

    def act() -> None:
        command = ArmCommand(source="policy", gripper_position=1.0, deadman=True)
        command.header.stamp = robot.ros.node.get_clock().now().to_msg()
        command.valid_for.nanosec = 200_000_000
        policy.publish(command)

    def in_command(source: str, *keys: str) -> None:
        def arrived() -> bool:
            act()
            return robot.states[-1].source == source

        page.until(arrived, f"{source} in command", *keys)

    page = Page(robot)
    in_command("policy")
    assert robot.switch("page_keyboard") == (True, "")
    page.until(lambda: "to move" in robot.statuses[-1].message, "the page's keyboard")
    in_command("page_keyboard", "q")
    assert robot.states[-1].mode == ArmState.TELEOP
    in_command("policy")
    assert robot.states[-1].mode == ArmState.POLICY


def test_a_stop_needs_a_new_press_before_the_arm_moves_again(robot: Robot) -> None:
    process = robot.teleop("webxr")
    headset = Headset(robot)
    headset.send()
    headset.until(lambda: robot.commands and robot.commands[-1].deadman, "the grip", grip=1.0)
    assert robot.ros.call(Trigger, "/arm/stop").success
    headset.until(lambda: not robot.commands[-1].deadman, "a release by itself")
    assert "the arm is stopped" in process.output
    before = robot.commanded
    headset.move(np.array([0.0, 0.0, -0.05]))
    robot.ros.call(Trigger, "/arm/clear")
    for _ in range(10):
        headset.send()
    assert robot.commanded == pytest.approx(before, abs=1e-3)  # clearing takes the measured pose; the hand moved 5 cm


class Cable:
    """A FIFO that stands for /dev/hidrawN."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.end = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.end, fcntl.F_SETFL, os.O_DIRECT | os.O_NONBLOCK)

    def send(self, report: str) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads: the kernel drops reports as well
            os.write(self.end, bytes.fromhex(report))


def test_a_spacemouse_drives_records_and_may_be_unplugged(robot: Robot, tmp_path: Path) -> None:
    pytest.importorskip("pyspacemouse")
    asked: list[Any] = []
    status = robot.ros.node.create_publisher(EpisodeStatus, "/episode/status", LATCHED)

    def answer(request: Any, response: Any) -> Any:
        asked.append(request)
        response.success = True
        state = EpisodeStatus.RECORDING if isinstance(request, StartEpisode.Request) else EpisodeStatus.IDLE
        status.publish(EpisodeStatus(state=state))
        return response

    services = [
        robot.ros.node.create_service(StartEpisode, "/recorder/start", answer),
        robot.ros.node.create_service(StopEpisode, "/recorder/stop", answer),
    ]
    cable = Cable(tmp_path / "hidraw0")
    parameters = {"spacemouse.path": cable.path, "spacemouse.model": "SpaceMouseCompact", "task": "put_carrot_on_plate"}
    process = robot.teleop("spacemouse", **parameters)
    before = robot.commanded[2]
    for _ in range(15):
        cable.send("01 00 00 00 00 00 ff")  # lifted by 256 of 350
        robot.ros.spin(0.02)
    assert robot.commanded[2] > before + 0.005
    for expected in (1, 2):
        for report in ("03 03 00", "03 00 00"):
            cable.send("01 00 00 00 00 00 00")
            cable.send(report)
        robot.ros.wait(lambda n=expected: len(asked) == n, "the recorder to be asked")
        robot.ros.spin(0.2)
    start, stop = asked
    assert (start.task, json.loads(start.extra_json)) == ("put_carrot_on_plate", {"device": "spacemouse"})
    assert (stop.save, stop.outcome) == (True, "success")
    cable.send("01 00 00 00 00 00 ff")
    robot.ros.wait(lambda: robot.commands[-1].twist.linear.z > 0.0, "a command upwards")
    os.close(cable.end)
    robot.said("the SpaceMouse was unplugged")
    assert robot.commands[-1].twist.linear.z == 0.0
    assert process.running
    for service in services:
        robot.ros.node.destroy_service(service)
    robot.ros.node.destroy_publisher(status)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGINT] * 2, [signal.SIGTERM]])
def test_a_node_ends_cleanly_while_reports_stream_in(robot: Robot, tmp_path: Path, signals: list[int]) -> None:
    pytest.importorskip("pyspacemouse")
    cable = Cable(tmp_path / "hidraw0")
    parameters = {"spacemouse.path": cable.path, "spacemouse.model": "SpaceMouseCompact"}
    process = robot.teleop("spacemouse", **parameters)
    for k in range(300):
        if process.running:
            cable.send("01 00 00 00 00 00 ff")
        if k == 10:
            for number in signals:
                process.signal(number)
        time.sleep(0.001)
    assert process.wait() == 0, process.output
    assert "Traceback" not in process.output
    os.close(cable.end)


def test_the_configuration_that_is_shipped_holds_every_parameter_with_its_default(robot: Robot) -> None:
    robot.teleop("page_keyboard", max_packet_age=0.15)
    written = flat(yaml.safe_load(CONFIG.read_text())["/**/teleop"]["ros__parameters"])
    listed = robot.ros.call(ListParameters, "/teleop/list_parameters").result.names
    of_launch = ("device", "task", "instruction", "operator_name")
    others = (*of_launch, "use_sim_time", "start_type_description_service", "qos_overrides")
    assert {name for name in listed if not name.startswith(others)} == written.keys()
    names = sorted(written)
    answer = robot.ros.call(GetParameters, "/teleop/get_parameters", GetParameters.Request(names=names))
    values = {name: parameter_value_to_python(v) for name, v in zip(names, answer.values, strict=True)}
    assert {name: list(v) if isinstance(v, array) else v for name, v in values.items()} == written


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested parameters with dots between their names."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        leaves |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return leaves


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"device": "tiller"}, "there is no device 'tiller'"),
        ({"device": "keyboard"}, "needs a terminal"),
        ({"device": "spacemouse", "spacemouse.gain": "[1.0, 2.0]"}, "gain needs six numbers"),
        ({"device": "webxr", "webxr.scale": 3.0}, "webxr.scale"),
    ],
)
def test_a_node_that_can_not_start_says_why_in_one_sentence(ros, parameters: dict[str, Any], sentence: str) -> None:
    process = ros.start("ptr_teleop.node", "-r", "__node:=broken", **parameters)
    assert process.wait() == 1
    assert sentence in process.output
    assert "Traceback" not in process.output
