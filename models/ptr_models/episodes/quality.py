# SPDX-License-Identifier: Apache-2.0
"""Rules that decide whether a recorded episode is worth keeping. They use measurements only and read no file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.image_checks import FROZEN_TIME
from ptr_models.common.processor_use import BUSY

KEEP, DISCARD = "keep", "discard"

STILL_POSITION, STILL_ROTATION, STILL_GRIPPER = 0.002, 0.02, 0.05
"""m, rad and opening per control step; a step that commands less in all three is idle."""
MIN_DURATION = 1.0
"""s; a shorter episode was recorded by accident."""
MIN_MOVING = 5
"""Minimum number of steps that command motion; an episode with fewer shows nothing. Long pauses between are fine."""
OFTEN_IDLE = 0.5
"""Share of idle steps that is reported as a finding; training can leave pauses out (`data.max_idle_steps`)."""
MANY_LOST = 0.05
"""Share of a stream's messages; if more are lost, the bag can't be trusted."""
OFTEN_CLIPPED = 0.25
"""Share of the driven time in which the gate changed commands; above it is a finding."""
LONG_GAP = 5.0
"""Ratio of a periodic stream's longest interval to its median; above it is a finding."""
MIN_GAP = 0.1
"""s; shorter gaps do no harm."""
SENSORS = ("/camera/", "/joint_states", "/arm/state", "/arm/executed")
"""Prefixes of topics that are published continuously; only their gaps matter."""
SLOW = 0.8
"""Share of the requested rate of a stream; below it is a finding."""
OF_COMPUTER = ("/arm/executed",)
"""Streams from a timer of this computer, without any device: they pause only if the computer is busy."""
COMPUTER_BUSY = "the computer was busy"
"""How the cause of a slow or paused stream begins if the computer explains it."""


@dataclass(frozen=True)
class StreamReport:
    """One topic of a bag.

    Attributes:
        topic, type_name: as recorded.
        count: messages.
        rate: Hz, mean between the first and the last; 0 for fewer than two.
        longest_gap: s between two source stamps.
        jitter: s, 95th percentile of the deviation from the median interval.
        delay: s, median of arrival minus source stamp.
        size: bytes of all messages.
        lost: messages that were published and never arrived.
        repeated: frames that are identical to the previous one; 0 for other streams.
        asked: requested Hz, 0: not known.
        simulated: produced by the computer, not by a device.
    """

    topic: str
    type_name: str
    count: int
    rate: float
    longest_gap: float
    jitter: float
    delay: float
    size: int
    lost: int = 0
    repeated: int = 0
    asked: float = 0.0
    simulated: bool = False


@dataclass(frozen=True)
class Motion:
    """The commands on the control grid.

    Attributes:
        steps: control steps.   duration: s from the first to the last instant.
        idle: share of the steps that command no motion.
        closes, opens: how often the gripper was commanded to close and to open.
        clipped: for each reason of the gate, the share of the driven time in which it changed a command.
        frozen: for each camera, the longest time (s) with the same frame while the arm moved.
    """

    steps: int
    duration: float
    idle: float
    closes: int
    opens: int
    clipped: Mapping[str, float]
    frozen: Mapping[str, float]


@dataclass(frozen=True)
class Judgment:
    """Keep or discard, and why: one sentence per finding, serious ones first."""

    recommendation: str
    findings: tuple[str, ...]


def stream_report(
    topic: str,
    type_name: str,
    rows: NDArray[np.int64],
    lost: int = 0,
    repeated: int = 0,
    asked: float = 0.0,
    simulated: bool = False,
) -> StreamReport:
    """Measure a stream.

    Args:
        rows: (N, 3): source stamp and arrival in ns, and size in bytes.
        lost, repeated, asked, simulated: see `StreamReport`.
    """
    source = np.sort(rows[:, 0])
    intervals = np.diff(source) * 1e-9
    span = (source[-1] - source[0]) * 1e-9
    return StreamReport(
        topic=topic,
        type_name=type_name,
        count=len(rows),
        rate=(len(rows) - 1) / span if span > 0 else 0.0,
        longest_gap=float(intervals.max()) if len(intervals) else 0.0,
        jitter=float(np.percentile(np.abs(intervals - np.median(intervals)), 95)) if len(intervals) else 0.0,
        delay=float(np.median(rows[:, 1] - rows[:, 0]) * 1e-9),
        size=int(rows[:, 2].sum()),
        lost=lost,
        repeated=repeated,
        asked=asked,
        simulated=simulated,
    )


def idle_steps(actions: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether each step (T,) neither moves the target nor changes the gripper.

    Args:
        actions: (T, 7) m, rad and gripper opening per step.
    """
    gripper = np.diff(actions[:, 6], prepend=actions[:1, 6])
    moved = np.linalg.norm(actions[:, :3], axis=1) >= STILL_POSITION
    turned = np.linalg.norm(actions[:, 3:6], axis=1) >= STILL_ROTATION
    return ~(moved | turned | (np.abs(gripper) >= STILL_GRIPPER))


def idle_share(actions: NDArray[np.floating]) -> float:
    """Share of idle steps, see `idle_steps`."""
    return float(np.mean(idle_steps(actions)))


def gripper_events(gripper: NDArray[np.floating]) -> tuple[int, int]:
    """How often a commanded opening (N,) went below one half, and how often above it."""
    change = np.diff((np.asarray(gripper) >= 0.5).astype(int))
    return int((change < 0).sum()), int((change > 0).sum())


def judge(
    problem: str,
    motion: Motion | None,
    streams: Sequence[StreamReport],
    stalls: Sequence[str],
    mixed: Sequence[str] = (),
    processor_use: float | None = None,
) -> Judgment:
    """Recommend to keep or to discard an episode.

    Args:
        problem: why training cannot use it; empty if it can.
        motion: None if there is a problem.
        stalls: the recorder's messages about stalled streams.
        mixed: its messages about streams that two robots published.
        processor_use: share of the processors in use during the recording; None: not known.
    """
    grave = [f"training cannot use it: {problem}"] if problem else []
    grave += [f"two robots are mixed in it: {text}" for text in mixed]
    remarks = [*stalls]
    if motion is not None:
        grave += _grave(motion)
        remarks += _remarks(motion)
    busy = _busy(streams, processor_use)
    for stream in streams:
        share = stream.lost / max(1, stream.count + stream.lost)
        if stream.lost:
            text = f"{stream.lost} messages of {stream.topic} were lost ({share:.1%})"
            (grave if share > MANY_LOST else remarks).append(text)
        remarks += _late(stream, busy)
    return Judgment(DISCARD if grave else KEEP, (*grave, *remarks))


def _grave(motion: Motion) -> list[str]:
    found = []
    if motion.duration < MIN_DURATION:
        found.append(f"it lasts only {motion.duration:.1f} s")
    moving = round(motion.steps * (1.0 - motion.idle))
    if moving < MIN_MOVING:
        found.append(f"the arm was commanded to move in only {moving} of {motion.steps} steps")
    for camera, seconds in motion.frozen.items():
        if seconds >= FROZEN_TIME:
            found.append(f"camera {camera} showed the same frame for {seconds:.1f} s while the arm moved")
    return found


def _remarks(motion: Motion) -> list[str]:
    found = []
    if motion.idle > OFTEN_IDLE:
        found.append(
            f"the arm was idle in {motion.idle:.0%} of the steps; training can leave out pauses (data.max_idle_steps)"
        )
    for reason, share in motion.clipped.items():
        if share > OFTEN_CLIPPED:
            found.append(f"the gate changed commands in {share:.0%} of the driven time ({reason})")
    if motion.closes + motion.opens == 0:
        found.append("the gripper was never commanded to open or close")
    return found


def _late(stream: StreamReport, busy: str) -> list[str]:
    """Findings about a stream that was slower than requested, or paused, with the likely cause."""
    why = _cause(stream, busy)
    found = []
    if stream.count > 1 and stream.rate < SLOW * stream.asked:
        found.append(f"{stream.topic} came at {stream.rate:.1f} Hz, {stream.asked:g} Hz were requested{why}")
    if _gapped(stream):
        found.append(f"{stream.topic} paused for {stream.longest_gap:.2f} s, {stream.rate:.0f} Hz on average{why}")
    return found


def _cause(stream: StreamReport, busy: str) -> str:
    if busy:
        return f": {busy}"
    if stream.simulated:
        return ": this computer is too slow for it; request fewer or smaller images"
    if stream.topic.startswith("/camera/"):
        return "; check the camera's cable and USB port, and whether there is enough light for a short exposure"
    return ""


def _busy(streams: Sequence[StreamReport], processor_use: float | None) -> str:
    """Evidence that the computer was too busy; empty if it was not."""
    if processor_use is not None and processor_use >= BUSY:
        return f"{COMPUTER_BUSY}, {processor_use:.0%} of its processors were in use"
    if any(stream.topic in OF_COMPUTER and _gapped(stream) for stream in streams):
        return f"{COMPUTER_BUSY}, its own timers paused as well"
    return ""


def _gapped(stream: StreamReport) -> bool:
    if not stream.topic.startswith(SENSORS) or stream.rate <= 0.0:
        return False
    return stream.longest_gap > max(MIN_GAP, LONG_GAP / stream.rate)
