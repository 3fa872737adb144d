# SPDX-License-Identifier: Apache-2.0
"""The observation at a time: the newest sample of each stream at or before that time, unless it is too old.

Recorded bags and the live buffers of the policy server use the same functions, so a network gets the same input on the
robot as in training.
"""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.common.rotations import DEFAULT_ROTATION, matrix_from_quaternion, rpy_from_matrix
from ptr_models.contract import Camera, Contract
from ptr_models.episodes.errors import EpisodeError, StaleSampleError
from ptr_models.episodes.jpeg import decode_at_least
from ptr_models.episodes.object_features import features_of
from ptr_models.episodes.resize import squash

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


def as_of(stamps: Sequence[int], time: int) -> int:
    """Index of the newest stamp at or before a time, -1 if there is none.

    Args:
        stamps: ns, ascending; among equal stamps the last one counts.
        time: ns.
    """
    return bisect.bisect_right(stamps, time) - 1


class Stream(Protocol[T_co]):
    """Stamped samples that can be queried for the newest one at or before a time."""

    def as_of(self, time: int) -> tuple[int, T_co] | None:
        """Stamp (ns) and sample, or None if there is none at or before `time` (ns)."""
        ...


class RecordedStream(Generic[T]):
    """A complete stream: the samples of a bag."""

    def __init__(self, samples: Sequence[tuple[int, Any]], decode: Callable[[Any], T] = lambda sample: sample) -> None:
        """Args:
        samples: (stamp in ns, sample), in any order; sorted here, stably.
        decode: turns a recorded sample into its final form, at each access.
        """
        ordered = sorted(samples, key=lambda pair: pair[0])
        self.stamps = [stamp for stamp, _ in ordered]
        self._recorded = [recorded for _, recorded in ordered]
        self._decode = decode

    def __len__(self) -> int:
        return len(self.stamps)

    def __getitem__(self, index: int) -> tuple[int, T]:
        """Stamp (ns) and sample at an index, in the order of stamps."""
        return self.stamps[index], self._decode(self._recorded[index])

    @property
    def samples(self) -> list[T]:
        """All samples, in the order of stamps."""
        return [self._decode(recorded) for recorded in self._recorded]

    def as_of(self, time: int) -> tuple[int, T] | None:
        """See `Stream.as_of`."""
        index = as_of(self.stamps, time)
        return None if index < 0 else self[index]


class LatestBuffer(Generic[T]):
    """A growing stream: the most recent samples. Thread-safe."""

    def __init__(self, size: int = 32) -> None:
        """Args: size: samples to keep."""
        self._samples: deque[tuple[int, T]] = deque(maxlen=size)
        self._lock = threading.Lock()

    def append(self, stamp: int, sample: T) -> None:
        """Add a sample (stamp in ns); a late one is inserted at its position.

        One that is older than a full buffer means that the clock was set back; the others are dropped.
        """
        with self._lock:
            if len(self._samples) == self._samples.maxlen and stamp < self._samples[0][0]:
                self._samples.clear()
            if self._samples and stamp < self._samples[-1][0]:
                ordered = sorted([*self._samples, (stamp, sample)], key=lambda pair: pair[0])
                self._samples = deque(ordered, maxlen=self._samples.maxlen)
            else:
                self._samples.append((stamp, sample))

    def as_of(self, time: int) -> tuple[int, T] | None:
        """See `Stream.as_of`."""
        with self._lock:
            samples = list(self._samples)
        index = as_of([stamp for stamp, _ in samples], time)
        return None if index < 0 else samples[index]

    def clear(self) -> None:
        """Forget everything, e.g. after a reset of the scene."""
        with self._lock:
            self._samples.clear()


@dataclass(frozen=True)
class ArmSample:
    """The fields of an ArmState that an observation needs.

    Attributes:
        position: (3,) m, measured end effector in base_link.
        quaternion: (4,) x, y, z, w, measured.
        gripper: measured opening, 0 = closed, 1 = open.
    """

    position: tuple[float, float, float]
    quaternion: tuple[float, float, float, float]
    gripper: float


@dataclass(frozen=True)
class Observation:
    """The observation of a policy at one time.

    Attributes:
        images: (C, H, W, 3) uint8 RGB, in the contract's order of cameras; (0, 0, 0, 3) without cameras.
        state: (S,) float32: x y z (m), roll pitch yaw (rad, relative to "gripper down"), gripper, and then the
            contract's objects.
        image_stamps: ns, one per camera.
        state_stamp: ns.
    """

    images: NDArray[np.uint8]
    state: NDArray[np.float32]
    image_stamps: tuple[int, ...]
    state_stamp: int


def arm_sample(message: Any) -> ArmSample:
    """The ArmSample of an ArmState from rclpy or rosbags (both have the same attributes)."""
    pose = message.measured_pose
    position, orientation = pose.position, pose.orientation
    return ArmSample(
        (position.x, position.y, position.z),
        (orientation.x, orientation.y, orientation.z, orientation.w),
        float(message.gripper_position),
    )


def state_vectors(samples: Sequence[ArmSample]) -> NDArray[np.float32]:
    """The contract's proprioception (N, 7) of measured poses."""
    rotations = matrix_from_quaternion(np.array([sample.quaternion for sample in samples])) @ DEFAULT_ROTATION.T
    positions = np.array([sample.position for sample in samples])
    grippers = np.array([[sample.gripper] for sample in samples])
    return np.concatenate([positions, rpy_from_matrix(rotations), grippers], axis=1).astype(np.float32)


def decode_image(data: bytes | NDArray[np.uint8], camera: Camera) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG and resize it to the contract's size: (H, W, 3) uint8 RGB.

    A JPEG that is at least twice as large in both directions is decoded at half its size.

    Raises:
        EpisodeError: the bytes are not an image.
    """
    image = decode_at_least(data, camera.height, camera.width)
    if image is None:
        raise EpisodeError(f"an image of camera {camera.name} ({len(data)} bytes) cannot be decoded")
    return np.asarray(cv2.cvtColor(resize_image(image, camera), cv2.COLOR_BGR2RGB), np.uint8)


def resize_image(image: NDArray[np.uint8], camera: Camera) -> NDArray[np.uint8]:
    """Resize an image (H, W, 3) uint8 to the contract's size by area averaging."""
    return squash(image, camera.height, camera.width)


def newest(stream: Stream[T], name: str, time: int, max_age: float) -> tuple[int, T]:
    """Stamp (ns) and sample of the newest sample at or before `time` (ns).

    Raises:
        StaleSampleError: there is none, or it is older than `max_age` (s).
    """
    found = stream.as_of(time)
    if found is None:
        raise StaleSampleError(name, None, max_age)
    age = time - found[0]
    if age > round(max_age * 1e9):
        raise StaleSampleError(name, age * 1e-9, max_age)
    return found


@dataclass(frozen=True)
class Choice:
    """The samples for an observation, not yet decoded.

    Attributes:
        images: per camera, in the contract's order, stamp (ns) and encoded image.
        arm: stamp (ns) and measured state.
        objects: poses (2, 7) of simulated item and target; None if the contract has no objects.
    """

    images: tuple[tuple[int, bytes | NDArray[np.uint8]], ...]
    arm: tuple[int, ArmSample]
    objects: NDArray[np.float64] | None = None


def states_of(contract: Contract, choices: Sequence[Choice]) -> NDArray[np.float32]:
    """State vectors (N, S) of chosen samples: proprioception, then the contract's objects."""
    states = state_vectors([choice.arm[1] for choice in choices])
    if not contract.objects:
        return states
    objects = [choice.objects for choice in choices if choice.objects is not None]
    features = features_of(contract, np.stack(objects))
    return np.concatenate([states, features.astype(np.float32)], axis=1)


def shifts(contract: Contract, delay: float | None = None) -> tuple[tuple[int, ...], int]:
    """Offsets (ns) before the time of an observation at which its images (one per camera) and arm state are sampled.

    An image shows the world at its stamp minus the camera's latency. All parts of an observation show the world at one
    moment, `delay` before its time. By default the slowest camera can just provide that, so no future data is needed.

    Args:
        delay: s; None: the latency of the slowest camera. A larger one makes a fast robot's observations as old as a
            slow one's. With a smaller one (for a bag of a slower robot than the acting one), images are stamped later
            than the observation.
    """
    wanted = contract.observation_delay if delay is None else delay
    return tuple(round((wanted - camera.latency) * 1e9) for camera in contract.cameras), round(wanted * 1e9)


def choose(
    contract: Contract,
    images: Mapping[str, Stream[bytes | NDArray[np.uint8]]],
    arm: Stream[ArmSample],
    time: int,
    delay: float | None = None,
    objects: Stream[NDArray[np.float64]] | None = None,
) -> Choice:
    """The samples of the observation at a time, from live buffers or from a bag.

    Args:
        contract: defines the cameras, their sizes and latencies, and the allowed ages.
        images: per camera name a stream of encoded images (JPEG as in CompressedImage.data).
        arm: stream of measured arm states.
        time: ns.
        delay: see `shifts`.
        objects: stream of poses (2, 7) of simulated item and target, if the contract has objects.
    Raises:
        StaleSampleError: a stream has no recent enough sample.
        EpisodeError: a camera of the contract is not among `images`.
    """
    chosen = []
    of_cameras, of_arm = shifts(contract, delay)
    for camera, shift in zip(contract.cameras, of_cameras, strict=True):
        if camera.name not in images:
            raise EpisodeError(f"camera {camera.name} is missing; there are: {', '.join(sorted(images)) or 'none'}")
        chosen.append(newest(images[camera.name], f"camera {camera.name}", time - shift, camera.max_age))
    state = newest(arm, "arm state", time - of_arm, contract.state_max_age)
    if not contract.objects:
        return Choice(tuple(chosen), state)
    if objects is None:
        raise EpisodeError("the contract has objects, but there is no stream of them; only a simulator provides one")
    return Choice(tuple(chosen), state, newest(objects, "objects", time - of_arm, contract.state_max_age)[1])


def observation_of(contract: Contract, choice: Choice) -> Observation:
    """The observation made of chosen samples.

    Raises:
        EpisodeError: an image is damaged.
    """
    frames = [decode_image(data, camera) for (_, data), camera in zip(choice.images, contract.cameras, strict=True)]
    stamps = tuple(stamp for stamp, _ in choice.images)
    images = np.stack(frames) if frames else np.empty((0, 0, 0, 3), np.uint8)
    return Observation(images, states_of(contract, [choice])[0], stamps, choice.arm[0])
