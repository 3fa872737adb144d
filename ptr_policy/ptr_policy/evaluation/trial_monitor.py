# SPDX-License-Identifier: Apache-2.0
"""Watches the robot during trials: the policy's steps, who drives, and what the camera sees."""

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
    """Feeds a `TrialLog`, keeps the newest picture, and notes takeovers in the bag that is being recorded.

    Args:
        camera: whose pictures are kept; empty: none are.
    Attributes:
        stopped: the arm is stopped now.   why_stopped: as the arm said last.
        recording: the recorder is at an episode; None: it has not been heard yet.
    """

    def __init__(self, node: Node, camera: str) -> None:
        self.log = TrialLog()
        self._node, self._episode = node, ""
        self._picture: bytes | None = None
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
            node.create_subscription(CompressedImage, topic, self._on_picture, sensor)

    def picture(self) -> bytes | None:
        """The newest picture of the camera, as it came; None: none came."""
        return self._picture

    def save_picture(self, path: Path) -> bool:
        """Write the newest picture; False: there is none."""
        picture = self.picture()
        if picture is None:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
        return True

    def announce(self, change: Takeover) -> None:
        """Tell the recorder, and so the bag, that a person took the arm or handed it back."""
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

    def _on_picture(self, message: CompressedImage) -> None:
        self._picture = bytes(message.data)
