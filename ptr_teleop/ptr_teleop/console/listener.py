# SPDX-License-Identifier: Apache-2.0
"""Subscribes to the robot's topics and updates the state that pages show."""

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

from ptr_bringup.ros.names import prefix, relative
from ptr_bringup.ros.qos import LATCHED
from ptr_msgs.msg import (
    ArmState,
    EpisodeEvent,
    EpisodeStatus,
    EvaluationSummary,
    EvaluationTrial,
    MotorStates,
    PolicyStep,
    SafetyEvent,
)
from ptr_teleop.console import policy_views, views
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.hand_axes import CameraModel
from ptr_teleop.console.state import ConsoleState, Received

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
MANY = QoSProfile(depth=50)
SEVERE = ("stream_stalled", "messages_lost", "two_publishers", "clock_jumped", "disk_full")  # types of EpisodeEvent
REPEAT = 30.0  # s before the same warning is logged again
TRIAL, REFERENCE, POLICY_STATUS = "evaluation/trial", "evaluation/reference/compressed", "policy/status"


class Listener:
    """Writes the robot's messages into the state, in the thread that spins the node.

    Args:
        frames: receive the newest image of each camera, by the camera's name.
        reference: receives the start image that a trial's scene has to match.
    """

    def __init__(
        self, node: Node, state: ConsoleState, frames: Mapping[str, NewestFrame], reference: NewestFrame
    ) -> None:
        self._node, self._state, self._frames, self._reference = node, state, frames, reference
        self._prefix = prefix(node.get_namespace())
        self._current: dict[str, str] = {}  # the current warning of each source, without its numbers
        self._logged: dict[str, tuple[str, float]] = {}  # its last logged warning, and when (s)
        listen = node.create_subscription
        self._models = {name: CameraModel() for name in frames}
        for name in frames:
            listen(CompressedImage, relative(image_topic(name)), self._image_callback(name), NEWEST, raw=True)
            listen(CameraInfo, f"camera/{name}/camera_info", partial(setattr, self._models[name], "info"), NEWEST)
            listen(PoseStamped, f"camera/{name}/pose", self._pose_callback(name), LATCHED)
        listen(JointState, "joint_states", lambda _: self._received("/joint_states"), SENSOR, raw=True)
        listen(ArmState, "arm/state", self._on_arm, SENSOR)
        listen(SafetyEvent, "arm/safety", self._on_safety, LATCHED)
        listen(MotorStates, "arm/motors", self._on_motors, LATCHED)
        listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, MANY)
        listen(EpisodeStatus, "episode/status", self._on_recorder, LATCHED)
        listen(EpisodeEvent, "episode/event", self._on_event, MANY)
        listen(DiagnosticStatus, "teleop/status", self._on_teleop, LATCHED)
        listen(PolicyStep, "policy/step", self._on_policy, MANY)
        listen(DiagnosticStatus, POLICY_STATUS, self._on_policy_status, LATCHED)
        listen(EvaluationSummary, "evaluation/summary", self._on_evaluation, LATCHED)
        listen(EvaluationTrial, TRIAL, self._on_trial, LATCHED)
        listen(CompressedImage, REFERENCE, self._on_reference, LATCHED)
        node.create_timer(1.0, self._expire)

    def _received(self, stream: str) -> None:
        self._state.streams.receive(stream, time.monotonic())

    def _image_callback(self, name: str) -> Callable[[bytes], None]:
        """Keeps the newest image of a camera, serialized; it is decoded when a page asks for it."""
        frame, stream = self._frames[name], image_topic(name)

        def keep(data: bytes) -> None:
            self._received(stream)
            frame.put(lambda: bytes(deserialize_message(data, CompressedImage).data))

        return keep

    def _pose_callback(self, name: str) -> Callable[[PoseStamped], None]:
        """Keeps the pose of a camera, unless it moves with the arm."""

        def keep(message: PoseStamped) -> None:
            if message.header.frame_id.removeprefix(self._prefix) == "base_link":
                self._models[name].pose = message.pose

        return keep

    def _on_arm(self, message: ArmState) -> None:
        self._received("/arm/state")
        at = message.measured_pose.position
        hand = np.array([at.x, at.y, at.z])
        axes = {name: model.axes(hand) for name, model in self._models.items()}
        self._state.arm = Received({**views.arm_view(message), "axes": axes}, time.monotonic())

    def _on_safety(self, message: SafetyEvent) -> None:
        view = views.safety_view(message)
        self._state.safety = view
        if view["reasons"]:
            texts = ", ".join(reason["text"] for reason in view["reasons"])
            self._log("warn", f"Safety: {texts}. {message.message}".strip())

    def _on_motors(self, message: MotorStates) -> None:
        view = views.motors_view(message)
        self._state.motors = Received(view, time.monotonic())
        self._log_change("motors", {"ok": "ok", "warn": "warn"}.get(view["level"], "error"), "Motors", view["message"])

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for name, view in views.camera_views(message, list(self._frames), self._prefix).items():
            self._state.cameras[name] = Received(view, time.monotonic())
            self._log_change(f"camera {name}", view["level"], f"Camera {name}", view["message"])

    def _on_recorder(self, message: EpisodeStatus) -> None:
        self._state.recorder = Received(views.recorder_view(message), time.monotonic())

    def _on_event(self, message: EpisodeEvent) -> None:
        kind = message.type.replace("_", " ")
        self._log("error" if message.type in SEVERE else "info", f"Recorder, {kind}: {message.message}")

    def _on_teleop(self, message: DiagnosticStatus) -> None:
        view = views.teleop_view(message)
        self._state.teleop = Received(view, time.monotonic())
        self._log_change("teleop", view["level"], "Teleoperation", view["message"])

    def _on_policy(self, message: PolicyStep) -> None:
        self._state.policy = Received(policy_views.policy_view(message), time.monotonic())
        self._state.points.append(policy_views.policy_point(message))

    def _on_policy_status(self, message: DiagnosticStatus) -> None:
        view = policy_views.policy_status_view(message)
        self._state.policy_status = view
        self._log_change("policy", view["level"], "Policy", view["message"])

    def _on_evaluation(self, message: EvaluationSummary) -> None:
        self._state.evaluation = policy_views.evaluation_view(message)

    def _on_trial(self, message: EvaluationTrial) -> None:
        self._state.trial = policy_views.trial_view(message)

    def _on_reference(self, message: CompressedImage) -> None:
        """Set the reference; an image without data removes it."""
        image = bytes(message.data)
        if not image or not self._frames:
            self._state.reference = None
            return
        number = self._reference.put(lambda: image)
        camera = message.header.frame_id if message.header.frame_id in self._frames else next(iter(self._frames))
        self._state.reference = {"camera": camera, "number": number}

    def _expire(self) -> None:
        """Drop latched state of nodes that have ended."""
        if self._state.trial is not None and self._node.count_publishers(TRIAL) == 0:
            self._state.trial = self._state.reference = None
        if self._state.policy_status is not None and self._node.count_publishers(POLICY_STATUS) == 0:
            self._state.policy_status = None

    def _log_change(self, topic: str, level: str, who: str, text: str) -> None:
        """Log a warning when it starts or its words change, but not when only a number changes or it flickers."""
        warning = "" if level == "ok" else level + "".join(letter for letter in text if not letter.isdigit())
        logged, at = self._logged.get(topic, ("", 0.0))
        now = time.monotonic()
        if warning and warning != self._current.get(topic) and (warning != logged or now - at >= REPEAT):
            self._log(level, f"{who}: {text}")
            self._logged[topic] = warning, now
        self._current[topic] = warning

    def _log(self, level: str, text: str) -> None:
        self._state.events.append({"at": round(time.time(), 1), "level": level, "text": views.shortened(text)})


def image_topic(camera: str) -> str:
    """Topic of a camera's images, as the page names it: without a namespace."""
    return f"/camera/{camera}/image/compressed"
