# SPDX-License-Identifier: Apache-2.0
"""Measure an episode's bag for its audit: stamps and checksums of all streams, and the commands.

It takes one pass over the messages, in the order of arrival. Images are not decoded and nothing large is kept, so the
recorder can audit an episode of any length.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.image_checks import frozen_stretches
from ptr_models.episodes.bag import decode, messages, open_bag
from ptr_models.episodes.cdr_fields import Executed, executed_command, object_poses_of
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_scan import order_problem
from ptr_models.episodes.messages import (
    ARM_STATE_TOPIC,
    EVENT_TOPIC,
    EXECUTED_TOPIC,
    IMAGE,
    JOINT_STATE_TOPIC,
    METADATA_TOPIC,
    OBJECTS_TOPIC,
    image_topic,
    settings_topic,
    typestore,
)
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.quality import (
    Motion,
    StreamReport,
    gripper_events,
    idle_share,
    stream_report,
)
from ptr_models.episodes.reader import actions_from_targets, sample
from ptr_models.episodes.sampling import ArmSample, RecordedStream, arm_sample, states_of
from ptr_models.episodes.streams import CLOCK_JUMPED, Streams, control_grid
from ptr_models.json_input import parse_object

AFTER_STAMP = 12  # bytes of a serialized message up to the end of its header's stamp


class CameraSettings(NamedTuple):
    """Requested rate of a camera (Hz, 0: not known), and whether it is simulated."""

    rate: float = 0.0
    simulated: bool = False


@dataclass
class BagAudit:
    """Measurements of a bag, by source stamp (ns).

    Attributes:
        duration: s from the first to the last arrival.
        rows: per (topic, type) source stamp, arrival and size of each message.
        frames: per image topic stamp and checksum of each frame.
        arm, executed: decoded samples.   reasons: bits of SafetyEvent for each executed command.
        objects: poses (2, 7) of simulated item and target, if the contract has objects.
        events: (stamp, kind).   stalls: the recorder's messages about stalled streams.
        mixed: its messages about streams that two robots published.
        settings: requested camera settings, by their topic.
        order_problem: one sentence if messages are out of order, see `mcap_scan.order_problem`.
    """

    metadata: EpisodeMetadata
    duration: float = 0.0
    rows: dict[tuple[str, str], list[tuple[int, int, int]]] = field(default_factory=dict)
    frames: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    arm: list[tuple[int, ArmSample]] = field(default_factory=list)
    executed: list[tuple[int, Executed]] = field(default_factory=list)
    reasons: list[tuple[int, int]] = field(default_factory=list)
    objects: list[tuple[int, NDArray[np.float64]]] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)
    stalls: list[str] = field(default_factory=list)
    settings: dict[str, CameraSettings] = field(default_factory=dict)
    mixed: list[str] = field(default_factory=list)
    order_problem: str = ""

    def stream_reports(self) -> tuple[StreamReport, ...]:
        """All streams except the metadata, by topic."""
        asked = {image_topic(camera): self.settings.get(settings_topic(camera)) for camera in self.cameras}
        return tuple(
            stream_report(
                topic,
                kind,
                np.array(rows),
                self.metadata.lost.get(topic, 0),
                self._repeated(topic),
                *(asked.get(topic) or CameraSettings()),
            )
            for (topic, kind), rows in sorted(self.rows.items())
            if topic != METADATA_TOPIC
        )

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras of its contract."""
        return [camera.name for camera in self.metadata.contract.cameras]

    def _repeated(self, topic: str) -> int:
        frames = self.frames.get(topic, [])
        return sum(one[1] == other[1] for one, other in zip(frames, frames[1:], strict=False))

    def motion(self) -> Motion:
        """The commands on the control grid.

        Raises:
            EpisodeError: training cannot use the episode.
        """
        if self.order_problem:
            raise EpisodeError(self.order_problem)
        contract = self.metadata.contract
        images: dict[str, RecordedStream[Any]] = {
            name: RecordedStream(self.frames.get(image_topic(name), [])) for name in self.cameras
        }
        streams = Streams(images, RecordedStream(self.arm), RecordedStream(self.executed), self.events)
        if contract.objects:
            streams.objects = RecordedStream(self.objects)
        stamps = control_grid(streams, contract)
        choices, commands = sample(streams, contract, stamps)
        targets = np.array([(*command.pose, command.gripper) for command in commands])
        actions = actions_from_targets(targets)
        states = states_of(contract, choices)
        if not (np.isfinite(states).all() and np.isfinite(actions).all()):
            raise EpisodeError("a state or a command is not finite")
        closes, opens = gripper_events(targets[:, 7])
        return Motion(
            steps=len(actions),
            duration=float(stamps[-1] - stamps[0]) * 1e-9,
            idle=idle_share(actions),
            closes=closes,
            opens=opens,
            clipped=self._clipped(int(stamps[0]), int(stamps[-1])),
            frozen=self._frozen(),
        )

    def _clipped(self, begin: int, end: int) -> dict[str, float]:
        """For each reason, the share of a source's executed commands that it changed."""
        inside = [bits for stamp, bits in self.reasons if begin <= stamp <= end]
        counts = Counter(name for bits in inside for name in reason_names(bits))
        return {name: count / len(inside) for name, count in counts.most_common()}

    def _frozen(self) -> dict[str, float]:
        """For each camera, the longest time (s) with the same frame while the arm moved."""
        arm = sorted(self.arm, key=lambda entry: entry[0])
        stamps = np.array([stamp for stamp, _ in arm], np.int64)
        positions = np.array([sample.position for _, sample in arm]).reshape(-1, 3)
        found = {}
        for camera in self.metadata.contract.cameras:
            frames = sorted(self.frames.get(image_topic(camera.name), []))
            times, contents = [stamp for stamp, _ in frames], [content for _, content in frames]
            still = frozen_stretches(times, contents, stamps, positions)
            found[camera.name] = max((duration for _, _, duration in still), default=0.0)
        return found


def audit_bag(path: Path | str, metadata: EpisodeMetadata) -> BagAudit:
    """Measure a bag in one pass.

    Raises:
        EpisodeError: it is truncated or damaged.
    """
    audit = BagAudit(metadata)
    with open_bag(path) as reader:
        audit.duration = reader.duration * 1e-9
        for topic, kind, stamp, arrival, raw in messages(reader):
            audit.rows.setdefault((topic, kind), []).append((stamp, arrival, len(raw)))
            if kind == IMAGE:
                audit.frames.setdefault(topic, []).append((stamp, zlib.crc32(memoryview(raw)[AFTER_STAMP:])))
            else:
                _add_message(audit, topic, kind, stamp, raw)
    images = [image_topic(camera.name) for camera in metadata.contract.cameras]
    topics = [*images, ARM_STATE_TOPIC, EXECUTED_TOPIC, EVENT_TOPIC, JOINT_STATE_TOPIC]
    audit.order_problem = order_problem(path, topics)
    return audit


def _add_message(audit: BagAudit, topic: str, kind: str, stamp: int, raw: bytes) -> None:
    """Decode a message if the control grid or the rules need it."""
    if topic == ARM_STATE_TOPIC:
        audit.arm.append((stamp, arm_sample(decode(raw, kind))))
    elif topic == EXECUTED_TOPIC:
        message = decode(raw, kind)
        audit.executed.append((stamp, executed_command(message)))
        if message.source:
            audit.reasons.append((stamp, message.reason))
    elif topic == OBJECTS_TOPIC and audit.metadata.contract.objects:
        audit.objects.append((stamp, object_poses_of(decode(raw, kind))))
    elif topic in map(settings_topic, audit.cameras):
        audit.settings[topic] = _settings(decode(raw, kind))
    elif topic == EVENT_TOPIC:
        message = decode(raw, kind)
        audit.events.append((stamp, message.type))
        if message.type in ("stream_stalled", "messages_lost", CLOCK_JUMPED):
            audit.stalls.append(message.message)
        elif message.type == "two_publishers":
            audit.mixed.append(message.message)


def _settings(message: Any) -> CameraSettings:
    """From a ptr_msgs/CameraSettings, or in older bags a std_msgs/String of JSON, which may omit values."""
    if not hasattr(message, "data"):
        rate, simulated = message.rate, message.simulated
    else:
        try:
            values = parse_object(message.data, "settings of a camera", EpisodeError)
        except EpisodeError:
            return CameraSettings()
        rate, simulated = values.get("rate"), values.get("simulated") is True
    told = float(rate) if isinstance(rate, int | float) and math.isfinite(rate) and rate > 0 else 0.0
    return CameraSettings(told, simulated)


def reason_names(bits: int) -> list[str]:
    """Names of the bits of SafetyEvent.reason."""
    constants, _ = typestore().fielddefs["ptr_msgs/msg/SafetyEvent"]
    return [name for name, _, value in constants if isinstance(value, int) and value & bits]
