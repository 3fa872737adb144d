# SPDX-License-Identifier: Apache-2.0
"""Monitors the robot during trials: the policy's steps, who drives, and the camera's images."""

from __future__ import annotations

from pathlib import Path

from rclpy.node import Node
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import nanoseconds, stamp_from_nanoseconds
from ptr_msgs.msg import ArmState, EpisodeEvent, EpisodeStatus, PolicyStep, SafetyEvent
from ptr_policy.evaluation.log import Takeover, TrialLog


class TrialMonitor:
    """Updates a `TrialLog`, keeps the newest image, and records takeovers in the current bag.

    Args:
        camera: name of the camera; empty: none.
    Attributes:
        stopped: the arm is stopped.   why_stopped: the arm's last reason.
        recording: the recorder is recording; None: not known yet.
    """

    def __init__(self, node: Node, camera: str) -> None:
        self.log = TrialLog()
        self._node, self._episode = node, ""
        self._image: bytes | None = None
        self.stopped, self.why_stopped = False, ""
        self.recording: bool | None = None
        self._events = node.create_publisher(EpisodeEvent, "episode/event", QoSProfile(depth=50))
        sensor = qos_profile_sensor_data
        node.create_subscription(PolicyStep, "policy/step", self._on_step, QoSProfile(depth=50))
        node.create_subscription(ArmState, "arm/state", self._on_arm, sensor)
        node.create_subscription(SafetyEvent, "arm/safety", self._on_safety, QoSProfile(depth=50))
        node.create_subscription(EpisodeStatus, "episode/status", self._on_episode, LATCHED)
        if camera:
            topic = f"camera/{camera}/image/compressed"
            node.create_subscription(CompressedImage, topic, self._on_image, sensor)

    def save_image(self, path: Path) -> bool:
        """Write the newest image; False: there is none."""
        if self._image is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._image)
        return True

    def announce(self, change: Takeover) -> None:
        """Publish an event for the bag: a person took over the arm or handed it back."""
        header = Header(frame_id="base_link", stamp=stamp_from_nanoseconds(change.stamp))
        kind, verb = ("takeover", "took the arm over") if change.taken else ("note", "handed the arm back")
        text = f"{change.source or 'a person'} {verb} after {change.step} steps of the policy"
        self._events.publish(EpisodeEvent(header=header, episode_id=self._episode, type=kind, message=text))

    def _on_step(self, message: PolicyStep) -> None:
        self.log.step(message.q, message.held)

    def _on_arm(self, message: ArmState) -> None:
        self.stopped = message.mode == ArmState.PROTECTIVE_STOP
        teleoperated = message.mode == ArmState.TELEOP
        self.log.arm(nanoseconds(message.header.stamp), teleoperated, message.source, self.stopped)

    def _on_safety(self, message: SafetyEvent) -> None:
        if message.reason & (SafetyEvent.STOPPED | SafetyEvent.MOTOR_FAULT):
            self.why_stopped = message.message.removeprefix("The arm is stopped: ").rstrip(".")

    def _on_episode(self, message: EpisodeStatus) -> None:
        self._episode = message.episode_id
        self.recording = message.state == EpisodeStatus.RECORDING

    def _on_image(self, message: CompressedImage) -> None:
        self._image = bytes(message.data)
