# SPDX-License-Identifier: Apache-2.0
"""Converts between the recorder's plain data and ROS messages."""

from __future__ import annotations

import math
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo

from ptr_bringup.ros.time import nanoseconds, stamp_from_nanoseconds
from ptr_msgs.msg import ArmCommand, EpisodeEvent, EpisodeStatus, ObjectStates, StreamHealth
from ptr_teleop.recorder.episode import CommandTiming, Event, State
from ptr_teleop.recorder.health import StreamStatus
from ptr_teleop.recorder.recorder import GIGABYTE, RecorderCore


def read_command(data: bytes) -> CommandTiming:
    """Timing of a serialized ArmCommand."""
    command = deserialize_message(data, ArmCommand)
    return CommandTiming(nanoseconds(command.header.stamp), nanoseconds(command.valid_for), bool(command.deadman))


def read_scene(data: bytes) -> dict[str, Any]:
    """Kitchen, seed and level of a serialized ObjectStates."""
    objects = deserialize_message(data, ObjectStates)
    return {"kitchen": objects.kitchen, "seed": int(objects.seed), "level": objects.level}


def read_calibration(data: bytes) -> dict[str, Any] | None:
    """Calibration in a serialized CameraInfo; None: uncalibrated (no focal length, or a number that is not finite)."""
    info = deserialize_message(data, CameraInfo)
    if not info.k[0] > 0.0 or not all(map(math.isfinite, (*info.d, *info.k))):
        return None
    return {
        "width": int(info.width),
        "height": int(info.height),
        "distortion_model": info.distortion_model,
        "d": [float(value) for value in info.d],
        "k": [float(value) for value in info.k],
    }


def event_message(event: Event) -> EpisodeEvent:
    """The EpisodeEvent of an event."""
    message = EpisodeEvent(episode_id=event.episode_id, type=event.kind, message=event.text)
    message.header.stamp = stamp_from_nanoseconds(event.stamp)
    return message


def event_key(message: EpisodeEvent) -> tuple[int, int, str, str, str]:
    """Identifies an event."""
    stamp = message.header.stamp
    return stamp.sec, stamp.nanosec, message.episode_id, message.type, message.message


def status_message(core: RecorderCore, now: int, goal: int, directory: str, free: int) -> EpisodeStatus:
    """The recorder's status (times in ns, free space in bytes)."""
    metadata, audit = core.metadata, core.audit
    status = EpisodeStatus(state=int(core.state), saved=core.saved, goal=goal, message=core.message)
    stamp = metadata.start_ns if metadata and core.state is State.RECORDING else now
    status.header.stamp = stamp_from_nanoseconds(stamp)
    status.directory, status.free_gb = directory, free / GIGABYTE
    status.streams = [_health_message(health) for health in core.health(now)]
    if metadata is not None:
        status.episode_id, status.task = metadata.episode_id, metadata.task
    if audit is not None:
        status.recommendation, status.findings = audit.recommendation, list(audit.findings)
    return status


def _health_message(health: StreamStatus) -> StreamHealth:
    return StreamHealth(
        topic=health.topic,
        required=health.required,
        stalled=health.stalled,
        rate=float(health.rate),
        age=float(health.age),
        lost=min(health.lost, 2**32 - 1),
    )
