# SPDX-License-Identifier: Apache-2.0
"""The streams of a bag that an episode needs, and the control grid on which they are sampled."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.episodes.bag import decode
from ptr_models.episodes.cdr_fields import Executed, arm_state, executed, image_data, object_poses
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_scan import Raw, scan
from ptr_models.episodes.messages import (
    ARM_STATE_TOPIC,
    EVENT_TOPIC,
    EXECUTED_TOPIC,
    METADATA_TOPIC,
    OBJECTS_TOPIC,
    image_topic,
)
from ptr_models.episodes.sampling import ArmSample, RecordedStream, as_of, shifts
from ptr_models.input_limits import MAX_CONTROL_STEPS

CLOCK_JUMPED = "clock_jumped"
"""Type of the EpisodeEvent that the recorder writes when the system's clock jumps."""

ON_TIME = 0.75
"""Minimum share of commands close to their grid points for a source that commands once per control period. Of one that
commands more often it is 0; of one on a busy computer some are late."""
EARLIEST = 0.95
"""Quantile of the commands' lead over the first one by which the grid begins earlier."""


@dataclass
class Streams:
    """The samples of a bag that an episode needs, by source stamp (ns); decoded at each access.

    Attributes:
        images: per camera, encoded.
        arm: measured arm states.
        executed: commanded targets.
        events: (stamp, type) of EpisodeEvents.
        metadata: newest JSON on /episode/metadata, empty if none.
        objects: poses (2, 7) of simulated item and target; None if the contract has no objects.
    """

    images: dict[str, RecordedStream[NDArray[np.uint8]]]
    arm: RecordedStream[ArmSample]
    executed: RecordedStream[Executed]
    events: list[tuple[int, str]] = field(default_factory=list)
    metadata: str = ""
    objects: RecordedStream[NDArray[np.float64]] | None = None


def read_streams(path: Path | str, contract: Contract) -> Streams:
    """Load the streams that a contract's observations and actions need from a bag."""
    cameras = {camera.name: image_topic(camera.name) for camera in contract.cameras}
    others = [ARM_STATE_TOPIC, EXECUTED_TOPIC, EVENT_TOPIC, METADATA_TOPIC]
    others += [OBJECTS_TOPIC] if contract.objects else []
    found = scan(path, [*cameras.values(), *others])

    def stream(topic: str, take: Callable[[Any], Any]) -> RecordedStream[Any]:
        raws = found[topic][1] if topic in found else []
        return RecordedStream([(raw.stamp, raw.data) for raw in raws], take)

    def every(topic: str) -> list[tuple[int, Any]]:
        kind, raws = found.get(topic, ("", list[Raw]()))
        return [(raw.stamp, decode(raw.data, kind)) for raw in raws]

    return Streams(
        images={name: stream(topic, image_data) for name, topic in cameras.items()},
        arm=stream(ARM_STATE_TOPIC, arm_state),
        executed=stream(EXECUTED_TOPIC, executed),
        events=[(stamp, message.type) for stamp, message in every(EVENT_TOPIC)],
        metadata=next((message.data for _, message in reversed(every(METADATA_TOPIC))), ""),
        objects=stream(OBJECTS_TOPIC, object_poses) if contract.objects else None,
    )


def control_grid(streams: Streams, contract: Contract, delay: float | None = None) -> NDArray[np.int64]:
    """Stamps (T+1,) in ns of the control instants of a bag.

    Args:
        delay: of the observations, see `sampling.shifts`.
    Raises:
        EpisodeError: a stream is empty, or the bag is shorter than one control period.
    """
    of_cameras, of_arm = shifts(contract, delay)
    every = {f"camera {name}": stream.stamps for name, stream in streams.images.items()}
    every |= {"arm state": streams.arm.stamps, EXECUTED_TOPIC: streams.executed.stamps}
    if streams.objects is not None:
        every[OBJECTS_TOPIC] = streams.objects.stamps
    for name, stamps in every.items():
        if not stamps:
            raise EpisodeError(f"stream {name} is empty")
    if any(kind == CLOCK_JUMPED for _, kind in streams.events):
        raise EpisodeError("the clock jumped during the recording, so its stamps are wrong; leave it out")
    late = {f"camera {camera.name}": shift for camera, shift in zip(contract.cameras, of_cameras, strict=True)}
    late |= {"arm state": of_arm, OBJECTS_TOPIC: of_arm}
    starts = [stamp for stamp, kind in streams.events if kind == "start"]
    stops = [stamp for stamp, kind in streams.events if kind == "stop"]
    begin = max([stamps[0] + late.get(name, 0) for name, stamps in every.items()] + starts[:1])
    end = stops[-1] if stops else min(stamps[-1] + late.get(name, 0) for name, stamps in every.items())
    period = round(1e9 / contract.control_rate)
    earliest, first = begin, _first_decision(streams.executed, begin, end)
    if first is not None:
        begin = first
        end = min(end, _last_execution(streams.executed, end) + period // 2)
    steps = (end - begin) // period
    if steps < 1:
        raise EpisodeError(f"it lasts {max(0, end - begin) * 1e-9:.2f} s, less than one control step")
    _require_samples(steps, (end - begin) * 1e-9, len(streams.executed), contract)
    if first is not None:
        begin = max(earliest, begin - _lateness(streams.executed, begin, end, period))
        steps = (end - begin) // period
    return begin + period * np.arange(steps + 1, dtype=np.int64)


def _require_samples(steps: int, seconds: float, samples: int, contract: Contract) -> None:
    """Refuse a grid that is longer than the samples can cover; each is valid for `state_max_age`."""
    max_sample_steps = samples * (1 + int(contract.state_max_age * contract.control_rate))
    if steps > min(max_sample_steps, MAX_CONTROL_STEPS):
        raise EpisodeError(
            f"it spans {seconds:.1f} s, {steps} control steps, but {EXECUTED_TOPIC} has {samples} messages, enough for "
            f"{min(max_sample_steps, MAX_CONTROL_STEPS)} at most; a clock has jumped, leave it out"
        )


def _first_decision(executed: RecordedStream[Executed], begin: int, end: int) -> int | None:
    """Stamp of the first command in [begin, end); None: there is none."""
    for index in range(bisect.bisect_left(executed.stamps, begin), len(executed)):
        stamp, sample = executed[index]
        decided = min(sample.decided, stamp)
        if sample.source and begin <= decided < end:
            return decided
    return None


def _lateness(executed: RecordedStream[Executed], first: int, end: int, period: int) -> int:
    """ns by which the first command was late, relative to the others, which came once per control period.

    On a grid that starts with a late command, the next command is already in force at the end of each step, so its
    gripper would count for the previous step. 0 if commands came more often, or irregularly.
    """
    late = []
    for middle in range(first + period // 2, end, period):
        found = executed.as_of(middle)
        if found is not None and found[1].source:
            decided = min(found[1].decided, found[0])
            late.append((first - decided + period // 2) % period - period // 2)
    near = [value for value in late if abs(value) < period // 4]
    if not near or len(near) < ON_TIME * len(late):
        return 0
    return max(0, round(float(np.quantile(near, EARLIEST))))


def _last_execution(executed: RecordedStream[Executed], end: int) -> int:
    """Stamp of the last execution of a command up to `end`; `end` if there is none."""
    for index in range(as_of(executed.stamps, end), -1, -1):
        stamp, sample = executed[index]
        if sample.source:
            return stamp
    return end
