# SPDX-License-Identifier: Apache-2.0
"""The Bridge data set (BridgeData V2, RLDS in TFRecord files) into bags.

Bridge's state is x y z, fixed-axis Euler angles relative to "gripper down", and the gripper's opening; its
action is a displacement per 0.2 s and an absolute gripper. The first target of a bag is the first measured
pose; each next one is the last, displaced by the action. So reading a bag gives the actions of the data set
again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptr_models import __version__
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.geometry import DEFAULT_ROTATION, matrix_from_rpy
from ptr_models.episodes.importing.tfrecord import RECORD_OVERHEAD, Feature, parse_example, read_records
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.trajectory import Trajectory, write_episode

CAMERAS: Mapping[str, str] = {"over_shoulder": "image_0"}
"""Camera of the contract and the image of the data set that it takes."""
NAMES = ("folder", "instruction")
"""What an episode's task can be named after."""
_SPLITS = ("train", "val")
FIRST_STAMP = 1_600_000_000 * 10**9
"""ns; the data set keeps no times, so bags start here and then every 1000 s."""


@dataclass(frozen=True)
class BridgeEpisode:
    """One episode of the data set: T actions, and T observations (none after the last action).

    Attributes:
        states: (T, 7) float64.   actions: (T, 7) float64, raw units.
        images: per image name T encoded images.
        instruction: in plain words, maybe empty.
        source: path in the original data, maybe empty.
        complete: whether the last step is marked as the episode's last.
        size: bytes that it takes in its file.
    """

    states: NDArray[np.float64]
    actions: NDArray[np.float64]
    images: dict[str, list[bytes]]
    instruction: str
    source: str
    complete: bool
    size: int


def find_files(source: Path) -> list[Path]:
    """TFRecord files of a data set's folder, or the file itself.

    Raises:
        EpisodeError: there are none.
    """
    if source.is_file():
        return [source]
    files = sorted(path for path in source.rglob("*.tfrecord*") if path.is_file()) if source.is_dir() else []
    if not files:
        raise EpisodeError(
            f"{source} holds no .tfrecord file; give the folder of the Bridge data set in RLDS form"
        )
    return files


def read_bridge(path: Path, images: tuple[str, ...] = tuple(CAMERAS.values())) -> Iterator[BridgeEpisode]:
    """Episodes of one TFRecord file.

    Raises:
        EpisodeError: the file is damaged or an episode lacks a feature.
    """
    for number, record in enumerate(read_records(path)):
        try:
            yield _episode(parse_example(record), images, RECORD_OVERHEAD + len(record))
        except EpisodeError as error:
            raise EpisodeError(f"{path}, record {number}: {error}") from error


def _episode(features: Mapping[str, Feature], names: tuple[str, ...], size: int) -> BridgeEpisode:
    actions = _table(features, "steps/action")
    states = _table(features, "steps/observation/state")
    images = {name: _texts(features, f"steps/observation/{name}") for name in names}
    lengths = {"state": len(states), **{name: len(frames) for name, frames in images.items()}}
    if not len(actions) or any(length != len(actions) for length in lengths.values()):
        raise EpisodeError(f"it has {len(actions)} actions but {lengths}")
    last = features.get("steps/is_last")
    return BridgeEpisode(
        states=states,
        actions=actions,
        images=images,
        instruction=_text(features, "steps/language_instruction"),
        source=_text(features, "episode_metadata/file_path"),
        complete=bool(last is not None and len(last) and last[-1]),
        size=size,
    )


def _table(features: Mapping[str, Feature], name: str) -> NDArray[np.float64]:
    values = features.get(name)
    if not isinstance(values, np.ndarray) or values.dtype != np.float32 or values.size % 7:
        raise EpisodeError(f"feature {name} is not a list of rows of 7 numbers")
    if not np.isfinite(values).all():
        raise EpisodeError(f"feature {name} has a value that is not finite")
    return values.astype(np.float64).reshape(-1, 7)


def _texts(features: Mapping[str, Feature], name: str) -> list[bytes]:
    values = features.get(name)
    if not isinstance(values, list):
        raise EpisodeError(f"feature {name} is missing; it should be a list of encoded images")
    return values


def _text(features: Mapping[str, Feature], name: str) -> str:
    """First string of an optional feature."""
    values = features.get(name)
    return values[0].decode("utf-8", "replace") if isinstance(values, list) and values else ""


def task_name(instruction: str) -> str:
    """A task name from plain words: put carrot on plate -> put_carrot_on_plate.

    Raises:
        EpisodeError: no letter or digit is in it.
    """
    words = re.findall(r"[a-z0-9]+", instruction.lower())
    if not words:
        raise EpisodeError(f"the instruction {instruction!r} gives no task name")
    return "_".join(words)[:128]


@dataclass(frozen=True)
class SourceFolder:
    """Where an episode lay in the original data; empty: not known.

    Attributes:
        domain: the kitchen, e.g. toykitchen6.   task: e.g. put_sweet_potato_on_plate, or many_skills.
    """

    domain: str = ""
    task: str = ""

    @classmethod
    def of(cls, source: str) -> SourceFolder:
        """From the path that the release keeps: .../DOMAIN/TASK/SPLIT/out.npy, or .../DOMAIN/TASK/NUMBER/SPLIT/out.npy.

        BridgeData V1 has the first form, V2 numbers the sessions of a task.
        """
        parts = Path(source).parts
        if len(parts) < 4 or parts[-2] not in _SPLITS:
            return cls()
        rest = parts[:-2]
        while rest and rest[-1].isdigit():
            rest = rest[:-1]
        return cls(*rest[-2:]) if len(rest) >= 2 else cls()


def task_of(episode: BridgeEpisode, names: str) -> str:
    """Name of an episode's task.

    Args:
        names: one of `NAMES`. folder: as PTR names tasks, and after the instruction where the folder is not known.
    """
    folder = SourceFolder.of(episode.source).task if names == "folder" else ""
    return task_name(folder or episode.instruction)


def to_trajectory(episode: BridgeEpisode, cameras: Mapping[str, str], start_ns: int) -> Trajectory:
    """Streams of a bag from an episode of the data set."""
    return Trajectory.from_actions(
        episode.actions,
        images={camera: episode.images[image] for camera, image in cameras.items()},
        measured_position=episode.states[:, :3],
        measured_rotation=matrix_from_rpy(episode.states[:, 3:6]) @ DEFAULT_ROTATION,
        gripper=episode.states[:, 6],
        start_ns=start_ns,
        source="bridge",
    )


def import_bridge(
    source: Path,
    out: Path,
    contract: Contract | None = None,
    advance: Callable[[int], None] = lambda size: None,
    *,
    names: str = "folder",
    action_shift: int = 0,
) -> tuple[list[Path], int]:
    """Write a bag for each episode of a data set; those that are there already are kept.

    Args:
        source: folder or file of the data set.
        out: folder for the bags.
        contract: by default the suite's own; its cameras must be in `CAMERAS`.
        advance: called after each episode with its bytes.
        names: what tasks are named after, one of `NAMES`.
        action_shift: control steps by which images and states lag behind actions. 0 in the release, whose conversion
            (bridgedata_raw_to_numpy.py) has shifted what was recorded before 2021-07-23.
    Returns:
        Folders of all episodes, and how many were skipped since they carry no instruction.
    """
    rule = contract or Contract()
    unknown = [camera.name for camera in rule.cameras if camera.name not in CAMERAS]
    if unknown:
        raise EpisodeError(f"Bridge has no image for camera {unknown[0]}; known: {', '.join(CAMERAS)}")
    cameras = {camera.name: CAMERAS[camera.name] for camera in rule.cameras}
    written: list[Path] = []
    skipped = total = 0
    for shard, file in enumerate(find_files(source)):
        for number, episode in enumerate(read_bridge(file, tuple(cameras.values()))):
            total += 1
            if episode.instruction.strip():
                name = f"bridge_{shard:05d}_{number:05d}"
                if not (out / name).is_dir():
                    trajectory = to_trajectory(episode, cameras, FIRST_STAMP + total * 1000 * 10**9)
                    write_episode(out, _metadata(name, episode, rule, names, action_shift), trajectory)
                written.append(out / name)
            else:
                skipped += 1
            advance(episode.size)
    return written, skipped


def _metadata(
    name: str, episode: BridgeEpisode, contract: Contract, names: str, action_shift: int
) -> EpisodeMetadata:
    """Bridge's episodes are demonstrations that succeeded; the folder above the task names the kitchen."""
    return EpisodeMetadata(
        episode_id=name,
        task=task_of(episode, names),
        outcome="success",
        operator="bridge",
        device="vr",
        robot="wx250s",
        kitchen=SourceFolder.of(episode.source).domain,
        contract=contract,
        action_shift=action_shift,
        versions={"ptr_models": __version__},
        extra={"instruction": episode.instruction, "source": episode.source, "complete": episode.complete},
    )
