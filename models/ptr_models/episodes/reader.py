# SPDX-License-Identifier: Apache-2.0
"""Read an episode's bag into arrays on the control grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.rotations import matrix_from_quaternion
from ptr_models.contract import Contract
from ptr_models.episodes.actions import displacements
from ptr_models.episodes.bag import decode, find_bag, messages, open_bag, refusing
from ptr_models.episodes.cdr_fields import Executed
from ptr_models.episodes.episode_discovery import find_bags
from ptr_models.episodes.errors import EpisodeError, StaleSampleError
from ptr_models.episodes.exclusion import Exclusion
from ptr_models.episodes.jpeg import image_size
from ptr_models.episodes.messages import EXECUTED_TOPIC, METADATA_TOPIC, OBJECTS_TOPIC
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.sampling import Choice, choose, decode_image, newest, states_of
from ptr_models.episodes.streams import Streams, control_grid, read_streams


@dataclass(frozen=True)
class Episode:
    """An episode on the control grid: T steps between T+1 instants.

    Attributes:
        path: its folder.
        images: per camera (T+1, H, W, 3) uint8 RGB; empty if the contract has no cameras.
        states: (T+1, S) float32, see `sampling.Observation.state`.
        actions: (T, 7) float32 in m, rad and gripper opening per step: displacement of the commanded target
            between two instants, and the gripper commanded at the second.
        stamps: (T+1,) int64 ns.
        metadata: of the episode.
    """

    path: Path
    images: dict[str, NDArray[np.uint8]]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    stamps: NDArray[np.int64]
    metadata: EpisodeMetadata

    def __len__(self) -> int:
        return len(self.actions)


def find_episodes(directories: Iterable[Path | str], exclusion: Exclusion | None = None) -> list[Path]:
    """Folders of complete episodes in and under some directories: see `episode_discovery.find_bags`."""
    return [Path(path) for path in find_bags(directories, exclusion)]


def read_metadata(path: Path | str) -> EpisodeMetadata:
    """Metadata of an episode: from episode.json next to the bag, otherwise the newest in the bag.

    Raises:
        EpisodeError, ContractError: neither can be read.
    """
    folder = find_bag(path).parent
    beside = folder / "episode.json"
    if beside.is_file():
        try:
            return EpisodeMetadata.from_json(beside.read_text(encoding="utf-8"))
        except (EpisodeError, OSError, UnicodeDecodeError) as error:
            raise EpisodeError(f"{beside} cannot be read: {error}; delete it to use the copy in the bag") from error
    with refusing(path), open_bag(path) as reader:
        text = ""
        for _, kind, _, _, raw in messages(reader, [METADATA_TOPIC]):
            text = decode(raw, kind).data
    if not text:
        raise EpisodeError(f"{folder} has neither an episode.json nor {METADATA_TOPIC} in its bag")
    return EpisodeMetadata.from_json(text)


def read_episode(
    path: Path | str, contract: Contract | None = None, metadata: EpisodeMetadata | None = None
) -> Episode:
    """Read an episode onto the control grid of its contract.

    The grid starts with the first command after the `start` event (once every stream has a sample), so its instants are
    the times of decisions. It ends with the last command, at the latest at the `stop` event. Without any commands, the
    events alone bound it.

    Latencies are always those of the bag's own robot. Observations are delayed as they would be on the required
    contract's robot, so that bags of different robots can train one policy.

    Args:
        path: the episode's folder.
        contract: the required one; None: the bag's own.
        metadata: result of `read_metadata`, if already read.
    Raises:
        ContractError: the bag follows another contract.
        EpisodeError: it is truncated, has no step, or a stream has a gap.
    """
    path = Path(path)
    metadata = metadata or read_metadata(path)
    with refusing(path):
        return _read_episode(path, contract, metadata)


def _read_episode(path: Path, contract: Contract | None, metadata: EpisodeMetadata) -> Episode:
    delay = (contract or metadata.contract).observation_delay
    if contract is not None:
        contract.require(metadata.contract, f"episode {path}", source=True)
    contract = (contract or metadata.contract).with_latencies(metadata.contract)
    try:
        streams = read_streams(path, contract)
        stamps = control_grid(streams, contract, delay)
        choices, commands = sample(streams, contract, stamps, delay)
        _require_enough_pixels(choices[0], contract, metadata.contract)
        images = _decode(choices, contract)
    except EpisodeError as error:
        raise error if str(path) in str(error) else EpisodeError(f"episode {path}: {error}") from error
    states = states_of(contract, choices)
    actions = actions_from_targets(np.array([(*command.pose, command.gripper) for command in commands]))
    for name, values in (("arm state", states[:, :7]), (OBJECTS_TOPIC, states[:, 7:]), (EXECUTED_TOPIC, actions)):
        if not np.isfinite(values).all():
            raise EpisodeError(f"episode {path}: stream {name} has a value that is not finite; leave it out")
    return Episode(path, images, states, actions, stamps, metadata)


def sample(
    streams: Streams, contract: Contract, stamps: NDArray[np.int64], delay: float | None = None
) -> tuple[list[Choice], list[Executed]]:
    """The samples for observations, and the commanded targets, at each stamp; `delay` as in `sampling.shifts`."""
    choices, commands = [], []
    for stamp in map(int, stamps):
        try:
            choices.append(choose(contract, streams.images, streams.arm, stamp, delay, streams.objects))
            commands.append(newest(streams.executed, EXECUTED_TOPIC, stamp, contract.state_max_age)[1])
        except StaleSampleError as error:
            raise EpisodeError(f"{error}, {(stamp - int(stamps[0])) * 1e-9:.1f} s after its start") from error
    return choices, commands


def _require_enough_pixels(choice: Choice, contract: Contract, recorded: Contract) -> None:
    """Refuse to enlarge images beyond their recorded size.

    Raises:
        EpisodeError: the images in the bag are smaller than the contract requires.
    """
    known = {camera.name: camera for camera in recorded.cameras}
    for camera, (_, data) in zip(contract.cameras, choice.images, strict=True):
        meant, size = known[camera.name], image_size(np.frombuffer(data, np.uint8).data)
        if size is None or (camera.height, camera.width) == (meant.height, meant.width):
            continue
        if size[0] < camera.height or size[1] < camera.width:
            raise EpisodeError(
                f"the images of camera {camera.name} have {size[1]}x{size[0]} pixels, fewer than the "
                f"required {camera.width}x{camera.height}; train with --set networks.image_size={min(size)}"
            )


def _decode(choices: list[Choice], contract: Contract) -> dict[str, NDArray[np.uint8]]:
    """Per camera the images (N, H, W, 3) of N choices; an image that is chosen repeatedly is decoded once."""
    images = {}
    for index, camera in enumerate(contract.cameras):
        frames = np.empty((len(choices), camera.height, camera.width, 3), np.uint8)
        previous = None
        for row, choice in enumerate(choices):
            stamp, data = choice.images[index]
            frames[row] = frames[row - 1] if stamp == previous else decode_image(data, camera)
            previous = stamp
        images[camera.name] = frames
    return images


def actions_from_targets(commands: NDArray[np.float64]) -> NDArray[np.float32]:
    """Actions (T, 7) from commanded targets (T+1, 8): position, quaternion x y z w, gripper."""
    deltas = displacements(commands[:, :3], matrix_from_quaternion(commands[:, 3:7]))
    return np.concatenate([deltas, commands[1:, 7:]], axis=1).astype(np.float32)
