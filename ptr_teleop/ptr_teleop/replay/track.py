# SPDX-License-Identifier: Apache-2.0
"""The commanded motion of a recorded episode, and the twist that follows it during playback.

A twist is the motion of the next period (feed-forward) plus a share of the arm's deviation from the track (feedback),
so that neither delays nor clipped commands add up to a drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from ptr_models.episodes.cdr_fields import arm_state, executed
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_scan import Raw, scan
from ptr_models.episodes.messages import ARM_STATE_TOPIC, EXECUTED_TOPIC

GAIN = 3.0  # 1/s, feedback gain on the deviation
TAIL = 0.2  # s after the last command that belong to the motion: it is valid for so long

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Position (3,) in m and rotation in base_link."""

    position: Array
    rotation: Rotation

    def distance(self, other: Pose) -> tuple[float, float]:
        """Distance to another pose, in m and rad."""
        turn = (self.rotation * other.rotation.inv()).magnitude()
        return float(np.linalg.norm(self.position - other.position)), float(turn)


class Track:
    """Commanded poses and gripper openings over time.

    Args:
        times: (N,) s, ascending from 0, at least two.
        positions: (N, 3) m.   quaternions: (N, 4) x y z w.   gripper: (N,) opening.
        final: the measured pose at the end of the recording.
    """

    def __init__(self, times: Array, positions: Array, quaternions: Array, gripper: Array, final: Pose) -> None:
        self._times, self._positions, self._gripper = times, positions, gripper
        self._slerp = Slerp(times, Rotation.from_quat(quaternions))
        self.final = final

    @property
    def duration(self) -> float:
        """s from the first to the last pose."""
        return float(self._times[-1])

    def pose(self, time: float) -> Pose:
        """The commanded pose at a time (s); outside of the recording, the first or last one."""
        time = min(max(time, 0.0), self.duration)
        position = [np.interp(time, self._times, column) for column in self._positions.T]
        return Pose(np.array(position), self._slerp(time))

    def gripper(self, time: float) -> float:
        """The commanded opening at a time (s): the newest one, not interpolated."""
        return float(self._gripper[max(0, int(np.searchsorted(self._times, time, side="right")) - 1)])

    def twist(self, time: float, period: float, target: Pose, target_time: float) -> Array:
        """The twist (6,) for the next `period` (s), m/s and rad/s in the axes of base_link.

        Args:
            target: the arm's commanded pose at `target_time` (s).
        """
        here, there, then = self.pose(time), self.pose(time + period), self.pose(target_time)
        forward = np.concatenate([there.position - here.position, (there.rotation * here.rotation.inv()).as_rotvec()])
        back = np.concatenate([then.position - target.position, (then.rotation * target.rotation.inv()).as_rotvec()])
        return forward / period + GAIN * back


def read_track(path: Path | str) -> Track:
    """The motion of an episode, from its first to its last command.

    Raises:
        EpisodeError: the bag can't be read, holds no commands, or has a number that is not finite.
    """
    found = scan(path, [EXECUTED_TOPIC, ARM_STATE_TOPIC])
    commands = sorted((raw.stamp, executed(raw.data)) for raw in _raws(found, EXECUTED_TOPIC))
    driven = [stamp for stamp, command in commands if command.source]
    if len(driven) < 2:
        raise EpisodeError(f"{path} holds no commands to play: nobody drove the arm in it")
    end = driven[-1] + round(TAIL * 1e9)
    kept = {stamp: command for stamp, command in commands if driven[0] <= stamp <= end}
    times = np.array([(stamp - driven[0]) * 1e-9 for stamp in kept])
    poses = np.array([(*command.pose, command.gripper) for command in kept.values()])
    final = _measured(path, found, end)
    if not (np.isfinite(poses).all() and np.isfinite(final.position).all()):
        raise EpisodeError(f"{path} holds commands that are not finite; it cannot be played")
    return Track(times, poses[:, :3], poses[:, 3:7], poses[:, 7], final)


def _raws(found: dict[str, tuple[str, list[Raw]]], topic: str) -> list[Raw]:
    return found[topic][1] if topic in found else []


def _measured(path: Path | str, found: dict[str, tuple[str, list[Raw]]], end: int) -> Pose:
    """The newest measured pose at the end."""
    before = [raw for raw in _raws(found, ARM_STATE_TOPIC) if raw.stamp <= end]
    if not before:
        raise EpisodeError(f"{path} holds no arm state; it cannot be played")
    sample = arm_state(max(before, key=lambda raw: raw.stamp).data)
    return Pose(np.array(sample.position), Rotation.from_quat(sample.quaternion))
