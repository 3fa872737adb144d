# SPDX-License-Identifier: Apache-2.0
"""Read the fields that training needs from serialized messages, without creating message objects.

Each function follows the definition in `messages/` up to the last field that it needs and skips the rest. Big-endian
messages, which no current ROS 2 writes, are decoded by `bag.decode`.

CDR: four bytes of encapsulation, then the fields, each aligned to its size. A string is its length (including the final
zero) and its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.bag import decode
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import ARM_STATE, EXECUTED_COMMAND, IMAGE, OBJECT_STATES
from ptr_models.episodes.object_features import OBJECTS
from ptr_models.episodes.sampling import ArmSample, arm_sample

Data = memoryview | bytes
T = TypeVar("T")

_LENGTH = struct.Struct("<I")
_TIME = struct.Struct("<iI")
_POSE = struct.Struct("<7d")
_FLOAT = struct.Struct("<f")
_LITTLE_ENDIAN = b"\x00\x01"
_STAMP_BYTES = 8
_BETWEEN_POSE_AND_GRIPPER = 7 * 8 + 18 * 8
"""Bytes of ArmState's commanded pose and of its joint positions, velocities and efforts."""


class Executed(NamedTuple):
    """A command as sent to the driver.

    Attributes:
        pose: commanded target: position x y z (m) and quaternion x y z w.
        gripper: commanded opening, 0 = closed, 1 = open.
        source: of the command behind it; empty if there is none.
        decided: stamp of that command (ns).
    """

    pose: tuple[float, ...]
    gripper: float
    source: str
    decided: int


def image_data(cdr: Data) -> NDArray[np.uint8]:
    """The encoded image of a sensor_msgs/CompressedImage, not copied."""
    return _read(cdr, IMAGE, _image_data, lambda message: message.data)


def arm_state(cdr: Data) -> ArmSample:
    """The fields of a ptr_msgs/ArmState that an observation needs."""
    return _read(cdr, ARM_STATE, _arm_state, arm_sample)


def executed(cdr: Data) -> Executed:
    """The fields of a ptr_msgs/ExecutedCommand that actions need."""
    return _read(cdr, EXECUTED_COMMAND, _executed, executed_command)


def executed_command(message: Any) -> Executed:
    """The same from a message object."""
    target, at, decided = message.target.position, message.target.orientation, message.command_stamp
    pose = (target.x, target.y, target.z, at.x, at.y, at.z, at.w)
    return Executed(pose, message.gripper_position, message.source, decided.sec * 10**9 + decided.nanosec)


def object_poses(cdr: Data) -> NDArray[np.float64]:
    """Poses (2, 7) of item and target from a ptr_msgs/ObjectStates: position (m), quaternion x y z w."""
    return _read(cdr, OBJECT_STATES, _object_poses, object_poses_of)


def object_poses_of(message: Any) -> NDArray[np.float64]:
    """The same from a message object.

    Raises:
        EpisodeError: it has fewer poses.
    """
    pairs = [(pose.position, pose.orientation) for pose in message.poses[:OBJECTS]]
    _require_both(len(pairs))
    return np.array([(p.x, p.y, p.z, o.x, o.y, o.z, o.w) for p, o in pairs])


def _read(cdr: Data, kind: str, fast: Callable[[memoryview], T], whole: Callable[[Any], T]) -> T:
    if bytes(cdr[:2]) != _LITTLE_ENDIAN:
        return whole(decode(cdr, kind))
    try:
        return fast(memoryview(cdr)[4:])
    except (struct.error, ValueError) as error:
        raise EpisodeError(f"a message of type {kind} ({len(cdr)} bytes) is damaged") from error


def _image_data(body: memoryview) -> NDArray[np.uint8]:
    place = _aligned(_behind_string(body, _behind_string(body, _STAMP_BYTES)), 4)
    (length,) = _LENGTH.unpack_from(body, place)
    return np.frombuffer(body, np.uint8, length, place + 4)


def _arm_state(body: memoryview) -> ArmSample:
    mode = _behind_string(body, _STAMP_BYTES)
    pose = _aligned(_behind_string(body, mode + 1), 8)
    x, y, z, *quaternion = _POSE.unpack_from(body, pose)
    (gripper,) = _FLOAT.unpack_from(body, pose + _POSE.size + _BETWEEN_POSE_AND_GRIPPER)
    return ArmSample((x, y, z), tuple(quaternion), gripper)


def _executed(body: memoryview) -> Executed:
    source = _aligned(_behind_string(body, _STAMP_BYTES), 4)
    time = _aligned(_behind_string(body, source), 4)
    seconds, nanoseconds = _TIME.unpack_from(body, time)
    pose = _aligned(time + _TIME.size, 8)
    (gripper,) = _FLOAT.unpack_from(body, pose + _POSE.size)
    (length,) = _LENGTH.unpack_from(body, source)
    name = str(body[source + 4 : source + 4 + length], "utf-8").rstrip("\0")
    return Executed(_POSE.unpack_from(body, pose), gripper, name, seconds * 10**9 + nanoseconds)


def _object_poses(body: memoryview) -> NDArray[np.float64]:
    place = _STAMP_BYTES
    for _ in ("frame_id", "kitchen", "task"):
        place = _behind_string(body, place)
    names = _aligned(place, 4) + _LENGTH.size  # behind the seed
    place = names + _LENGTH.size
    for _ in range(_LENGTH.unpack_from(body, names)[0]):
        place = _behind_string(body, place)
    poses = _aligned(place, 4)
    _require_both(_LENGTH.unpack_from(body, poses)[0])
    first = _aligned(poses + _LENGTH.size, 8)
    return np.frombuffer(body, "<f8", OBJECTS * 7, first).reshape(OBJECTS, 7)


def _require_both(count: int) -> None:
    if count < OBJECTS:
        raise EpisodeError(f"a message of type {OBJECT_STATES} has {count} poses; it needs two, item and target")


def _behind_string(body: memoryview, place: int) -> int:
    """The position after a string that starts at or after a position."""
    place = _aligned(place, 4)
    return place + 4 + _LENGTH.unpack_from(body, place)[0]


def _aligned(place: int, size: int) -> int:
    return (place + size - 1) & -size
