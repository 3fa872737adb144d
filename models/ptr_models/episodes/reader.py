# SPDX-License-Identifier: Apache-2.0
"""Read episodes: from a bag to arrays on the control grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import Reader

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError, StaleSampleError
from ptr_models.episodes.geometry import displacements, matrix_from_quaternion
from ptr_models.episodes.messages import (
    ARM_STATE_TOPIC,
    EVENT_TOPIC,
    EXECUTED_TOPIC,
    METADATA_TOPIC,
    has_header,
    header_stamp,
    image_topic,
    typestore,
)
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.sampling import ArmSample, Observation, RecordedStream, arm_sample, assemble, newest
from ptr_models.episodes.writer import PARTIAL

DISCARDED = "discarded"


@dataclass(frozen=True)
class Episode:
    """An episode on the control grid: T steps between T+1 instants.

    Attributes:
        path: its folder.
        images: per camera (T+1, H, W, 3) uint8 RGB.
        states: (T+1, 7) float32, see `sampling.Observation.state`.
        actions: (T, 7) float32 in m, rad and gripper opening per step: displacement of the commanded target
            between two instants, and the gripper commanded at the second.
        stamps: (T+1,) int64 ns.
        metadata: what is known about it.
    """

    path: Path
    images: dict[str, NDArray[np.uint8]]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    stamps: NDArray[np.int64]
    metadata: EpisodeMetadata

    def __len__(self) -> int:
        return len(self.actions)


@dataclass
class Streams:
    """The samples of a bag that episodes are made of, by source stamp (ns).

    Attributes:
        images: per camera, encoded.
        arm: measured arm states.
        executed: target position (3,), quaternion (4,) and commanded gripper.
        in_force: of each executed command with a source (nobody commands without one): stamp of the command and
            stamp of its execution (ns).
        events: (stamp, kind) of EpisodeEvents.
        metadata: newest JSON on /episode/metadata, empty if none.
    """

    images: dict[str, RecordedStream[bytes]]
    arm: RecordedStream[ArmSample]
    executed: RecordedStream[tuple[float, ...]]
    in_force: list[tuple[int, int]] = field(default_factory=list)
    events: list[tuple[int, str]] = field(default_factory=list)
    metadata: str = ""


def find_bag(path: Path | str) -> Path:
    """The MCAP file of an episode's folder (or the file itself).

    Raises:
        EpisodeError: there is no such path, the folder is empty, or holds none or several MCAP files.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise EpisodeError(f"{path} does not exist; give the folder of an episode")
    bags = sorted(path.glob("*.mcap"))
    if len(bags) == 1:
        return bags[0]
    if bags:
        raise EpisodeError(f"{path} holds {len(bags)} MCAP files; an episode has one")
    what = "holds no MCAP file" if any(path.iterdir()) else "is empty"
    raise EpisodeError(f"{path} {what}; give the folder of an episode, as the recorder writes it")


def find_episodes(directories: Iterable[Path | str]) -> list[Path]:
    """Folders of complete episodes in and under some directories, sorted.

    Folders that end in `.partial` and everything below `discarded/` are left out.

    Raises:
        EpisodeError: a directory does not exist, or there is no episode in it.
    """
    found: set[Path] = set()
    for directory in map(Path, directories):
        if not directory.is_dir():
            raise EpisodeError(f"{directory} does not exist; give a folder with episodes")
        bags = (bag.parent for bag in directory.rglob("*.mcap"))
        inside = {path for path in bags if not _hidden(path.relative_to(directory))}
        if not inside:
            raise EpisodeError(f"{directory} holds no complete episode")
        found |= inside
    return sorted(found)


def _hidden(path: Path) -> bool:
    return any(part.endswith(PARTIAL) or part == DISCARDED for part in path.parts)


@contextmanager
def open_bag(path: Path | str) -> Iterator[Reader]:
    """Open an episode's bag.

    Raises:
        EpisodeError: there is none, or it was cut off or damaged.
    """
    bag = find_bag(path)
    try:
        reader = Reader(bag)
        reader.open()
    except Exception as error:  # damage shows itself in many kinds: struct, assertion, key, memory, ...
        raise _damaged(bag, error) from error
    try:
        yield reader
    finally:
        reader.close()


def _damaged(bag: Path, error: Exception) -> EpisodeError:
    reason = f"{type(error).__name__} {error}".strip().rstrip(".: ")
    return EpisodeError(
        f"{bag} is cut off or damaged ({reason}); `ptr recover {bag.parent}` saves what is readable"
    )


def decode(raw: bytes, type_name: str) -> Any:
    """A message object of CDR bytes.

    Raises:
        EpisodeError: the bytes are no such message.
    """
    try:
        return typestore().deserialize_cdr(raw, type_name)
    except Exception as error:
        raise EpisodeError(f"a message of type {type_name} ({len(raw)} bytes) is damaged") from error


def messages(
    reader: Reader, topics: Iterable[str] | None = None
) -> Iterator[tuple[str, str, int, int, bytes]]:
    """Messages of a bag in the order of their arrival.

    Yields:
        topic, type, source stamp (the header's, else the arrival's; ns), arrival (ns), CDR bytes.
    Raises:
        EpisodeError: the bag is damaged in the middle.
    """
    wanted = None if topics is None else set(topics)
    connections = [item for item in reader.connections if wanted is None or item.topic in wanted]
    if not connections:
        return
    try:
        for connection, arrival, raw in reader.messages(connections):
            stamp = header_stamp(raw) if has_header(connection.msgtype) else arrival
            yield connection.topic, connection.msgtype, stamp or arrival, arrival, raw
    except Exception as error:
        raise _damaged(Path(str(reader.path)), error) from error


def read_streams(path: Path | str, contract: Contract) -> Streams:
    """Load from a bag what observations and actions of a contract are made of."""
    cameras = {image_topic(camera.name): camera.name for camera in contract.cameras}
    images: dict[str, list[tuple[int, bytes]]] = {camera: [] for camera in cameras.values()}
    arm: list[tuple[int, ArmSample]] = []
    executed: list[tuple[int, tuple[float, ...]]] = []
    in_force: list[tuple[int, int]] = []
    events: list[tuple[int, str]] = []
    metadata = ""
    others = (ARM_STATE_TOPIC, EXECUTED_TOPIC, EVENT_TOPIC, METADATA_TOPIC)
    with open_bag(path) as reader:
        for topic, kind, stamp, _, raw in messages(reader, [*cameras, *others]):
            message = decode(raw, kind)
            if topic in cameras:
                images[cameras[topic]].append((stamp, message.data.tobytes()))
            elif topic == ARM_STATE_TOPIC:
                arm.append((stamp, arm_sample(message)))
            elif topic == EXECUTED_TOPIC:
                target, at = message.target.position, message.target.orientation
                executed.append(
                    (stamp, (target.x, target.y, target.z, at.x, at.y, at.z, at.w, message.gripper))
                )
                if message.source:
                    decided = message.command_stamp.sec * 10**9 + message.command_stamp.nanosec
                    in_force.append((min(decided, stamp), stamp))
            elif topic == EVENT_TOPIC:
                events.append((stamp, message.kind))
            else:
                metadata = message.data
    recorded = {camera: RecordedStream(samples) for camera, samples in images.items()}
    return Streams(recorded, RecordedStream(arm), RecordedStream(executed), in_force, events, metadata)


def read_metadata(path: Path | str) -> EpisodeMetadata:
    """Metadata of an episode: episode.json beside the bag, or else the newest in the bag.

    Raises:
        EpisodeError, ContractError: neither can be read.
    """
    folder = find_bag(path).parent
    beside = folder / "episode.json"
    if beside.is_file():
        try:
            return EpisodeMetadata.from_json(beside.read_text(encoding="utf-8"))
        except (EpisodeError, UnicodeDecodeError) as error:
            raise EpisodeError(
                f"{beside} cannot be read: {error}; delete it to use the copy in the bag"
            ) from error
    with open_bag(path) as reader:
        text = ""
        for _, kind, _, _, raw in messages(reader, [METADATA_TOPIC]):
            text = decode(raw, kind).data
    if not text:
        raise EpisodeError(f"{folder} has neither an episode.json nor {METADATA_TOPIC} in its bag")
    return EpisodeMetadata.from_json(text)


def read_episode(path: Path | str, contract: Contract | None = None) -> Episode:
    """Read an episode onto the control grid of its contract.

    The grid starts with the first command after the `start` event (and when every stream has a sample), so that
    its instants are those at which someone decided, and ends with the last one, at the latest at the `stop` event.
    Where nobody commands at all, the events alone bound it.

    Args:
        path: the episode's folder.
        contract: required; None takes the bag's own.
    Raises:
        ContractError: the bag follows another contract.
        EpisodeError: it is cut off, has no step, or a stream has a hole.
    """
    path = Path(path)
    metadata = read_metadata(path)
    if contract is None:
        contract = metadata.contract
    else:
        contract.require(metadata.contract, f"episode {path}")
    try:
        streams = read_streams(path, contract)
        stamps = control_grid(streams, contract)
        observations, commands = _sample(streams, contract, stamps)
    except EpisodeError as error:
        raise error if str(path) in str(error) else EpisodeError(f"episode {path}: {error}") from error
    states = np.stack([observation.state for observation in observations])
    actions = actions_from_targets(np.array(commands))
    for name, values in (("arm state", states), (EXECUTED_TOPIC, actions)):
        if not np.isfinite(values).all():
            raise EpisodeError(f"episode {path}: stream {name} has a value that is not finite; leave it out")
    pixels = np.stack([observation.images for observation in observations])
    return Episode(
        path=path,
        images={camera.name: pixels[:, index] for index, camera in enumerate(contract.cameras)},
        states=states,
        actions=actions,
        stamps=stamps,
        metadata=metadata,
    )


def _sample(
    streams: Streams, contract: Contract, stamps: NDArray[np.int64]
) -> tuple[list[Observation], list[tuple[float, ...]]]:
    """Observations and commanded targets at each stamp."""
    observations, commands = [], []
    for stamp in map(int, stamps):
        try:
            observations.append(assemble(contract, streams.images, streams.arm, stamp))
            commands.append(newest(streams.executed, EXECUTED_TOPIC, stamp, contract.state_max_age)[1])
        except StaleSampleError as error:
            raise EpisodeError(f"{error}, {(stamp - int(stamps[0])) * 1e-9:.1f} s after its start") from error
    return observations, commands


def actions_from_targets(commands: NDArray[np.float64]) -> NDArray[np.float32]:
    """Actions (T, 7) from commanded targets (T+1, 8): position, quaternion x y z w, gripper."""
    deltas = displacements(commands[:, :3], matrix_from_quaternion(commands[:, 3:7]))
    return np.concatenate([deltas, commands[1:, 7:]], axis=1).astype(np.float32)


def control_grid(streams: Streams, contract: Contract) -> NDArray[np.int64]:
    """Stamps (T+1,) in ns of the control instants of a bag.

    Raises:
        EpisodeError: a stream is empty, or the bag is shorter than one control period.
    """
    every = {f"camera {name}": stream.stamps for name, stream in streams.images.items()}
    every |= {"arm state": streams.arm.stamps, EXECUTED_TOPIC: streams.executed.stamps}
    for name, stamps in every.items():
        if not stamps:
            raise EpisodeError(f"stream {name} is empty")
    starts = [stamp for stamp, kind in streams.events if kind == "start"]
    stops = [stamp for stamp, kind in streams.events if kind == "stop"]
    begin = max([stamps[0] for stamps in every.values()] + starts[:1])
    end = stops[-1] if stops else min(stamps[-1] for stamps in every.values())
    period = round(1e9 / contract.control_rate)
    decided = [decision for decision, _ in streams.in_force if begin <= decision < end]
    if decided:
        begin = decided[0]
        last = max(execution for _, execution in streams.in_force if execution <= end)
        end = min(end, last + period // 2)
    steps = (end - begin) // period
    if steps < 1:
        raise EpisodeError(f"it lasts {max(0, end - begin) * 1e-9:.2f} s, less than one control step")
    return begin + period * np.arange(steps + 1, dtype=np.int64)
