# SPDX-License-Identifier: Apache-2.0
"""The streams of an episode, and which of them are required."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ptr_models.episodes.messages import settings_topic


@dataclass(frozen=True)
class Stream:
    """One recorded topic.

    Attributes:
        topic, type: e.g. /arm/state and ptr_msgs/msg/ArmState; as in bags, without the robot's namespace.
        required: no episode starts without messages on it, and silence during an episode is an event.
        lasting: the last message holds until the next one. It is written at the start of each bag; a later one is
            written only if it differs from the one before.
        reliable: subscribe reliably (commands, events) until the publishers' QoS is known; otherwise best effort.
        shared: may have several publishers. Two publishers of any other stream would mix two robots in one bag. If
            also lasting, the last message of each publisher holds.
    """

    topic: str
    type: str
    required: bool = False
    lasting: bool = False
    reliable: bool = False
    shared: bool = False


EVENTS = "/episode/event"
OBJECTS = "/simulator/objects"
COMMANDS = ("/teleop/command", "/policy/command")


def info_topic(camera: str) -> str:
    """Topic of the calibration of a camera."""
    return f"/camera/{camera}/camera_info"


def streams_for(cameras: Sequence[str]) -> tuple[Stream, ...]:
    """All streams of an episode with these cameras."""
    images = [
        Stream(f"/camera/{name}/image/compressed", "sensor_msgs/msg/CompressedImage", required=True) for name in cameras
    ]
    infos = [Stream(info_topic(name), "sensor_msgs/msg/CameraInfo", lasting=True) for name in cameras]
    settings = [
        Stream(settings_topic(name), "ptr_msgs/msg/CameraSettings", lasting=True, reliable=True) for name in cameras
    ]
    return (
        *images,
        *infos,
        *settings,
        Stream("/joint_states", "sensor_msgs/msg/JointState", required=True),
        Stream("/arm/state", "ptr_msgs/msg/ArmState", required=True),
        Stream("/arm/executed", "ptr_msgs/msg/ExecutedCommand", required=True),
        Stream("/arm/safety", "ptr_msgs/msg/SafetyEvent", lasting=True, reliable=True),
        *(Stream(topic, "ptr_msgs/msg/ArmCommand", reliable=True, shared=True) for topic in COMMANDS),
        Stream("/arm/motors", "ptr_msgs/msg/MotorStates", lasting=True, reliable=True),
        Stream("/policy/step", "ptr_msgs/msg/PolicyStep", reliable=True),
        Stream("/policy/status", "diagnostic_msgs/msg/DiagnosticStatus", lasting=True, reliable=True),
        Stream("/evaluation/trial", "ptr_msgs/msg/EvaluationTrial", lasting=True, reliable=True),
        Stream("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray", reliable=True, shared=True),
        Stream("/robot_description", "std_msgs/msg/String", lasting=True, reliable=True),
        Stream("/tf_static", "tf2_msgs/msg/TFMessage", lasting=True, reliable=True, shared=True),
        Stream("/tf", "tf2_msgs/msg/TFMessage", reliable=True, shared=True),
        Stream(OBJECTS, "ptr_msgs/msg/ObjectStates"),
        Stream(EVENTS, "ptr_msgs/msg/EpisodeEvent", reliable=True, shared=True),
    )
