# SPDX-License-Identifier: Apache-2.0
"""The episodes of a run: their folders, contract and number."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.exclusion import Exclusion, absolute_patterns
from ptr_models.episodes.manifest import is_manifest
from ptr_models.episodes.reader import find_episodes, read_metadata
from ptr_models.json_input import read_object
from ptr_models.replay import Dataset, open_episodes
from ptr_models.replay.store import ALL_STEPS
from ptr_models.replay.videos import open_videos
from ptr_models.training.config import DataConfig
from ptr_models.training.tasks import GOAL_IMAGE, LANGUAGE, ONE_HOT

DATA = "data.json"
LOGGER = logging.getLogger(__name__)
SETS = ("prior", "target", "videos")
"""Names of the data sets in data.json."""
SPREAD = 25
"""Episodes whose contracts are compared."""


@dataclass(frozen=True)
class Bags:
    """Where the data of a run is.

    Attributes:
        prior: folders with pre-training episodes.   target: folders with demonstrations of the new task.
        cache: folder of replay caches, None: the user's.
        exclude: paths and globs of episode folders to leave out, see `episodes.exclusion`.
        videos: MP4 files, or folders of them, whose frames are pre-training data without actions.
    """

    prior: Sequence[Path] = ()
    target: Sequence[Path] = ()
    cache: Path | None = None
    exclude: Sequence[str] = ()
    videos: Sequence[Path] = ()


def contract_of(
    bags: Bags, low_dim: bool = False, image_size: int | None = None, cameras: Sequence[str] = ()
) -> Contract:
    """The most frequent contract among a few episodes spread over the folders. Bags with another one are left out.

    Its latencies are those of the target data, whose robot the policy will act on. With videos alone, it is the default
    contract.

    Args:
        low_dim: observe simulated objects instead of images, whether the bags have images or not.
        image_size: height and width of the images, resized from the full ones in the bags; None: as the bags say.
        cameras: cameras to use, in this order; empty: those of the bags.
    """
    if bags.videos and not (bags.prior or bags.target):
        return _sized([Contract()], image_size)[0]
    if not bags.prior and not bags.target:
        raise PtrError("training needs episodes; name their folders with --data")
    exclusion = Exclusion(bags.exclude)
    found = _sized(_seeing(_contracts([*bags.prior, *bags.target], low_dim, exclusion), cameras), image_size)
    agreed = Counter(contract.without_latencies() for contract in found).most_common(1)[0][0]
    of_target = found
    if bags.target:
        of_target = _sized(_seeing(_contracts(bags.target, low_dim, exclusion), cameras), image_size)
    robots = [contract for contract in of_target if contract.without_latencies() == agreed]
    return agreed.with_latencies(Counter(robots).most_common(1)[0][0]) if robots else agreed


def _seeing(contracts: Sequence[Contract], cameras: Sequence[str]) -> list[Contract]:
    """Contracts with these cameras, reduced to them; without names, all contracts as they are.

    Raises:
        PtrError: there are none.
    """
    if not cameras:
        return list(contracts)
    names = [[camera.name for camera in contract.cameras] for contract in contracts]
    able = [c.with_cameras(cameras) for c, known in zip(contracts, names, strict=True) if set(cameras) <= set(known)]
    if not able:
        raise PtrError(
            f"data.cameras is {', '.join(cameras)}, but the bags have {', '.join(names[0]) or 'none'}; name cameras of "
            "the bags"
        )
    return able


def _sized(contracts: Sequence[Contract], size: int | None) -> list[Contract]:
    """The contracts with images of this size. Other sizes in the bags are logged."""
    if size is None:
        return list(contracts)
    others = {camera for contract in contracts for camera in contract.cameras}
    sizes = sorted({f"{camera.width}x{camera.height}" for camera in others} - {f"{size}x{size}"})
    if sizes:
        LOGGER.info("images are resized to %dx%d from the bags' full images, not to %s", size, size, ", ".join(sizes))
    return [contract.with_image_size(size, size) for contract in contracts]


def _contracts(folders: Sequence[Path], low_dim: bool, exclusion: Exclusion) -> list[Contract]:
    """The contracts of a few episodes spread over some folders: at least one, otherwise the first error is raised."""
    episodes = find_episodes(folders, exclusion)
    found = []
    for path in episodes[:: -(-len(episodes) // SPREAD)]:
        try:
            found.append(read_metadata(path).contract)
        except PtrError:  # a damaged bag does not count; it is left out later, with its reason
            continue
    found = found or [read_metadata(episodes[0]).contract]
    return [contract.low_dim() for contract in found] if low_dim else found


def open_bags(
    bags: Bags, contract: Contract, max_idle_steps: int = ALL_STEPS, task_conditioning: str = ONE_HOT
) -> tuple[Dataset | None, Dataset | None]:
    """Prior and target data, None if no folder is given. Their size is logged.

    Args:
        max_idle_steps, task_conditioning: see `config.DataConfig`.
    """
    exclusion = Exclusion(bags.exclude)
    opened = [
        open_episodes(folders, contract, root=bags.cache, exclusion=exclusion, max_idle_steps=max_idle_steps)
        if folders
        else None
        for folders in (bags.prior, bags.target)
    ]
    exclusion.warn_of_unused()
    if bags.prior or bags.target:
        _tell_of_unseen([*bags.prior, *bags.target], contract, exclusion)
    if task_conditioning == LANGUAGE:
        opened = [data and data.by_instruction() for data in opened]
    if task_conditioning == GOAL_IMAGE:
        opened = [data and data.by_goal_image() for data in opened]
    for name, data in zip(("pre-training", "target"), opened, strict=True):
        if data is not None:
            LOGGER.info(
                "%s data: %d episodes, %d transitions, %d tasks, %d episodes left out",
                name,
                len(data),
                data.transitions,
                len(data.task_names),
                len(data.left_out),
            )
            _tell_of_left_out(data)
    return opened[0], opened[1]


def _tell_of_left_out(data: Dataset) -> None:
    for item in data.left_out[:10]:
        LOGGER.warning("left out: %s: %s", item.path, item.reason)


def open_frames(bags: Bags, contract: Contract, config: DataConfig) -> Dataset | None:
    """The frames of the videos, None if there are none. Their number is logged."""
    if not bags.videos:
        return None
    data = open_videos(bags.videos, contract, config.video_rate, root=bags.cache)
    frames = data.transitions + len(data)
    LOGGER.info("videos: %d parts, %d frames, %d files left out", len(data), frames, len(data.left_out))
    _tell_of_left_out(data)
    return data.by_goal_image() if config.by_goal_image else data


def _tell_of_unseen(folders: Sequence[Path], contract: Contract, exclusion: Exclusion) -> None:
    """Log the cameras of the bags that a contract does not use."""
    seen = {camera.name for camera in contract.cameras}
    recorded = {camera.name for found in _contracts(folders, False, exclusion) for camera in found.cameras}
    if seen and recorded - seen:
        LOGGER.warning(
            "images of camera %s are in the bags, but not used: the contract has %s",
            ", ".join(sorted(recorded - seen)),
            ", ".join(camera.name for camera in contract.cameras),
        )


def open_folders(
    folders: Sequence[Path],
    contract: Contract,
    *,
    cache: Path | None = None,
    exclude: Sequence[str] = (),
    inherited: Sequence[str] = (),
    max_idle_steps: int = ALL_STEPS,
    goal_images: bool = False,
) -> Dataset:
    """The episodes in some folders, for a command with the option `--exclude`.

    Args:
        cache: folder of replay caches, None: the user's.   exclude: the option's patterns; those that match nothing are
            logged.   inherited: more patterns, e.g. those of a run.
        max_idle_steps: see `config.DataConfig`.
        goal_images: add goal images, see `Dataset.by_goal_image`.
    """
    exclusion = Exclusion(exclude, inherited)
    data = open_episodes(folders, contract, root=cache, exclusion=exclusion, max_idle_steps=max_idle_steps)
    exclusion.warn_of_unused()
    return data.by_goal_image() if goal_images else data


def data_report(
    bags: Bags, prior: Dataset | None, target: Dataset | None, videos: Dataset | None = None
) -> dict[str, Any]:
    """The content of data.json: for each data set its folders, counts, steps per task, and what is left out and why."""
    pairs = (("prior", bags.prior, prior), ("target", bags.target, target), ("videos", bags.videos, videos))
    return {name: _describe(folders, data, bags.exclude) for name, folders, data in pairs if data is not None}


def bags_of_run(folder: Path, cache: Path | None = None) -> Bags:
    """The folders of bags that a run's data.json names.

    Raises:
        PtrError: the file is missing or unreadable, or a folder no longer exists.
    """
    try:
        data = read_object(folder / DATA, advice="name the data with --data and --target", finite=False)
        found = {name: tuple(map(Path, data[name]["folders"])) for name in SETS if name in data}
        exclude = tuple(dict.fromkeys(str(item) for name in found for item in data[name].get("exclude", ())))
    except (AttributeError, KeyError, TypeError) as error:
        raise PtrError(f"{folder / DATA} cannot be read ({error!r}); name the data with --data and --target") from error
    for path in (path for paths in found.values() for path in paths):
        if not path.is_dir() and not is_manifest(path) and path not in found.get("videos", ()):
            raise PtrError(f"{path}, the data of the run, no longer exists; give its new path with --data and --target")
    return Bags(found.get("prior", ()), found.get("target", ()), cache, exclude, found.get("videos", ()))


def warn_of_changes(folder: Path, data: dict[str, Any]) -> None:
    """Warn when a run continues with other bags than it started with, since its batches will differ."""
    try:
        before = read_object(folder / DATA, finite=False)
        bags = {name: set(before.get(name, {}).get("bags", ())) for name in SETS}
    except (PtrError, AttributeError, TypeError):
        return
    for name in SETS:
        old, new = bags[name], set(data.get(name, {}).get("bags", ()))
        if old != new:
            LOGGER.warning(
                "%s data has changed since the run started (%d bags removed, %d new); its batches will differ",
                name,
                len(old - new),
                len(new - old),
            )


def _describe(folders: Sequence[Path], data: Dataset, exclude: Sequence[str]) -> dict[str, Any]:
    steps: dict[str, int] = {}
    for task, length in zip(data.tasks, data.lengths, strict=True):
        steps[task] = steps.get(task, 0) + int(length)
    return {
        "folders": [str(Path(folder).resolve()) for folder in folders],
        "exclude": absolute_patterns(exclude),
        "episodes": len(data),
        "successes": int(np.sum(data.successes)),
        "transitions": data.transitions,
        "steps_of_task": dict(sorted(steps.items())),
        "bags": list(data.paths),
        "left_out": [{"bag": item.path, "reason": item.reason} for item in data.left_out],
    }


def limited(dataset: Dataset, episodes: int, seed: int) -> Dataset:
    """At most this many episodes, chosen by the seed; -1: all."""
    if episodes < 0 or episodes >= len(dataset):
        return dataset
    keep = np.zeros(len(dataset), dtype=bool)
    keep[np.random.default_rng(seed).permutation(len(dataset))[:episodes]] = True
    return dataset.select(keep)
