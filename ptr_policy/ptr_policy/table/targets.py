# SPDX-License-Identifier: Apache-2.0
"""The user's demonstrations of the target tasks: one folder of bags for each, recorded, imported or simulated."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.exclusion import Exclusion
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata
from ptr_models.replay.cache import OUTCOMES
from ptr_models.training.tasks import TaskTable

LOGGER = logging.getLogger(__name__)
SIMULATED = "sim"
"""Robot in the metadata of bags of the simulator."""


@dataclass(frozen=True)
class Target:
    """Demonstrations of one task that exist already.

    Attributes:
        task: its name.
        kitchen: the simulated one of the bags and of the trials; empty: a real arm's, whose trials a person judges.
        folder: of the bags, or a set of them (`episodes.manifest`).
        bags: their paths, relative to the folder, or to that of the set.
        levels: of the simulated scenes, as far as the bags say.
    """

    task: str
    kitchen: str
    folder: Path
    bags: tuple[str, ...]
    levels: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """As JSON values."""
        return {"folder": str(self.folder), "bags": list(self.bags)}


def read_targets(folders: Sequence[Path]) -> dict[str, Target]:
    """The demonstrations in each folder, by task.

    Raises:
        PtrError: a folder holds none, those of several tasks, some that training would leave out, or a task that
            another folder holds.
    """
    found: dict[str, Target] = {}
    for folder in folders:
        target = read_target(folder.resolve())
        if target.task in found:
            raise PtrError(
                f"{found[target.task].folder} and {target.folder} both hold demonstrations of {target.task}; put them "
                "into one folder"
            )
        found[target.task] = target
    return found


def read_target(folder: Path) -> Target:
    """The demonstrations in a folder; errors as in `read_targets`."""
    known = {path: read_metadata(path) for path in find_episodes([folder])}
    task = _only(folder, "tasks", (it.task for it in known.values()))
    for path, it in known.items():
        if it.outcome not in OUTCOMES:
            raise PtrError(
                f"{path} is {it.outcome}, so training would leave it out; judge it with `ptr label`, or remove it with "
                "`ptr discard`"
            )
    kitchen = ""
    if all(_is_simulated(it) for it in known.values()):
        kitchen = _only(folder, "kitchens", (it.kitchen for it in known.values()))
    levels = {str(it.extra["level"]) for it in known.values() if kitchen and "level" in it.extra}
    bags = tuple(os.path.relpath(path, _base(folder)) for path in known)
    return Target(task, kitchen, folder, bags, tuple(sorted(levels)))


def _base(folder: Path) -> Path:
    """Where the paths of a folder's or a set's bags begin."""
    return folder if folder.is_dir() else folder.parent


def _only(folder: Path, what: str, names: Iterable[str]) -> str:
    """The one name that all bags of a folder have.

    Raises:
        PtrError: they have several.
    """
    counts = Counter(names)
    if len(counts) > 1:
        shares = ", ".join(f"{name} ({count})" for name, count in counts.most_common())
        raise PtrError(f"{folder} holds demonstrations of several {what}: {shares}; give --target a folder for each")
    return next(iter(counts))


def _is_simulated(metadata: EpisodeMetadata) -> bool:
    """Whether the simulator can set up trials like this demonstration."""
    named = metadata.kitchen in arguments.known("kitchen") and metadata.task in arguments.known("task")
    return metadata.robot == SIMULATED and named


def check_readable(targets: Iterable[Target], contract: Contract) -> None:
    """Read every demonstration as training will.

    Args:
        contract: of the pre-training bags, with images of the size that the networks see.
    Raises:
        PtrError: a bag follows another contract, has images that are too small, or is damaged.
    """
    for target in targets:
        for name in target.bags:
            try:
                read_episode(_base(target.folder) / name, contract)
            except PtrError as error:
                raise PtrError(
                    f"a demonstration of {target.task} does not fit the pre-training bags: {error}; discard it, record "
                    "or import it with their contract (`ptr contract show`), or give other pre-training bags"
                ) from error


def warn_of_levels(targets: Iterable[Target], level: str) -> None:
    """Warn if simulated demonstrations have another level than the trials."""
    for target in targets:
        others = [name for name in target.levels if name != level]
        if others:
            LOGGER.warning(
                "the demonstrations of %s are of level %s, its trials of level %s; --level changes that",
                target.task,
                ", ".join(others),
                level,
            )


def warn_of_known_tasks(targets: Iterable[Target], data: Path, exclude: Sequence[str]) -> None:
    """Warn if a target task is among the pre-training bags, because it is then not a new task."""
    canonical = TaskTable((), 0).canonical
    counts: Counter[str] = Counter()
    for path in find_episodes([data], Exclusion(exclude)):
        try:
            counts[canonical(read_metadata(path).task)] += 1
        except PtrError:  # training reports it and leaves it out
            continue
    for target in targets:
        if count := counts[canonical(target.task)]:
            LOGGER.warning(
                "%d of the pre-training bags are of %s, so it is not a new task for methods that pre-train; leave "
                "them out with --exclude",
                count,
                target.task,
            )
