# SPDX-License-Identifier: Apache-2.0
"""Import a local LeRobotDataset: each episode becomes a bag, as in `episodes.importing.bridge`."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import google_crc32c
import numpy as np
from numpy.typing import NDArray

from ptr_models import __version__
from ptr_models.common.errors import PtrError
from ptr_models.common.output_folder import locked
from ptr_models.common.plain_text import plain
from ptr_models.common.rotations import DEFAULT_ROTATION, matrix_from_rpy
from ptr_models.contract import Contract
from ptr_models.episodes import pool
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import require_plausible
from ptr_models.episodes.importing.naming import task_name
from ptr_models.episodes.importing.records import Imported, LeftOut, is_there
from ptr_models.episodes.jpeg import sane_size
from ptr_models.episodes.metadata import EpisodeMetadata, placeholder_start
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_models.exchange.lerobot import layout, video
from ptr_models.exchange.lerobot.mapping import Fit, contract_at, look_absolute, match
from ptr_models.exchange.lerobot.reading import Dataset, Record
from ptr_models.input_limits import MAX_RECORD_BYTES, MAX_TEXT
from ptr_models.json_input import read_object

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How episodes become bags.

    Attributes:
        contract: of the bags; None: the data set's own, or else the suite's at the data set's rate.
        cameras: camera of the bags to the part of a feature's name after observation.images.
        state_names, action_names: in place of the data set's.
        gripper_closed_is_1: inverts both grippers.
        outcome: of episodes that have none.
        robot: in place of the data set's.
        jpeg_quality: of images that come from videos.
        workers: processes.
    """

    contract: Contract | None = None
    cameras: Mapping[str, str] = field(default_factory=dict)
    state_names: tuple[str, ...] | None = None
    action_names: tuple[str, ...] | None = None
    gripper_closed_is_1: bool = False
    outcome: str = "success"
    robot: str = ""
    jpeg_quality: int = 95
    workers: int = field(default_factory=pool.cores)

    def __post_init__(self) -> None:
        if not 1 <= self.jpeg_quality <= 100:
            raise EpisodeError(f"the JPEG quality is {self.jpeg_quality}; it must be from 1 to 100")


@dataclass(frozen=True)
class _Rule:
    """What is the same for all episodes."""

    name: str
    out: Path
    contract: Contract
    mapping: Fit
    fps: int
    robot: str
    options: Options


def import_lerobot(
    source: Path,
    out: Path,
    options: Options | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    account: Imported | None = None,
) -> Imported:
    """Write a bag for each episode; existing bags are kept, odd episodes are left out.

    Args:
        source: folder of the data set.
        out: folder for the bags.
        advance: called after each episode with how many are done, and of how many.
        account: filled while it runs; returned.
    Raises:
        EpisodeError: its features do not fit (and what would be needed), or the bags cannot be written.
    """
    options = options or Options()
    account = Imported() if account is None else account
    dataset = Dataset(source)
    contract = options.contract or _own_contract(source) or contract_at(Contract(), dataset.fps)
    if contract.control_rate != dataset.fps:
        raise EpisodeError(
            f"the data set has {dataset.fps} frames per second, the contract {contract.control_rate:g} Hz; "
            "give a contract of the same rate"
        )
    mapping = match(
        dataset.features, dataset.robot, contract, options.cameras, options.state_names, options.action_names
    )
    robot = options.robot or ("wx250s" if dataset.robot.lower().startswith("widowx") else dataset.robot)
    rule = _Rule(source.resolve().name, out, contract, mapping, dataset.fps, robot, options)
    numbers = tuple(name for name in (layout.STATE, layout.ACTION, layout.SUCCESS) if name in dataset.features)
    for key, reason in mapping.left_out.items():
        LOGGER.warning("%s is left out: %s", plain(key), reason)
    taken = tuple(mapping.cameras.values())
    videos = tuple(key for key in taken if dataset.features[key]["dtype"] == "video")
    images = tuple(key for key in taken if key not in videos)
    with locked(out):
        records = dataset.records(numbers, videos, images)
        results = pool.in_order(partial(_import, rule=rule), records, options.workers)
        for done, (index, name, refusal) in enumerate(results):
            if refusal:
                account.left_out.append(LeftOut(source, index, refusal))
            elif name.startswith("+"):
                account.written.append(out / name[1:])
            else:
                account.kept.append(out / name)
            advance(done + 1, max(dataset.total, done + 1))
    return account


def _own_contract(source: Path) -> Contract | None:
    """The contract stored by an export of this suite; None without one."""
    path = source / layout.PROVENANCE
    if not path.is_file():
        return None
    found = read_object(layout.below(source, layout.PROVENANCE), EpisodeError)
    return Contract.from_dict(found["contract"]) if isinstance(found.get("contract"), dict) else None


def _import(record: Record, rule: _Rule) -> tuple[int, str, str]:
    """Number, name (with a + when the bag was written now) and why it is left out."""
    try:
        if record.problem:
            raise EpisodeError(record.problem)
        return record.index, _import_record(record, rule), ""
    except layout.UnwritableError:
        raise
    except (PtrError, ValueError, ArithmeticError, np.linalg.LinAlgError, OSError) as error:
        return record.index, "", str(error)


def _import_record(record: Record, rule: _Rule) -> str:
    states = record.rows[layout.STATE][:, rule.mapping.state]
    actions = record.rows[layout.ACTION][:, rule.mapping.action]
    if rule.options.gripper_closed_is_1:
        states[:, 6], actions[:, 6] = 1.0 - states[:, 6], 1.0 - actions[:, 6]
    require_plausible(states, actions)
    if look_absolute(states, actions):
        raise EpisodeError("its actions are close to its states: poses, not displacements per step")
    checksum = google_crc32c.value(states.tobytes() + actions.tobytes() + record.task.encode("utf-8", "replace"))
    metadata = _metadata(record, rule, f"{checksum:08x}")
    if is_there(rule.out / metadata.episode_id, rule.contract):
        there = read_metadata(rule.out / metadata.episode_id).extra.get("lerobot")
        if not isinstance(there, dict) or there.get("checksum") != f"{checksum:08x}":
            raise EpisodeError(f"{rule.out / metadata.episode_id} already exists and is another episode")
        return metadata.episode_id
    trajectory = Trajectory.from_actions(
        actions,
        images={name: list(_images(record, key, rule)) for name, key in rule.mapping.cameras.items()},
        measured_position=states[:, :3],
        measured_rotation=matrix_from_rpy(states[:, 3:6]) @ DEFAULT_ROTATION,
        gripper=states[:, 6],
        start_ns=_start(metadata),
        source=metadata.device or "lerobot",
    )
    try:
        write_episode(rule.out, metadata, trajectory)
    except EpisodeError as error:
        if layout.full(error.__cause__ or error):
            raise layout.UnwritableError(str(error)) from error
        raise
    return f"+{metadata.episode_id}"


def _images(record: Record, key: str, rule: _Rule) -> Iterator[bytes]:
    """Encoded images: those of the rows as they are, those of a video as JPEG."""
    size = 0
    if key in record.rows:
        for step, data in enumerate(record.rows[key]):
            if sane_size(data) is None:
                raise EpisodeError(f"{key} of row {step} ({len(data)} bytes) is not a JPEG or PNG")
            yield data
        return
    span = record.videos[key]
    times: NDArray[np.float64] = record.rows["timestamp"]
    for image in video.decode(span.path, span.begin, times, rule.fps):
        done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, rule.options.jpeg_quality])
        if not done:
            raise EpisodeError(f"a frame of {key} of shape {image.shape} cannot be encoded as JPEG")
        size += encoded.size
        if size > MAX_RECORD_BYTES:
            raise EpisodeError(f"the images of {key} have more than {MAX_RECORD_BYTES} bytes")
        yield encoded.tobytes()


def _metadata(record: Record, rule: _Rule, checksum: str) -> EpisodeMetadata:
    origin = {"dataset": rule.name, "episode_index": record.index, "checksum": checksum}
    if record.metadata:
        own = EpisodeMetadata.from_json(record.metadata)
        rule.contract.require(own.contract, "it")
        before = own.extra.get("lerobot")
        origin = (before if isinstance(before, dict) else {}) | origin
        return dataclasses.replace(own, contract=rule.contract, extra=own.extra | {"lerobot": origin})
    instruction = "".join(character if character.isprintable() else " " for character in record.task)[:MAX_TEXT]
    success = record.rows.get(layout.SUCCESS)
    outcome = rule.options.outcome if success is None else ("success" if success.any() else "failure")
    place = re.sub(r"[^A-Za-z0-9]+", "_", rule.name).strip("_")[-60:]
    return EpisodeMetadata(
        episode_id=f"lerobot_{place}_{record.index:06d}_{checksum}",
        task=task_name(instruction),
        instruction=instruction,
        outcome=outcome,
        operator="lerobot",
        robot=rule.robot,
        contract=rule.contract,
        versions={"ptr_models": __version__},
        extra={"lerobot": origin},
    )


def _start(metadata: EpisodeMetadata) -> int:
    """ns: when it was recorded, if known; otherwise a time that follows from its name."""
    origin: Any = metadata.extra.get("lerobot")
    told = origin.get("start_ns") if isinstance(origin, dict) else None
    if isinstance(told, int) and 0 < told < 2**62:
        return told
    return placeholder_start(metadata.episode_id)
