# SPDX-License-Identifier: Apache-2.0
"""The node `console`: listens to the robot, and serves the page in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, JointState
from std_msgs.msg import String

from ptr_msgs.msg import ArmState, EpisodeEvent, EpisodeStatus, PolicyStep, SafetyEvent
from ptr_teleop.console import views
from ptr_teleop.console.addresses import LOCAL_NAMES, machine_names, qr_code, url
from ptr_teleop.console.credentials import default_folder, obtain
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.ros_robot import RosRobot
from ptr_teleop.console.security import Guard
from ptr_teleop.console.server import ConsoleServer, Door
from ptr_teleop.console.state import ConsoleState, Heard
from ptr_teleop.node_main import EndingNode, run
from ptr_teleop.parameters import declare

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STALLED = 0.5  # s of silence after which a stream is shown as stalled
PORTS = 10  # that are tried: several robots of one machine have a page each
GRAVE = ("stream_stalled", "messages_lost", "disk_full")  # kinds of EpisodeEvent


class ConsoleNode(EndingNode):
    """Turns messages into what pages show; `RosRobot` turns what pages ask for into calls."""

    def __init__(self) -> None:
        super().__init__("console")
        self._declare()
        cameras = [str(name) for name in self._value("cameras") if name]
        tasks = [str(name) for name in self._value("tasks") if name]
        limits = dict.fromkeys([*map(image_topic, cameras), "/arm/state", "/joint_states"], STALLED)
        self._frames = {name: NewestFrame() for name in cameras}
        self._state = ConsoleState(
            cameras, tasks, limits, task=str(self._value("task")), operator=str(self._value("operator_name"))
        )
        self._said = ""
        self._listen(cameras)
        robot = RosRobot(self, self._state, self._frames)
        doors = self._doors()
        self._server = ConsoleServer(robot, doors)
        self._announce(doors, self._server.start())

    def end(self) -> None:
        """Close every page's connection."""
        self._server.stop()

    def _declare(self) -> None:
        declare(self, "port", 8765, "port of the page on this machine; when it is taken, the next free one", (0, 65000))
        declare(self, "remote", False, "answer other machines too, encrypted, to those who have the token")
        declare(self, "remote_port", 8766, "port of the page for other machines, likewise", (0, 65000))
        declare(self, "names", [""], "further host names and addresses of this machine that other machines use")
        declare(self, "credentials", "", f"folder of token, key and certificate; empty: {default_folder()}")
        declare(self, "cameras", ["over_shoulder"], "names of the cameras: /camera/NAME/image/compressed")
        declare(self, "tasks", [""], "names of the tasks that the page offers")
        declare(self, "task", "", "task that is chosen at first")
        declare(self, "operator_name", "", "who drives, as the page's field says at first")

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _listen(self, cameras: Sequence[str]) -> None:
        for name in cameras:
            self.create_subscription(CompressedImage, image_topic(name), self._camera(name), NEWEST, raw=True)
        self.create_subscription(JointState, "/joint_states", lambda _: self._heard("/joint_states"), SENSOR, raw=True)
        self.create_subscription(ArmState, "/arm/state", self._on_arm, SENSOR)
        self.create_subscription(SafetyEvent, "/arm/safety", self._on_safety, LATCHED)
        self.create_subscription(EpisodeStatus, "/episode/status", self._on_recorder, LATCHED)
        self.create_subscription(EpisodeEvent, "/episode/event", self._on_event, QoSProfile(depth=50))
        self.create_subscription(DiagnosticStatus, "/teleop/status", self._on_teleop, LATCHED)
        self.create_subscription(PolicyStep, "/policy/step", self._on_policy, QoSProfile(depth=50))
        self.create_subscription(String, "/evaluation/summary", self._on_evaluation, LATCHED)

    def _doors(self) -> list[Door]:
        doors = [Door("127.0.0.1", int(self._value("port")), Guard("http", LOCAL_NAMES), ports=PORTS)]
        if self._value("remote"):
            names = [*machine_names(), *(str(name) for name in self._value("names") if name), *LOCAL_NAMES]
            credentials = obtain(Path(str(self._value("credentials")) or default_folder()), names)
            guard = Guard("https", [name.lower() for name in names], credentials.token)
            doors.append(Door("0.0.0.0", int(self._value("remote_port")), guard, credentials.tls(), PORTS))
            self.get_logger().info(f"SHA-256 of the console's certificate: {credentials.fingerprint}")
        return doors

    def _announce(self, doors: Sequence[Door], ports: Sequence[int]) -> None:
        """Say where the page is; for other machines with the token, and as a QR code for a phone or headset."""
        self.get_logger().info(f"the console is at {url('http', '127.0.0.1', ports[0])}")
        if len(doors) > 1:
            names = machine_names()
            address = url("https", names[-1], ports[1], doors[1].guard.token)
            self.get_logger().info(f"and for other machines at {address}\n{qr_code(address)}")

    def _heard(self, stream: str) -> None:
        self._state.streams.heard(stream, time.monotonic())

    def _camera(self, name: str) -> Callable[[bytes], None]:
        """A callback that keeps the newest image of a camera, serialised: it is read when a page asks for it."""
        frame, stream = self._frames[name], image_topic(name)

        def keep(data: bytes) -> None:
            self._heard(stream)
            frame.put(lambda: bytes(deserialize_message(data, CompressedImage).data))

        return keep

    def _on_arm(self, message: ArmState) -> None:
        self._heard("/arm/state")
        self._state.arm = Heard(views.arm_view(message), time.monotonic())

    def _on_safety(self, message: SafetyEvent) -> None:
        view = views.safety_view(message)
        self._state.safety = view
        if view["reasons"]:
            texts = ", ".join(reason["text"] for reason in view["reasons"])
            self._note("warn", f"Safety: {texts}. {message.detail}")

    def _on_recorder(self, message: EpisodeStatus) -> None:
        self._state.recorder = Heard(views.recorder_view(message), time.monotonic())

    def _on_event(self, message: EpisodeEvent) -> None:
        kind = message.kind.replace("_", " ")
        self._note("error" if message.kind in GRAVE else "info", f"Recorder, {kind}: {message.text}")

    def _on_teleop(self, message: DiagnosticStatus) -> None:
        view = views.teleop_view(message)
        self._state.teleop = Heard(view, time.monotonic())
        if view["level"] != "ok" and view["message"] != self._said:
            self._note(view["level"], f"Teleoperation: {view['message']}")
        self._said = view["message"]

    def _on_policy(self, message: PolicyStep) -> None:
        self._state.policy = Heard(views.policy_view(message), time.monotonic())
        self._state.points.append(views.policy_point(message))

    def _on_evaluation(self, message: String) -> None:
        self._state.evaluation = views.evaluation_view(message.data)

    def _note(self, level: str, text: str) -> None:
        self._state.events.append({"at": round(time.time(), 1), "level": level, "text": text[: views.LONGEST]})


def image_topic(camera: str) -> str:
    """Where a camera's images come."""
    return f"/camera/{camera}/image/compressed"


def main(args: Sequence[str] | None = None) -> None:
    """Run the node."""
    run(ConsoleNode, "console", args)


if __name__ == "__main__":
    main()
