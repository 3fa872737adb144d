# SPDX-License-Identifier: Apache-2.0
"""What the console hears over ROS of motors, cameras, policy and evaluation, and forgets when the speaker has gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("ptr_msgs.msg")

import rclpy  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402
from sensor_msgs.msg import CompressedImage  # noqa: E402

from ptr_msgs.msg import EvaluationTrial, MotorState, MotorStates  # noqa: E402
from ptr_teleop.console.frames import NewestFrame  # noqa: E402
from ptr_teleop.console.listener import LATCHED, Listener  # noqa: E402
from ptr_teleop.console.state import ConsoleState, Cursors  # noqa: E402

pytestmark = pytest.mark.xdist_group("console_listener")


class Received:
    """A listener on the test's node, and a second node that plays the robot."""

    def __init__(self, ros: Any) -> None:
        self._ros = ros
        self.robot = rclpy.create_node("robot", context=ros.context)
        self.state = ConsoleState(["over_shoulder", "wrist"], [], {})
        self.reference = NewestFrame()
        self._cursors = Cursors()
        self.events: list[str] = []
        frames = {"over_shoulder": NewestFrame(), "wrist": NewestFrame()}
        self.listener = Listener(ros.node, self.state, frames, self.reference)

    def snapshot(self) -> dict[str, Any]:
        snapshot = self.state.snapshot(self._cursors, time.monotonic())
        self.events += [event["text"] for event in snapshot["events"]]
        return snapshot

    def say(self, topic: str, message: Any) -> Any:
        """Publish it latched; returns the publisher."""
        publisher = self.robot.create_publisher(type(message), topic, LATCHED)
        publisher.publish(message)
        return publisher

    def until(self, what: str, condition: Any) -> None:
        self._ros.wait(lambda: condition(self.snapshot()), what)


@pytest.fixture
def heard(ros) -> Iterator[Received]:
    heard = Received(ros)
    yield heard
    heard.robot.destroy_node()


def test_motors_and_cameras_are_heard_and_a_warning_is_noted_once(heard: Received) -> None:
    motors = heard.robot.create_publisher(MotorStates, "/arm/motors", LATCHED)
    for celsius in (61.0, 62.0, 63.0):
        message = MotorStates(level=MotorStates.WARN, message=f"let the arm rest: shoulder {celsius:.0f} deg C")
        message.motors = [MotorState(name="shoulder", temperature=celsius, torque_enabled=True)]
        motors.publish(message)
        heard.until("the motors", lambda seen, said=message.message: (seen["motors"] or {}).get("message") == said)
    frozen = DiagnosticStatus(level=DiagnosticStatus.ERROR, name="camera wrist", message="Image stream frozen.")
    frozen.values = [KeyValue(key="problems", value="frozen")]
    heard.say("/diagnostics", DiagnosticArray(status=[frozen, DiagnosticStatus(name="camera of somebody else")]))
    heard.until("the camera", lambda seen: seen["cameras"].get("wrist", {}).get("state") == "frozen")
    assert list(heard.state.cameras) == ["wrist"]
    noted = [text for text in heard.events if text.startswith("Motors")]
    assert noted == ["Motors: let the arm rest: shoulder 61 deg C"]
    assert "Camera wrist: Image stream frozen." in heard.events


def test_a_trial_and_its_reference_are_forgotten_with_the_evaluator(heard: Received) -> None:
    trial = EvaluationTrial(phase="ready", index=0, planned=4, policy_label="A")
    image = CompressedImage(format="jpeg", data=b"\xff\xd8\xff reference")
    image.header.frame_id = "wrist"
    publishers = [
        heard.say("/evaluation/trial", trial),
        heard.say("/evaluation/reference/compressed", image),
    ]
    heard.until("the trial", lambda seen: seen["trial"] and seen["trial"]["number"] == 1 and seen["reference"])
    assert heard.state.reference["camera"] == "wrist"
    assert heard.reference.newest() == b"\xff\xd8\xff reference"
    publishers[1].publish(CompressedImage())
    heard.until("no reference", lambda seen: seen["reference"] is None and seen["trial"])
    for publisher in publishers:
        heard.robot.destroy_publisher(publisher)
    heard.until("no trial", lambda seen: seen["trial"] is None)


def test_the_status_of_a_policy_server_that_has_gone_is_forgotten(heard: Received) -> None:
    status = DiagnosticStatus(name="policy", level=DiagnosticStatus.WARN, message="Q has drifted")
    status.values = [KeyValue(key="drift", value="true"), KeyValue(key="q_low", value="-1.5")]
    publisher = heard.say("/policy/status", status)
    heard.until("the status", lambda seen: seen["policy_status"] and seen["policy_status"]["drift"])
    assert heard.state.policy_status["q_low"] == -1.5
    assert "Policy: Q has drifted" in heard.events
    heard.robot.destroy_publisher(publisher)
    heard.until("no status", lambda seen: seen["policy_status"] is None)
