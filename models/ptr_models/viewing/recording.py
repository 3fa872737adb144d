# SPDX-License-Identifier: Apache-2.0
"""What can be shown of a bag: its images, actions, gripper, events and values, whether training can use it or not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.actions import scale_chunks
from ptr_models.episodes.bag import decode, find_bag, open_bag, refusing
from ptr_models.episodes.cdr_fields import arm_state, executed, image_data
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_scan import Raw, scan
from ptr_models.episodes.messages import (
    ARM_STATE_TOPIC,
    EVENT_TOPIC,
    EXECUTED_TOPIC,
    IMAGE,
    POLICY_STEP_TOPIC,
    SAFETY_TOPIC,
)
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import actions_from_targets, read_episode, read_metadata
from ptr_models.episodes.sampling import RecordedStream, as_of
from ptr_models.episodes.streams import CLOCK_JUMPED
from ptr_models.replay.goals import with_goals

if TYPE_CHECKING:
    from ptr_models.inference.policy import Policy

Stamps = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Recording:
    """The streams of a bag between its start and its stop.

    Attributes:
        begin, end: ns.
        images: per camera, encoded as they were recorded.
        action_stamps: (T,) ns, one per control period.
        actions: (T, 7) m, rad and gripper opening per control period, of the commanded target.
        gripper_stamps, gripper: (N,) ns and measured opening.
        events: (stamp in ns, one sentence), in their order: of the recorder and of the gate to the arm.
        value_stamps: (V,) ns; empty if Q is not known.
        values: (V,) each, by what they describe.
    """

    path: Path
    metadata: EpisodeMetadata
    begin: int
    end: int
    images: Mapping[str, RecordedStream[NDArray[np.uint8]]]
    action_stamps: Stamps
    actions: NDArray[np.float32]
    gripper_stamps: Stamps
    gripper: Floats
    events: tuple[tuple[int, str], ...]
    value_stamps: Stamps
    values: Mapping[str, Floats]

    @property
    def duration(self) -> float:
        """Seconds from the start to the stop."""
        return (self.end - self.begin) * 1e-9

    def seconds(self, stamps: Any) -> Any:
        """Seconds from the start to a stamp, or to several."""
        return (stamps - self.begin) * 1e-9


def read_recording(path: Path | str) -> Recording:
    """Read a bag; Q is what the policy server recorded, if it was driving.

    Raises:
        EpisodeError: it cannot be read, or shows nothing.
    """
    folder = find_bag(path).parent
    metadata = read_metadata(folder)
    with refusing(path):
        return _read(folder, metadata)


def _read(folder: Path, metadata: EpisodeMetadata) -> Recording:
    with open_bag(folder) as bag:
        cameras = {_camera(item.topic): item.topic for item in bag.connections if item.msgtype == IMAGE}
    others = (ARM_STATE_TOPIC, EXECUTED_TOPIC, EVENT_TOPIC, SAFETY_TOPIC, POLICY_STEP_TOPIC)
    found = scan(folder, [*cameras.values(), *others])

    def raws(topic: str) -> list[Raw]:
        return found.get(topic, ("", []))[1]

    def messages(topic: str) -> list[tuple[int, Any]]:
        return [(raw.stamp, decode(raw.data, found[topic][0])) for raw in raws(topic)]

    def stream(topic: str, take: Any) -> RecordedStream[Any]:
        return RecordedStream([(raw.stamp, raw.data) for raw in raws(topic)], take)

    images = {name: stream(topic, image_data) for name, topic in sorted(cameras.items())}
    commands, arm, events = stream(EXECUTED_TOPIC, executed), stream(ARM_STATE_TOPIC, arm_state), messages(EVENT_TOPIC)
    begin, end = _span(events, [one.stamps for one in (*images.values(), commands, arm)], folder)
    instants, actions = _actions(commands, begin, end, metadata.contract.control_rate)
    steps = [(stamp, step) for stamp, step in messages(POLICY_STEP_TOPIC) if np.isfinite(step.q) and not step.held]
    return Recording(
        path=folder,
        metadata=metadata,
        begin=begin,
        end=end,
        images=images,
        action_stamps=instants,
        actions=actions,
        gripper_stamps=np.array(arm.stamps, dtype=np.int64),
        gripper=np.array([sample.gripper for sample in arm.samples]),
        events=tuple(sorted(_sentences(events, messages(SAFETY_TOPIC)))),
        value_stamps=np.array([stamp for stamp, _ in steps], dtype=np.int64),
        values={"Q of its action": np.array([step.q for _, step in steps])} if steps else {},
    )


def with_values(recording: Recording, policy: Policy, task: str = "") -> Recording:
    """The same with the values that a policy's Q-function gives to the recorded actions, and to the policy's own.

    Args:
        task: on which the policy is conditioned; empty: that of the bag.
    Raises:
        ContractError, EpisodeError: the policy cannot see this bag.
        TaskError: the policy does not know the task.
        PtrError: the policy has no Q-function.
    """
    contract, task = policy.contract, task or recording.metadata.task
    episode = read_episode(recording.path, contract)
    cameras = [episode.images[camera.name] for camera in contract.cameras]
    frames = np.concatenate(cameras, axis=-1) if cameras else np.empty((len(episode) + 1, 0, 0, 0), np.uint8)
    if policy.by_goal_image:
        frames = with_goals(frames, frames[-1])
    seen = frames[:-1], episode.states[:-1]
    taken = policy.values(*seen, scale_chunks(episode.actions, contract, policy.chunk), task).min(axis=0)
    own = policy.values(*seen, policy.modes(*seen, task), task).min(axis=0)
    values = {"Q of the action taken": taken.astype(np.float64), "Q of the policy's action": own.astype(np.float64)}
    return dataclasses.replace(recording, value_stamps=episode.stamps[:-1], values=values)


def _camera(topic: str) -> str:
    """Name of the camera of a topic of images."""
    parts = [part for part in topic.split("/") if part not in ("", "camera", "image", "compressed")]
    return "/".join(parts) or topic


LONGEST = 3600
"""s of a recording that can be shown."""


def _span(events: list[tuple[int, Any]], stamps: list[list[int]], folder: Path) -> tuple[int, int]:
    """Start and stop (ns), or the first and last sample if the recorder did not note them."""
    seen = [one for one in stamps if one]
    if not seen:
        raise EpisodeError(f"{folder} holds neither images nor arm states; there is nothing to see")
    starts = [stamp for stamp, event in events if event.type == "start"]
    stops = [stamp for stamp, event in events if event.type == "stop"]
    begin = starts[0] if starts else min(one[0] for one in seen)
    end = stops[-1] if stops else max(one[-1] for one in seen)
    if end <= begin or any(event.type == CLOCK_JUMPED for _, event in events):
        raise EpisodeError(f"the clock jumped while {folder} was recorded; leave it out")
    if end - begin > LONGEST * 10**9:
        raise EpisodeError(f"{folder} lasts {(end - begin) * 1e-9:.0f} s; at most {LONGEST} s can be shown")
    return begin, end


def _actions(commands: RecordedStream[Any], begin: int, end: int, rate: float) -> tuple[Stamps, NDArray[np.float32]]:
    """One action per control period, from the first command on."""
    inside = [stamp for stamp in commands.stamps if begin <= stamp <= end]
    if len(inside) < 2:
        return np.empty(0, np.int64), np.empty((0, 7), np.float32)
    grid = np.arange(inside[0], inside[-1] + 1, round(1e9 / rate), dtype=np.int64)
    if len(grid) < 2:
        return np.empty(0, np.int64), np.empty((0, 7), np.float32)
    targets = [commands[as_of(commands.stamps, int(stamp))][1] for stamp in grid]
    return grid[:-1], actions_from_targets(np.array([(*one.pose, one.gripper) for one in targets]))


def _sentences(events: list[tuple[int, Any]], safety: list[tuple[int, Any]]) -> list[tuple[int, str]]:
    """Events of the recorder except start and stop, and what the gate changed or refused."""
    told = [
        (stamp, f"{event.type.replace('_', ' ')}{': ' if event.message else ''}{event.message}")
        for stamp, event in events
        if event.type not in ("start", "stop")
    ]
    return told + [(stamp, f"gate: {event.message}") for stamp, event in safety if event.reason and event.message]
