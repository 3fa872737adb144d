# SPDX-License-Identifier: Apache-2.0
"""Export bags as a LeRobotDataset v3.0.

Each bag is staged by itself in `OUT.partial/staged`, by one process per core; what is staged is kept if an export is
interrupted. Then the episodes are put together, and the folder gets its name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ptr_models import __version__
from ptr_models.common.errors import PtrError
from ptr_models.common.output_folder import locked
from ptr_models.episodes import pool
from ptr_models.episodes.episode_discovery import Stamp, find_bags
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import OUTCOMES
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.writer import PARTIAL
from ptr_models.exchange.exporting import KINDS, Exported, first_contract, refusal_of, size_refusal
from ptr_models.exchange.lerobot.assembly import Assembly
from ptr_models.exchange.lerobot.layout import UnwritableError, full
from ptr_models.exchange.lerobot.staging import EPISODE, ROWS, Plan, Staged, stage
from ptr_models.exchange.lerobot.video import Encoding
from ptr_models.input_limits import MAX_IMAGE_SIDE
from ptr_models.provenance import installed_versions, source_commit

_STAGED, _DATASET = "staged", "dataset"


@dataclass(frozen=True)
class Options:
    """What is exported, and how.

    Attributes:
        cameras: names; None: those of the contract.
        outcomes, kinds: of the bags that are exported.
        encoding: of the videos.
        image_size: their height and width; None: as recorded.
        workers: processes.
    """

    cameras: tuple[str, ...] | None = None
    outcomes: tuple[str, ...] = OUTCOMES
    kinds: tuple[str, ...] = KINDS
    encoding: Encoding = Encoding()
    image_size: tuple[int, int] | None = None
    workers: int = field(default_factory=pool.cores)


def export_lerobot(
    bags: Iterable[Path | str],
    out: Path,
    options: Options | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    account: Exported | None = None,
) -> Exported:
    """Write bags as a data set. Calling it again continues an interrupted export.

    Args:
        bags: folders of episodes, at any depth.
        out: folder of the data set, which must not exist.
        advance: called after each bag with how many are done, and of how many.
        account: filled while it runs; returned.
    Raises:
        EpisodeError: there is nothing to export, `out` exists, or it cannot be written.
    """
    options = options or Options()
    account = Exported() if account is None else account
    found = find_bags(bags)
    if out.exists():
        raise EpisodeError(f"{out} already exists; choose another folder or move it away")
    plan = _plan(found, options)
    partial_folder = out.with_name(out.name + PARTIAL)
    with locked(partial_folder):
        try:
            staged = _stage_all(found, partial_folder / _STAGED, plan, options, advance, account)
            _assemble(staged, partial_folder / _DATASET, plan, account)
            os.replace(partial_folder / _DATASET, out)
            shutil.rmtree(partial_folder)
        except OSError as error:
            raise EpisodeError(f"{out} cannot be written: {error.strerror or error}; what is done is kept") from error
    return account


def _plan(found: dict[str, Stamp], options: Options) -> Plan:
    """The plan of an export; all bags must have the contract of the first readable one."""
    path, contract = first_contract(found)
    if contract.control_rate != round(contract.control_rate):
        raise EpisodeError(
            f"{path} has a control rate of {contract.control_rate:g} Hz; LeRobot knows whole frames per second only"
        )
    cameras = options.cameras if options.cameras is not None else tuple(item.name for item in contract.cameras)
    plan = Plan(contract, cameras, options.encoding, options.image_size)
    height, width = options.image_size or (MAX_IMAGE_SIDE, MAX_IMAGE_SIDE)
    for camera in plan.sampled.cameras:
        if height < camera.height or width < camera.width:
            raise EpisodeError(
                f"images of {width}x{height} pixels are smaller than the {camera.width}x{camera.height} that policies "
                f"see of camera {camera.name}; choose at least that size"
            )
    return plan


def _stage_all(
    found: dict[str, Stamp],
    folder: Path,
    plan: Plan,
    options: Options,
    advance: Callable[[int, int], None],
    account: Exported,
) -> list[Path]:
    """Folders of staged episodes, in the order of the bags."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(path, folder / _key(path, stamp, plan)) for path, stamp in found.items()]
    work = partial(_stage_one, plan=plan, outcomes=options.outcomes, kinds=options.kinds)
    staged = []
    results = pool.in_order(work, jobs, options.workers)
    for number, ((path, place), refusal) in enumerate(zip(jobs, results, strict=True)):
        if refusal:
            account.left_out.append((Path(path), refusal))
        else:
            staged.append(place)
        advance(number + 1, len(jobs))
    if not staged:
        raise EpisodeError(f"none of {len(jobs)} bags can be exported; {account.left_out[0][1]}")
    return staged


def _key(path: str, stamp: Stamp, plan: Plan) -> str:
    """Name of a staged episode: it changes with the bag, its label and the plan."""
    how = (plan.contract.to_json(), plan.cameras, plan.encoding, plan.image_size, __version__)
    identity = repr((os.path.abspath(path), stamp, *how))
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


def _stage_one(job: tuple[str, Path], plan: Plan, outcomes: Sequence[str], kinds: Sequence[str]) -> str:
    """Stage a bag unless that is done; returns why it is left out, or an empty string."""
    path, place = job
    try:
        metadata = read_metadata(path)
        if refusal := refusal_of(metadata, outcomes, kinds):
            return refusal
        if not ((place / EPISODE).is_file() and (place / ROWS).is_file()):
            shutil.rmtree(place, ignore_errors=True)
            stage(Path(path), place, plan)
    except UnwritableError:
        raise
    except PtrError as error:
        return str(error)
    except OSError as error:
        if full(error):
            raise
        return f"it cannot be staged: {error.strerror or error}"
    return ""


def _assemble(staged: Sequence[Path], folder: Path, plan: Plan, account: Exported) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    first = Staged.load(staged[0])
    (folder / "meta").mkdir(parents=True)
    assembly = Assembly(folder, plan.contract, first, plan.encoding, first.metadata.robot)
    for place in staged:
        episode = Staged.load(place)
        if reason := size_refusal(episode.sizes, first.sizes):
            account.left_out.append((Path(episode.metadata.episode_id), reason))
            continue
        assembly.append(episode)
    assembly.close(_provenance(plan, account))
    account.episodes, account.steps = assembly.episodes, assembly.frames


def _provenance(plan: Plan, account: Exported) -> dict[str, Any]:
    size, frame = plan.image_size, plan.contract.frame
    return {
        "written_by": f"ptr_models {__version__}",
        "commit": source_commit() or "",
        "versions": installed_versions(),
        "contract": plan.contract.to_dict(),
        "image_size": "as recorded" if size is None else f"{size[1]}x{size[0]}",
        "meaning": "An action is the displacement of the commanded end effector during its step, along the axes of "
        f"{frame}, and the gripper commanded at its end; roll, pitch and yaw are fixed-axis XYZ. Angles of "
        "the state are relative to the gripper pointing straight down.",
        "left_out": [{"bag": path.name, "reason": reason} for path, reason in account.left_out[:1000]],
    }
