# SPDX-License-Identifier: Apache-2.0
"""Cameras in the running system: what is wrong with one is told, and it comes back without a restart."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rclpy.parameter import parameter_value_to_python  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, JointState  # noqa: E402

from ptr_msgs.msg import CameraSettings  # noqa: E402
from ptr_msgs.srv import InjectFault  # noqa: E402

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


@pytest.fixture(scope="module")
def statuses(ros) -> list[DiagnosticStatus]:
    """What is reported of cameras, from the beginning on."""
    found: list[DiagnosticStatus] = []

    def keep(message: DiagnosticArray) -> None:
        found.extend(status for status in message.status if status.name.startswith("camera "))

    ros.node.create_subscription(DiagnosticArray, "/diagnostics", keep, 10)
    return found


@pytest.fixture(scope="module")
def simulated(ros, statuses: list[DiagnosticStatus]) -> None:
    """A simulated camera and its monitor, which finds nothing wrong with it."""
    ros.start("ptr_bringup.sim.node", width=160, height=120, camera_rate=10.0)
    ros.start("ptr_bringup.camera.monitor_node", rate=10.0, noisy=False)
    ros.wait(lambda: statuses and statuses[-1].level == DiagnosticStatus.OK, "a camera that is well")


def last_problems(statuses: list[DiagnosticStatus], name: str = "camera over_shoulder") -> str:
    return next((values_of(s)["problems"] for s in reversed(statuses) if s.name == name), "unknown")


def inject(ros, fault: str) -> None:
    request = InjectFault.Request(fault=fault, value=float("nan"))
    answer = ros.call(InjectFault, "/simulator/inject", request)
    assert answer.success, answer.message


@pytest.mark.parametrize(
    ("fault", "problem", "level"),
    [
        ("image_gone", "missing", DiagnosticStatus.ERROR),
        ("image_dark", "dark", DiagnosticStatus.WARN),
        ("image_torn", "torn", DiagnosticStatus.ERROR),
        ("image_slow", "slow", DiagnosticStatus.WARN),
    ],
)
def test_what_is_wrong_with_a_camera_is_told_apart(
    ros, simulated: None, statuses: list[DiagnosticStatus], fault: str, problem: str, level: bytes
) -> None:
    inject(ros, fault)
    statuses.clear()
    ros.wait(lambda: last_problems(statuses) == problem, f"the camera is {problem}")
    assert statuses[-1].level == level
    inject(ros, "clear")
    ros.wait(lambda: last_problems(statuses) == "", f"the camera is no longer {problem}")


def test_an_image_that_stays_while_the_arm_moves_is_frozen(
    ros, simulated: None, statuses: list[DiagnosticStatus]
) -> None:
    joints = ros.collect(JointState, "/joint_states", qos_profile_sensor_data)
    commands = ros.node.create_publisher(JointState, "/joint_commands", 1)
    ros.wait(lambda: joints and commands.get_subscription_count(), "joint states")
    names = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate", "left_finger"]
    start = dict(zip(joints[-1].name, joints[-1].position, strict=True))

    def waist(angle: float) -> None:
        positions = [start[name] + (angle if name == "waist" else 0.0) for name in names]
        commands.publish(JointState(name=names, position=positions))

    inject(ros, "image_frozen")
    statuses.clear()
    ros.wait(lambda: len(statuses) >= 2, "two reports of an arm at rest")
    assert last_problems(statuses) == ""

    def frozen() -> bool:
        waist(0.2)
        return last_problems(statuses) == "frozen"

    ros.wait(frozen, "the camera is frozen")
    inject(ros, "clear")
    ros.wait(lambda: last_problems(statuses) == "", "the camera is well again")


def test_a_camera_reports_itself_and_its_settings_to_who_comes_later(
    ros, statuses: list[DiagnosticStatus], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0)
    for k in range(20):
        cv2.imwrite(str(tmp_path / f"{k:02}.jpg"), noise.integers(60, 200, (48, 64, 3), dtype=np.uint8))
    images = ros.collect(CompressedImage, "/camera/shelf/image/compressed", qos_profile_sensor_data)
    ros.start("ptr_bringup.camera.node", "-r", "__node:=shelf", source=tmp_path, name="shelf", rate=20.0)
    ros.wait(lambda: len(images) > 20, "one round of images")
    received = ros.collect(CameraSettings, "/camera/shelf/settings", LATCHED)
    ros.wait(lambda: received, "settings")
    settings = {item.name: parameter_value_to_python(item.value) for item in received[0].settings}
    assert (received[0].camera, received[0].rate, received[0].simulated) == ("shelf", 20.0, True)
    assert settings == {"source": str(tmp_path), "fps": 20.0}
    files = {path.read_bytes() for path in tmp_path.glob("*.jpg")}
    assert {bytes(image.data) for image in images} <= files
    ros.wait(lambda: any(s.name == "camera shelf" and values_of(s)["age"] for s in statuses), "its diagnostics")


def test_a_camera_that_is_not_plugged_in_can_be_waited_for(ros, statuses: list[DiagnosticStatus]) -> None:
    camera = ros.start(
        "ptr_bringup.camera.node", "-r", "__node:=wrist", source="/dev/video77", name="wrist", wait_for_device=True
    )
    ros.wait(lambda: last_problems(statuses, "camera wrist") == "missing", "that it is missing")
    assert "there is no camera /dev/video77" in camera.output
    camera.signal()
    assert camera.wait() == 0


def test_a_camera_that_runs_can_be_looked_at(ros, simulated: None, tmp_path: Path) -> None:
    words = ["-m", "ptr_models.cli", "calibrate", "camera", "--running", "--rate", "10"]
    looked = ros.run([sys.executable, *words, "--duration", "3"], name="calibrate")
    other = ["nowhere", "--running", "--config", str(unused(tmp_path))]
    absent = ros.run([sys.executable, *words[:4], *other], name="absent")
    ros.wait(lambda: not looked.running and not absent.running, "their ends", timeout=60.0)
    assert "images at" in looked.output, looked.output
    assert "These images have no settings, like the simulator's" in looked.output
    assert absent.wait() == 2
    assert "nothing arrives on /camera/nowhere/image/compressed" in absent.output


def test_what_to_do_instead_of_opening_a_camera_that_another_node_shows(
    ros, simulated: None, statuses: list[DiagnosticStatus], tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "0.jpg"), np.zeros((48, 64, 3), np.uint8))
    ros.start("ptr_bringup.camera.node", "-r", "__node:=occupied", source=tmp_path, name="nowhere")
    ros.wait(lambda: any(status.name == "camera nowhere" for status in statuses), "the other camera")
    words = ["-m", "ptr_models.cli", "calibrate", "camera", "--source", "/dev/video77"]
    simulator = ros.run([sys.executable, *words], name="calibrate_simulated")
    other = ros.run([sys.executable, *words, "nowhere", "--config", str(unused(tmp_path))], name="calibrate_occupied")
    ros.wait(lambda: not simulator.running and not other.running, "their ends", timeout=60.0)
    assert (simulator.wait(), other.wait()) == (2, 2)
    for process in (simulator, other):
        assert "error: there is no camera /dev/video77" in process.output
    assert "come from the node simulator, which has no exposure, gain, white balance or focus" in simulator.output
    assert "use `ptr calibrate camera over_shoulder --running`" in simulator.output
    assert "the node occupied uses the camera nowhere: stop it first" in other.output


def unused(folder: Path) -> Path:
    """A configuration of one camera that nobody runs."""
    path = folder / "cameras.yaml"
    path.write_text("nowhere: {ros__parameters: {source: /dev/video0}}\n")
    return path


def test_a_camera_that_is_waited_for_needs_its_calibration_at_once(ros, tmp_path: Path) -> None:
    missing = tmp_path / "calibration.yaml"
    words = ["-p", "source:=/dev/video97", "-p", "wait_for_device:=true", "-p", f"calibration:={missing}"]
    process = ros.run([sys.executable, "-m", "ptr_bringup.camera.node", "--ros-args", *words], name="camera")
    ros.wait(lambda: not process.running, "the refusal", timeout=60.0)
    assert process.wait() == 1
    assert f"can't read the calibration {missing}" in process.output
