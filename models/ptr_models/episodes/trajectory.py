# SPDX-License-Identifier: Apache-2.0
"""Write episodes from arrays (bulk simulation, imported data) as bags like those of a live recording."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.common.rotations import quaternion_from_matrix
from ptr_models.episodes.actions import integrate
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import (
    ARM_STATE,
    ARM_STATE_TOPIC,
    EPISODE_EVENT,
    EVENT_TOPIC,
    EXECUTED_COMMAND,
    EXECUTED_TOPIC,
    IMAGE,
    JOINT_STATE,
    JOINT_STATE_TOPIC,
    OBJECT_STATES,
    OBJECTS_TOPIC,
    image_topic,
    typestore,
)
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.writer import BagWriter

JPEG_QUALITY = 90
JOINT_NAMES = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
_TELEOP, _POLICY = 1, 2

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ObjectTracks:
    """Poses of K simulated objects at N instants; the first is the task's item, the second its target.

    Attributes:
        names: (K,).   poses: (N, K, 7) in base_link: position (m), quaternion x y z w.
    """

    names: tuple[str, ...]
    poses: Array

    def __len__(self) -> int:
        return len(self.poses)


@dataclass(frozen=True)
class Trajectory:
    """T control steps between T+1 instants, one control period apart.

    Observations have N = T+1 rows, or N = T if a data set has no observation after the last action.

    Attributes:
        images: per camera N images, each encoded (JPEG, PNG) or (H, W, 3) uint8 RGB; empty without cameras.
        measured_position: (N, 3) m.   measured_rotation: (N, 3, 3). Both of ee_gripper_link in base_link.
        commanded_position: (T+1, 3) m.   commanded_rotation: (T+1, 3, 3). The target in force at each
            instant; its displacement from row k to k+1 is action k.
        gripper: (N,) measured opening.
        gripper_commanded: (T+1,); row k+1 is the gripper of action k, row 0 the command before the first
            step.
        joint_positions: (N, 6) rad; None: not known (then no /joint_states is written).
        start_ns: stamp of the first instant.
        source: of the commands: scripted, policy, spacemouse, ...
        objects: of a simulator at the N instants; None: not known (then no /simulator/objects).
    """

    images: Mapping[str, Sequence[bytes | NDArray[np.uint8]]]
    measured_position: Array
    measured_rotation: Array
    commanded_position: Array
    commanded_rotation: Array
    gripper: Array
    gripper_commanded: Array
    joint_positions: Array | None = None
    start_ns: int = 0
    source: str = "scripted"
    objects: ObjectTracks | None = None

    def __post_init__(self) -> None:
        rows = len(self.measured_position)
        observed = {f"images of {name}": len(frames) for name, frames in self.images.items()}
        observed |= {"measured_rotation": len(self.measured_rotation), "gripper": len(self.gripper)}
        if self.joint_positions is not None:
            observed["joint_positions"] = len(self.joint_positions)
        if self.objects is not None:
            observed["objects"] = len(self.objects)
        commanded = {
            "commanded_rotation": len(self.commanded_rotation),
            "gripper_commanded": len(self.gripper_commanded),
        }
        instants = len(self.commanded_position)
        wrong = {name: length for name, length in observed.items() if length != rows}
        wrong |= {name: length for name, length in commanded.items() if length != instants}
        if wrong or rows not in (instants, instants - 1) or instants < 2:
            raise EpisodeError(
                f"a trajectory of {instants} instants and {rows} observations has streams of other lengths: {wrong}"
            )

    @property
    def steps(self) -> int:
        """T, the number of actions."""
        return len(self.commanded_position) - 1

    @classmethod
    def from_actions(cls, actions: Array, **fields: Any) -> Trajectory:
        """Create one from raw actions (T, 7) instead of commanded poses.

        The first target is the first measured pose, the first commanded gripper the first measured one.
        `fields` are the remaining attributes, without `commanded_position`, `commanded_rotation` and
        `gripper_commanded`.
        """
        actions = np.asarray(actions, dtype=np.float64)
        position, rotation = integrate(
            np.asarray(fields["measured_position"][0], dtype=np.float64),
            np.asarray(fields["measured_rotation"][0], dtype=np.float64),
            actions[:, :6],
        )
        gripper = np.concatenate([[fields["gripper"][0]], actions[:, 6]])
        return cls(commanded_position=position, commanded_rotation=rotation, gripper_commanded=gripper, **fields)


def encode_jpeg(image: NDArray[np.uint8], quality: int = JPEG_QUALITY) -> bytes:
    """JPEG of an image (H, W, 3) uint8 RGB."""
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise EpisodeError(f"an image of shape {image.shape} cannot be encoded as JPEG")
    return encoded.tobytes()


def write_episode(root: Path | str, metadata: EpisodeMetadata, trajectory: Trajectory) -> Path:
    """Write an episode like a live recording: images, arm states, executed commands, joint states, events.

    Args:
        root: folder of episodes.
        metadata: final, with outcome; `start_ns` and `end_ns` are set here. Its contract gives the control
            period.
        trajectory: the streams.
    Returns:
        The episode's folder.
    """
    period = round(1e9 / metadata.contract.control_rate)
    steps, observed = trajectory.steps, len(trajectory.measured_position)
    start = trajectory.start_ns or metadata.start_ns or 1_000_000_000
    metadata = dataclasses.replace(metadata, start_ns=start, end_ns=start + steps * period)
    build = _Messages(metadata, trajectory, _POLICY if metadata.kind == "trial" else _TELEOP)
    with BagWriter(root, metadata) as bag:
        bag.write_message(EVENT_TOPIC, build.event(start, metadata.episode_id, "start"), start)
        for k in range(steps + 1):
            stamp = start + k * period
            bag.write_message(EXECUTED_TOPIC, build.executed(stamp, k), stamp)
            if k == observed:
                continue
            for camera in trajectory.images:
                bag.write_message(image_topic(camera), build.image(stamp, camera, k), stamp)
            bag.write_message(ARM_STATE_TOPIC, build.arm_state(stamp, k), stamp)
            if trajectory.joint_positions is not None:
                bag.write_message(JOINT_STATE_TOPIC, build.joint_state(stamp, k), stamp)
            if trajectory.objects is not None:
                bag.write_message(OBJECTS_TOPIC, build.objects(stamp, trajectory.objects, k), stamp)
        bag.write_message(EVENT_TOPIC, build.event(metadata.end_ns, metadata.episode_id, "stop"), metadata.end_ns)
        return bag.close()


class _Messages:
    """The messages of a trajectory's instants."""

    def __init__(self, metadata: EpisodeMetadata, trajectory: Trajectory, mode: int) -> None:
        self._types = typestore().types
        self._contract, self._metadata = metadata.contract, metadata
        self._trajectory = trajectory
        self._mode = mode
        self._measured = quaternion_from_matrix(trajectory.measured_rotation)
        self._commanded = quaternion_from_matrix(trajectory.commanded_rotation)
        joints = trajectory.joint_positions
        known = np.zeros((len(self._measured), 6)) if joints is None else np.asarray(joints, dtype=np.float64)
        self._joints = np.concatenate([known, known[-1:]])

    def _time(self, stamp: int) -> Any:
        return self._types["builtin_interfaces/msg/Time"](sec=stamp // 10**9, nanosec=stamp % 10**9)

    def _header(self, stamp: int, frame: str) -> Any:
        return self._types["std_msgs/msg/Header"](stamp=self._time(stamp), frame_id=frame)

    def _pose(self, position: Array, quaternion: Array) -> Any:
        x, y, z = (float(value) for value in position)
        qx, qy, qz, qw = (float(value) for value in quaternion)
        return self._types["geometry_msgs/msg/Pose"](
            position=self._types["geometry_msgs/msg/Point"](x=x, y=y, z=z),
            orientation=self._types["geometry_msgs/msg/Quaternion"](x=qx, y=qy, z=qz, w=qw),
        )

    def event(self, stamp: int, episode_id: str, kind: str) -> Any:
        header = self._header(stamp, "")
        return self._types[EPISODE_EVENT](header=header, episode_id=episode_id, type=kind, message="")

    def image(self, stamp: int, camera: str, k: int) -> Any:
        image = self._trajectory.images[camera][k]
        data = image if isinstance(image, bytes) else encode_jpeg(image)
        header = self._header(stamp, f"{camera}_optical_frame")
        kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
        return self._types[IMAGE](header=header, format=kind, data=np.frombuffer(data, dtype=np.uint8))

    def arm_state(self, stamp: int, k: int) -> Any:
        it = self._trajectory
        return self._types[ARM_STATE](
            header=self._header(stamp, self._contract.frame),
            mode=self._mode,
            source=it.source,
            measured_pose=self._pose(it.measured_position[k], self._measured[k]),
            commanded_pose=self._pose(it.commanded_position[k], self._commanded[k]),
            joint_positions=self._joints[k],
            joint_velocities=np.zeros(6),
            joint_efforts=np.zeros(6),
            gripper_position=float(it.gripper[k]),
            commanded_gripper_position=float(it.gripper_commanded[k]),
        )

    def executed(self, stamp: int, k: int) -> Any:
        it = self._trajectory
        return self._types[EXECUTED_COMMAND](
            header=self._header(stamp, self._contract.frame),
            source=it.source,
            command_stamp=self._time(stamp),
            target=self._pose(it.commanded_position[k], self._commanded[k]),
            gripper_position=float(it.gripper_commanded[k]),
            joint_positions=self._joints[k],
            reason=0,
        )

    def objects(self, stamp: int, tracks: ObjectTracks, k: int) -> Any:
        return self._types[OBJECT_STATES](
            header=self._header(stamp, self._contract.frame),
            kitchen=self._metadata.kitchen,
            task=self._metadata.task,
            seed=self._metadata.seed or 0,
            level=str(self._metadata.extra.get("level", "")),
            names=list(tracks.names),
            poses=[self._pose(pose[:3], pose[3:]) for pose in tracks.poses[k]],
        )

    def joint_state(self, stamp: int, k: int) -> Any:
        closed, opened = self._contract.gripper_closed, self._contract.gripper_open
        opening = float(self._trajectory.gripper[k])
        finger = closed + opening * (opened - closed)
        return self._types[JOINT_STATE](
            header=self._header(stamp, self._contract.frame),
            name=[*JOINT_NAMES, "gripper", "left_finger", "right_finger"],
            position=np.array([*self._joints[k], opening, finger, -finger]),
            velocity=np.zeros(0),
            effort=np.zeros(0),
        )
