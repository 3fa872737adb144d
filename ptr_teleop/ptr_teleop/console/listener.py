# SPDX-License-Identifier: Apache-2.0
"""Listens to the robot: each message becomes what pages show."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState
from std_msgs.msg import String

from ptr_bringup.ros.names import prefix, relative
from ptr_bringup.ros.qos import LATCHED
from ptr_msgs.msg import ArmState, EpisodeEvent, EpisodeStatus, MotorStates, PolicyStep, SafetyEvent
from ptr_teleop.console import policy_views, views
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.hand_axes import CameraPlace
from ptr_teleop.console.state import ConsoleState, Heard

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
MANY = QoSProfile(depth=50)
GRAVE = ("stream_stalled", "messages_lost", "two_publishers", "clock_jumped", "disk_full")  # kinds of EpisodeEvent
NOTED_AGAIN = 30.0  # s before the same warning is noted again
TRIAL, REFERENCE, POLICY_STATUS = "evaluation/trial", "evaluation/reference/compressed", "policy/status"


class Listener:
    """Writes into the state what the robot says. Everything runs in the thread that spins the node.

    Args:
        frames: where the newest image of each camera goes, by the camera's name.
        reference: where the start image goes that a trial's scene has to match.
    """

    def __init__(
        self, node: Node, state: ConsoleState, frames: Mapping[str, NewestFrame], reference: NewestFrame
    ) -> None:
        self._node, self._state, self._frames, self._reference = node, state, frames, reference
        self._prefix = prefix(node.get_namespace())
        self._said: dict[str, str] = {}  # what each source said last, without its numbers
        self._noted: dict[str, tuple[str, float]] = {}  # what was noted of it last, and when (s)
        listen = node.create_subscription
        self._places = {name: CameraPlace() for name in frames}
        for name in frames:
            listen(CompressedImage, relative(image_topic(name)), self._camera(name), NEWEST, raw=True)
            listen(CameraInfo, f"camera/{name}/camera_info", partial(setattr, self._places[name], "info"), NEWEST)
            listen(PoseStamped, f"camera/{name}/pose", self._pose_keeper(name), LATCHED)
        listen(JointState, "joint_states", lambda _: self._heard("/joint_states"), SENSOR, raw=True)
        listen(ArmState, "arm/state", self._on_arm, SENSOR)
        listen(SafetyEvent, "arm/safety", self._on_safety, LATCHED)
        listen(MotorStates, "arm/motors", self._on_motors, LATCHED)
        listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, MANY)
        listen(EpisodeStatus, "episode/status", self._on_recorder, LATCHED)
        listen(EpisodeEvent, "episode/event", self._on_event, MANY)
        listen(DiagnosticStatus, "teleop/status", self._on_teleop, LATCHED)
        listen(PolicyStep, "policy/step", self._on_policy, MANY)
        listen(DiagnosticStatus, POLICY_STATUS, self._on_policy_status, LATCHED)
        listen(String, "evaluation/summary", self._on_evaluation, LATCHED)
        listen(String, TRIAL, self._on_trial, LATCHED)
        listen(CompressedImage, REFERENCE, self._on_reference, LATCHED)
        node.create_timer(1.0, self._forget_what_has_gone)

    def _heard(self, stream: str) -> None:
        self._state.streams.heard(stream, time.monotonic())

    def _camera(self, name: str) -> Callable[[bytes], None]:
        """A callback that keeps the newest image of a camera, serialised: it is read when a page asks for it."""
        frame, stream = self._frames[name], image_topic(name)

        def keep(data: bytes) -> None:
            self._heard(stream)
            frame.put(lambda: bytes(deserialize_message(data, CompressedImage).data))

        return keep

    def _pose_keeper(self, name: str) -> Callable[[PoseStamped], None]:
        """A callback that keeps where a camera is, unless it moves with the arm."""

        def keep(message: PoseStamped) -> None:
            if message.header.frame_id.removeprefix(self._prefix) == "base_link":
                self._places[name].pose = message.pose

        return keep

    def _on_arm(self, message: ArmState) -> None:
        self._heard("/arm/state")
        at = message.measured_pose.position
        hand = np.array([at.x, at.y, at.z])
        axes = {name: place.axes(hand) for name, place in self._places.items()}
        self._state.arm = Heard({**views.arm_view(message), "axes": axes}, time.monotonic())

    def _on_safety(self, message: SafetyEvent) -> None:
        view = views.safety_view(message)
        self._state.safety = view
        if view["reasons"]:
            texts = ", ".join(reason["text"] for reason in view["reasons"])
            self._note("warn", f"Safety: {texts}. {message.message}".strip())

    def _on_motors(self, message: MotorStates) -> None:
        view = views.motors_view(message)
        self._state.motors = Heard(view, time.monotonic())
        self._note_once("motors", {"ok": "ok", "warn": "warn"}.get(view["level"], "error"), "Motors", view["message"])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for name, view in views.camera_views(message, list(self._frames), self._prefix).items():
            self._state.cameras[name] = Heard(view, time.monotonic())
            self._note_once(f"camera {name}", view["level"], f"Camera {name}", view["message"])

    def _on_recorder(self, message: EpisodeStatus) -> None:
        self._state.recorder = Heard(views.recorder_view(message), time.monotonic())

    def _on_event(self, message: EpisodeEvent) -> None:
        kind = message.type.replace("_", " ")
        self._note("error" if message.type in GRAVE else "info", f"Recorder, {kind}: {message.message}")

    def _on_teleop(self, message: DiagnosticStatus) -> None:
        view = views.teleop_view(message)
        self._state.teleop = Heard(view, time.monotonic())
        self._note_once("teleop", view["level"], "Teleoperation", view["message"])

    def _on_policy(self, message: PolicyStep) -> None:
        self._state.policy = Heard(policy_views.policy_view(message), time.monotonic())
        self._state.points.append(policy_views.policy_point(message))

    def _on_policy_status(self, message: DiagnosticStatus) -> None:
        view = policy_views.policy_status_view(message)
        self._state.policy_status = view
        self._note_once("policy", view["level"], "Policy", view["message"])

    def _on_evaluation(self, message: String) -> None:
        self._state.evaluation = policy_views.evaluation_view(message.data)

    def _on_trial(self, message: String) -> None:
        self._state.trial = policy_views.trial_view(message.data)

    def _on_reference(self, message: CompressedImage) -> None:
        """An image without data takes the reference away."""
        image = bytes(message.data)
        if not image or not self._frames:
            self._state.reference = None
            return
        number = self._reference.put(lambda: image)
        camera = message.header.frame_id if message.header.frame_id in self._frames else next(iter(self._frames))
        self._state.reference = {"camera": camera, "number": number}

    def _forget_what_has_gone(self) -> None:
        """What is said once and holds until further notice, of a node that has gone, holds no longer."""
        if self._state.trial is not None and self._node.count_publishers(TRIAL) == 0:
            self._state.trial = self._state.reference = None
        if self._state.policy_status is not None and self._node.count_publishers(POLICY_STATUS) == 0:
            self._state.policy_status = None

    def _note_once(self, topic: str, level: str, who: str, text: str) -> None:
        """Note a warning when it begins or its words change, not each time that a number in it does or it flickers."""
        said = "" if level == "ok" else level + "".join(letter for letter in text if not letter.isdigit())
        noted, at = self._noted.get(topic, ("", 0.0))
        now = time.monotonic()
        if said and said != self._said.get(topic) and (said != noted or now - at >= NOTED_AGAIN):
            self._note(level, f"{who}: {text}")
            self._noted[topic] = said, now
        self._said[topic] = said

    def _note(self, level: str, text: str) -> None:
        self._state.events.append({"at": round(time.time(), 1), "level": level, "text": views.shortened(text)})


def image_topic(camera: str) -> str:
    """Where a camera's images come, as the page names it: without a namespace."""
    return f"/camera/{camera}/image/compressed"
