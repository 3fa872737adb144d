# SPDX-License-Identifier: Apache-2.0
"""The Bridge data set (BridgeData V2, RLDS in TFRecord files) into bags.

Bridge's state is x y z, fixed-axis Euler angles relative to "gripper down", and the gripper's opening; its
action is a displacement per 0.2 s and an absolute gripper. The first target of a bag is the first measured
pose; each next one is the last, displaced by the action. So reading a bag gives the actions of the data set
again.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptr_models import __version__
from ptr_models.common.errors import PtrError
from ptr_models.common.output_folder import locked
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.geometry import DEFAULT_ROTATION, matrix_from_rpy
from ptr_models.episodes.importing.records import Imported, LeftOut, is_there, record_name
from ptr_models.episodes.importing.tfrecord import RECORD_OVERHEAD, Feature, parse_example, read_records
from ptr_models.episodes.jpeg import sane_size
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_models.limits import MAX_TEXT

CAMERAS: Mapping[str, str] = {"over_shoulder": "image_0"}
"""Camera of the contract and the image of the data set that it takes."""
NAMES = ("folder", "instruction")
"""What an episode's task can be named after."""
_SPLITS = ("train", "val")
FIRST_STAMP = 1_600_000_000 * 10**9
"""ns; the data set keeps no times, so bags start here or a multiple of 1000 s later."""
REACH = 2.0
"""m; the arm reaches 0.65 m, and its base lies at the origin."""
MOST_TURN = 10.0
"""rad of an angle of a state or an action."""


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
        assert record is not None  # damage is an error here
        try:
            yield _episode(parse_example(record), images, RECORD_OVERHEAD + len(record))
        except EpisodeError as error:
            raise EpisodeError(f"{path}, record {number}: {error}") from error


def read_sound_records(path: Path, left_out: list[LeftOut]) -> Iterator[bytes | None]:
    """Records of a file by number; None in the place of one that is damaged, which `left_out` then names."""

    def damaged(number: int | None, reason: str) -> None:
        left_out.append(LeftOut(path, number, reason))

    try:
        yield from read_records(path, damaged)
    except OSError as error:
        damaged(None, error.strerror or str(error))


def _episode(features: Mapping[str, Feature], names: tuple[str, ...], size: int) -> BridgeEpisode:
    actions = _table(features, "steps/action")
    states = _table(features, "steps/observation/state")
    images = {name: _texts(features, f"steps/observation/{name}") for name in names}
    lengths = {"state": len(states), **{name: len(frames) for name, frames in images.items()}}
    if not len(actions) or any(length != len(actions) for length in lengths.values()):
        raise EpisodeError(f"it has {len(actions)} actions but {lengths}")
    _require_plausible(states, actions)
    for name, frames in images.items():
        for step, data in enumerate(frames):
            if sane_size(data) is None:
                raise EpisodeError(f"{name} of step {step} ({len(data)} bytes) is no image")
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


def _require_plausible(states: NDArray[np.float64], actions: NDArray[np.float64]) -> None:
    """Refuse numbers that no robot arm can mean."""
    for what, rows in (("state", states), ("action", actions)):
        for unit, columns, most in (("m", slice(0, 3), REACH), ("rad", slice(3, 6), MOST_TURN), ("", slice(6, 7), 2.0)):
            values = np.abs(rows[:, columns])
            if values.max() > most:
                step = int(values.max(axis=1).argmax())
                raise EpisodeError(
                    f"the {what} of step {step} holds {values.max():.3g} {unit}".rstrip() + f"; at most {most:g}"
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
    """First string of an optional feature, without control characters."""
    values = features.get(name)
    text = values[0].decode("utf-8", "replace") if isinstance(values, list) and values else ""
    return "".join(character if character.isprintable() else " " for character in text)[:MAX_TEXT]


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


@dataclass(frozen=True)
class _Rule:
    """How records become bags: see `import_bridge`."""

    contract: Contract
    cameras: Mapping[str, str]
    names: str
    action_shift: int


def import_bridge(
    source: Path,
    out: Path,
    contract: Contract | None = None,
    advance: Callable[[int], None] = lambda size: None,
    account: Imported | None = None,
    *,
    names: str = "folder",
    action_shift: int = 0,
) -> Imported:
    """Write a bag for each episode of a data set; those that are there already are kept, odd records left out.

    An import that was interrupted goes on when it is called again.

    Args:
        source: folder or file of the data set.
        out: folder for the bags.
        contract: by default the suite's own; its cameras must be in `CAMERAS`.
        advance: called after each episode with its bytes.
        account: filled while it runs, for whoever interrupts it; returned.
        names: what tasks are named after, one of `NAMES`.
        action_shift: control steps by which images and states lag behind actions. 0 in the release, whose conversion
            (bridgedata_raw_to_numpy.py) has shifted what was recorded before 2021-07-23.
    Raises:
        EpisodeError: there is nothing to import, or the bags cannot be written.
    """
    if action_shift < 0:
        raise EpisodeError(f"action_shift is {action_shift}; it must be a whole number, 0 or more")
    contract = contract or Contract()
    unknown = [camera.name for camera in contract.cameras if camera.name not in CAMERAS]
    if unknown:
        raise EpisodeError(f"Bridge has no image for camera {unknown[0]}; known: {', '.join(CAMERAS)}")
    rule = _Rule(contract, {camera.name: CAMERAS[camera.name] for camera in contract.cameras}, names, action_shift)
    account = Imported() if account is None else account
    files = find_files(source)
    with locked(out):
        for file in files:
            for number, record in enumerate(read_sound_records(file, account.left_out)):
                if record is not None:
                    _import_record(file, number, record, out, rule, account)
                    advance(RECORD_OVERHEAD + len(record))
    return account


def _import_record(
    file: Path,
    number: int,
    record: bytes,
    out: Path,
    rule: _Rule,
    account: Imported,
) -> None:
    name = record_name("bridge", file, number, record)
    if is_there(out / name, rule.contract):
        account.kept.append(out / name)
        return
    try:
        episode = _episode(parse_example(record), tuple(rule.cameras.values()), RECORD_OVERHEAD + len(record))
        if not episode.instruction.strip():
            raise EpisodeError("it has no instruction")
        metadata = _metadata(name, episode, rule)
        trajectory = to_trajectory(episode, rule.cameras, _start(name))
    except (PtrError, ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
        account.left_out.append(LeftOut(file, number, str(error)))
        return
    write_episode(out, metadata, trajectory)
    account.written.append(out / name)


def _start(name: str) -> int:
    """ns; the stamp of a bag follows from its name, so that it does not depend on what else is imported."""
    return FIRST_STAMP + (zlib.crc32(name.encode()) % 500_000) * 1000 * 10**9


def _metadata(name: str, episode: BridgeEpisode, rule: _Rule) -> EpisodeMetadata:
    """Bridge's episodes are demonstrations that succeeded; the folder above the task names the kitchen."""
    return EpisodeMetadata(
        episode_id=name,
        task=task_of(episode, rule.names),
        outcome="success",
        operator="bridge",
        device="vr",
        robot="wx250s",
        kitchen=SourceFolder.of(episode.source).domain,
        contract=rule.contract,
        action_shift=rule.action_shift,
        versions={"ptr_models": __version__},
        extra={"instruction": episode.instruction, "source": episode.source, "complete": episode.complete},
    )
