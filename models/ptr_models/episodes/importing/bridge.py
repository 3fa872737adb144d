# SPDX-License-Identifier: Apache-2.0
"""Import the Bridge data set (BridgeData V2) as bags: what all its forms share, and its RLDS form (TFRecord files).

Bridge's state is x y z, fixed-axis Euler angles relative to "gripper down", and the gripper's opening; its
action is a displacement per 0.2 s and an absolute gripper. The first target of a bag is the first measured
pose; each following one is the previous one, displaced by the action. So reading a bag gives the actions of
the data set again.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models import __version__
from ptr_models.common.errors import PtrError
from ptr_models.common.output_folder import locked
from ptr_models.common.rotations import DEFAULT_ROTATION, matrix_from_rpy
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.naming import TRAJECTORY, SourceFolder, task_name
from ptr_models.episodes.importing.records import Imported, LeftOut, is_there, record_name
from ptr_models.episodes.importing.tfrecord import RECORD_OVERHEAD, Feature, parse_example, read_records
from ptr_models.episodes.jpeg import sane_size
from ptr_models.episodes.metadata import EpisodeMetadata, placeholder_start
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_models.input_limits import MAX_TEXT

CAMERAS: Mapping[str, str] = {"over_shoulder": "image_0", "side_1": "image_1", "side_2": "image_2", "wrist": "image_3"}
"""Cameras of the contract, and the image of the data set for each."""
NAMES = ("folder", "instruction")
"""What an episode's task can be named after."""
REACH = 2.0
"""m; the arm reaches 0.65 m, and its base is at the origin."""
MAX_TURN = 10.0
"""rad; limit of the angles in a state or an action."""
OWN_METADATA = "episode_metadata/ptr_metadata"
"""Feature with the bag's metadata as JSON, in data sets written by `ptr export rlds`."""
ODD = (PtrError, ValueError, ArithmeticError, np.linalg.LinAlgError)
"""Exceptions for an episode that is left out."""


@dataclass(frozen=True)
class BridgeEpisode:
    """One episode of the data set: T actions, and T observations, or T+1 with the one after the last action.

    Attributes:
        states: (T or T+1, 7) float64.   actions: (T, 7) float64, raw units.
        images: per image name as many encoded images.
        instruction: in plain words, may be empty.   more_instructions: other people's words for it.
        own: metadata of the bag that the episode was exported from.
        source: path in the original data, may be empty.
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
    more_instructions: tuple[str, ...] = ()
    own: EpisodeMetadata | None = None


def find_files(source: Path) -> list[Path]:
    """TFRecord files of a data set's folder, or the file itself.

    Raises:
        EpisodeError: there are none.
    """
    if source.is_file():
        return [source]
    files = sorted(_record_files(source)) if source.is_dir() else []
    if not files:
        raise EpisodeError(
            f"{source} holds no .tfrecord file, no recording (traj_group*/traj*) and no out.npy; give a folder of the "
            "Bridge data set"
        )
    return files


def holds_records(source: Path) -> bool:
    """Whether there is a TFRecord file in a folder, or the source is one."""
    return ".tfrecord" in source.name if source.is_file() else any(_record_files(source))


def _record_files(folder: Path) -> Iterator[Path]:
    """Files below a folder; those of recordings are skipped, since there are millions."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not TRAJECTORY.fullmatch(name)]
        yield from (Path(place, name) for name in names if ".tfrecord" in name)


def read_bridge(path: Path, images: tuple[str, ...] = ("image_0",)) -> Iterator[BridgeEpisode]:
    """Episodes of one TFRecord file.

    Raises:
        EpisodeError: the file is damaged, or an episode lacks a feature.
    """
    for number, record in enumerate(read_records(path)):
        assert record is not None  # damage is an error here
        try:
            yield _episode(parse_example(record), images, RECORD_OVERHEAD + len(record))
        except EpisodeError as error:
            raise EpisodeError(f"{path}, record {number}: {error}") from error


def read_sound_records(path: Path, left_out: list[LeftOut]) -> Iterator[bytes | None]:
    """Records of a file by number; None in place of a damaged one, which is added to `left_out`."""

    def damaged(number: int | None, reason: str) -> None:
        left_out.append(LeftOut(path, number, reason))

    try:
        yield from read_records(path, damaged)
    except OSError as error:
        damaged(None, error.strerror or str(error))


def _episode(
    features: Mapping[str, Feature], names: Sequence[str], size: int, further: Sequence[str] = ()
) -> BridgeEpisode:
    actions = _table(features, "steps/action")
    states = _table(features, "steps/observation/state")
    taken = [*names, *(name for name in further if _has(features, name))]
    images = {name: _texts(features, f"steps/observation/{name}") for name in taken}
    lengths = {"state": len(states), **{name: len(frames) for name, frames in images.items()}}
    if not len(actions) or any(length != len(actions) for length in lengths.values()):
        raise EpisodeError(f"it has {len(actions)} actions but {lengths}")
    require_plausible(states, actions)
    require_images(images)
    for name in images:
        if name != "image_0" and _is_black(images[name][0]):
            raise EpisodeError(f"it has no {name}, only a black image in its place")
    last = features.get("steps/is_last")
    return BridgeEpisode(
        states=states,
        actions=actions,
        images=images,
        instruction=_text(features, "steps/language_instruction"),
        source=_text(features, "episode_metadata/file_path"),
        complete=bool(last is not None and len(last) and last[-1]),
        size=size,
        own=_own(features),
    )


def _own(features: Mapping[str, Feature]) -> EpisodeMetadata | None:
    """What `ptr export rlds` keeps of a bag."""
    texts = features.get(OWN_METADATA)
    if not isinstance(texts, list) or not texts:
        return None
    return EpisodeMetadata.from_json(texts[0].decode("utf-8", "replace"))


def _has(features: Mapping[str, Feature], name: str) -> bool:
    """Whether there is an image of that name that is not a placeholder."""
    values = features.get(f"steps/observation/{name}")
    if not isinstance(values, list) or not values:
        return False
    return sane_size(values[0]) is None or not _is_black(values[0])


def _is_black(data: bytes) -> bool:
    """Whether an image is the release's placeholder for a missing camera.

    The features has_image_N should say so, but are also false for some images that exist.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return image is not None and not image.any()


def require_images(images: Mapping[str, Sequence[bytes]]) -> None:
    """Refuse bytes that are not an image, and images that claim to be huge."""
    for name, frames in images.items():
        for step, data in enumerate(frames):
            if sane_size(data) is None:
                raise EpisodeError(f"{name} of step {step} ({len(data)} bytes) is not an image")


def require_plausible(states: NDArray[np.float64], actions: NDArray[np.float64]) -> None:
    """Refuse numbers that are impossible for a robot arm."""
    for what, rows in (("state", states), ("action", actions)):
        for unit, columns, most in (("m", slice(0, 3), REACH), ("rad", slice(3, 6), MAX_TURN), ("", slice(6, 7), 2.0)):
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
    return plain_words(values[0].decode("utf-8", "replace") if isinstance(values, list) and values else "")


def plain_words(text: str) -> str:
    """A text of limited length without control characters."""
    return "".join(character if character.isprintable() else " " for character in text)[:MAX_TEXT]


def task_of(episode: BridgeEpisode, names: str) -> str:
    """Name of an episode's task.

    Args:
        names: one of `NAMES`. folder: as PTR names tasks. If the wanted name is not known, the other one is used.
    """
    folder, instruction = SourceFolder.of(episode.source).task, episode.instruction.strip()
    return task_name((folder or instruction) if names == "folder" else (instruction or folder))


def to_trajectory(episode: BridgeEpisode, start_ns: int) -> Trajectory:
    """Streams of a bag from an episode of the data set."""
    cameras = {camera: image for camera, image in CAMERAS.items() if image in episode.images}
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
class Rule:
    """How episodes become bags.

    Attributes:
        contract: that every bag follows.   cameras: of the contract, and the image of the data set for each.
        further: additional cameras and their images, for the episodes that have them.
        names: what tasks are named after, one of `NAMES`.
        action_shift: control steps by which images and states lag behind actions.
    """

    contract: Contract
    cameras: Mapping[str, str]
    further: Mapping[str, str]
    names: str
    action_shift: int

    @classmethod
    def of(cls, contract: Contract | None, names: str, action_shift: int, further: Sequence[str] = ()) -> Rule:
        """The rule for a contract, by default the suite's own.

        Raises:
            EpisodeError: the contract has a camera that Bridge has no image for, or the shift is negative.
        """
        if action_shift < 0:
            raise EpisodeError(f"action_shift is {action_shift}; it must be a whole number, 0 or more")
        contract = contract or Contract()
        first = [camera.name for camera in contract.cameras]
        unknown = [name for name in (*first, *further) if name not in CAMERAS]
        if unknown:
            raise EpisodeError(f"Bridge has no image for camera {unknown[0]}; known: {', '.join(CAMERAS)}")
        cameras = {name: CAMERAS[name] for name in first}
        return cls(contract, cameras, {n: CAMERAS[n] for n in further if n not in cameras}, names, action_shift)

    def contract_of(self, episode: BridgeEpisode) -> Contract:
        """The contract of an episode's bag: with the further cameras that it has."""
        there = [camera for camera, image in self.further.items() if image in episode.images]
        return self.contract.with_cameras([*self.cameras, *there])


def import_bridge(
    source: Path,
    out: Path,
    contract: Contract | None = None,
    advance: Callable[[int], None] = lambda size: None,
    account: Imported | None = None,
    *,
    names: str = "folder",
    action_shift: int = 0,
    further: Sequence[str] = (),
) -> Imported:
    """Write a bag for each episode of a data set; existing bags are kept, odd records are left out.

    Calling it again continues an interrupted import.

    Args:
        source: folder or file of the data set.
        out: folder for the bags.
        contract: by default the suite's own; its cameras must be in `CAMERAS`.
        advance: called after each episode with its bytes.
        account: filled during the import, so that it is available after an interruption; returned.
        names: what tasks are named after, one of `NAMES`.
        action_shift: control steps by which images and states lag behind actions. 0 in the release, whose conversion
            (bridgedata_raw_to_numpy.py) has shifted recordings from before 2021-07-23.
        further: additional cameras, for the episodes that have them.
    Raises:
        EpisodeError: there is nothing to import, or the bags cannot be written.
    """
    rule = Rule.of(contract, names, action_shift, further)
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
    rule: Rule,
    account: Imported,
) -> None:
    name = record_name("bridge", file, number, record)
    if is_there(out / name, rule.contract, tuple(rule.further)):
        account.kept.append(out / name)
        return
    try:
        wanted, further = tuple(rule.cameras.values()), tuple(rule.further.values())
        episode = _episode(parse_example(record), wanted, RECORD_OVERHEAD + len(record), further)
        if not episode.instruction.strip() and episode.own is None:
            raise EpisodeError("it has no instruction")
        metadata = describe(name, episode, rule)
        trajectory = to_trajectory(episode, _start(episode, name))
    except ODD as error:
        account.left_out.append(LeftOut(file, number, str(error)))
        return
    write_episode(out, metadata, trajectory)
    account.written.append(out / name)


def _start(episode: BridgeEpisode, name: str) -> int:
    """ns: start of the bag that the episode was exported from, if known."""
    told = episode.own.start_ns if episode.own else 0
    return told if 0 < told < 2**62 else placeholder_start(name)


def describe(name: str, episode: BridgeEpisode, rule: Rule) -> EpisodeMetadata:
    """Bridge's episodes are demonstrations that succeeded; the folder above the task names the kitchen.

    An episode that was exported from a bag keeps that bag's metadata.
    """
    if episode.own is not None:
        rule.contract.require(episode.own.contract, "it", source=True)
        return dataclasses.replace(episode.own, episode_id=name, contract=rule.contract_of(episode))
    extra: dict[str, Any] = {"instruction": episode.instruction}
    if episode.more_instructions:
        extra["more_instructions"] = list(episode.more_instructions)
    extra |= {"source": episode.source, "complete": episode.complete}
    return EpisodeMetadata(
        episode_id=name,
        task=task_of(episode, rule.names),
        outcome="success",
        operator="bridge",
        device="vr",
        robot="wx250s",
        kitchen=SourceFolder.of(episode.source).domain,
        contract=rule.contract_of(episode),
        action_shift=rule.action_shift,
        versions={"ptr_models": __version__},
        extra=extra,
    )
