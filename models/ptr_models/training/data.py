# SPDX-License-Identifier: Apache-2.0
"""The episodes of a run: which folders, under which contract, how many of them."""

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
from ptr_models.episodes.exclusion import Exclusion, lasting
from ptr_models.episodes.reader import find_episodes, read_metadata
from ptr_models.json_input import read_object
from ptr_models.replay import Dataset, open_episodes

DATA = "data.json"
LOGGER = logging.getLogger(__name__)
SPREAD = 25
"""Episodes whose contracts are compared."""


@dataclass(frozen=True)
class Bags:
    """Where the data of a run lie.

    Attributes:
        prior: folders with pre-training episodes.   target: folders with demonstrations of the new task.
        cache: folder of replay caches, None: the user's.
        exclude: paths and globs of folders of episodes that are left out, see `episodes.exclusion`.
    """

    prior: Sequence[Path] = ()
    target: Sequence[Path] = ()
    cache: Path | None = None
    exclude: Sequence[str] = ()


def contract_of(bags: Bags, low_dim: bool = False) -> Contract:
    """The most frequent contract of a few episodes spread over the folders; bags of another one are left out.

    Its latencies are those of the target data, since that is the robot which the policy will act on.

    Args:
        low_dim: see simulated objects instead of images, whether the bags have images or not.
    """
    if not bags.prior and not bags.target:
        raise PtrError("training needs episodes; name their folders with --data")
    exclusion = Exclusion(bags.exclude)
    found = _contracts([*bags.prior, *bags.target], low_dim, exclusion)
    agreed = Counter(contract.without_latencies() for contract in found).most_common(1)[0][0]
    of_target = _contracts(bags.target, low_dim, exclusion) if bags.target else found
    robots = [contract for contract in of_target if contract.without_latencies() == agreed]
    return agreed.with_latencies(Counter(robots).most_common(1)[0][0]) if robots else agreed


def _contracts(folders: Sequence[Path], low_dim: bool, exclusion: Exclusion) -> list[Contract]:
    """The contracts of a few episodes spread over some folders; at least one, or the error that the first one gives."""
    episodes = find_episodes(folders, exclusion)
    found = []
    for path in episodes[:: -(-len(episodes) // SPREAD)]:
        try:
            found.append(read_metadata(path).contract)
        except PtrError:  # a damaged bag has no say; it is left out with its reason later
            continue
    found = found or [read_metadata(episodes[0]).contract]
    return [contract.low_dim() for contract in found] if low_dim else found


def open_bags(bags: Bags, contract: Contract) -> tuple[Dataset | None, Dataset | None]:
    """Prior and target data, None where no folder is named; what they hold goes to the log."""
    exclusion = Exclusion(bags.exclude)
    opened = [
        open_episodes(folders, contract, root=bags.cache, exclusion=exclusion) if folders else None
        for folders in (bags.prior, bags.target)
    ]
    exclusion.warn_of_unused()
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
            for item in data.left_out[:10]:
                LOGGER.warning("left out: %s: %s", item.path, item.reason)
    return opened[0], opened[1]


def open_folders(
    folders: Sequence[Path],
    contract: Contract,
    *,
    cache: Path | None = None,
    exclude: Sequence[str] = (),
    inherited: Sequence[str] = (),
) -> Dataset:
    """The episodes in some folders, for a command with the option `--exclude`.

    Args:
        cache: folder of replay caches, None: the user's.   exclude: what the option holds; what leaves out nothing is
            named in the log.   inherited: more patterns, such as those of a run.
    """
    exclusion = Exclusion(exclude, inherited)
    data = open_episodes(folders, contract, root=cache, exclusion=exclusion)
    exclusion.warn_of_unused()
    return data


def data_report(bags: Bags, prior: Dataset | None, target: Dataset | None) -> dict[str, Any]:
    """What goes into data.json: per data set its folders, counts, steps per task, and what was left out and why."""
    pairs = (("prior", bags.prior, prior), ("target", bags.target, target))
    return {name: _describe(folders, data, bags.exclude) for name, folders, data in pairs if data is not None}


def bags_of_run(folder: Path, cache: Path | None = None) -> Bags:
    """The folders of bags that a run's data.json names.

    Raises:
        PtrError: there is no such file, it cannot be read, or a folder is no longer there.
    """
    try:
        data = read_object(folder / DATA, advice="name the data with --data and --target", finite=False)
        found = {name: tuple(map(Path, data[name]["folders"])) for name in ("prior", "target") if name in data}
        exclude = tuple(dict.fromkeys(str(item) for name in found for item in data[name].get("exclude", ())))
    except (AttributeError, KeyError, TypeError) as error:
        raise PtrError(f"{folder / DATA} cannot be read ({error!r}); name the data with --data and --target") from error
    for path in (path for paths in found.values() for path in paths):
        if not path.is_dir():
            raise PtrError(f"{path}, whose bags the run began with, is gone; say where it is now: --data and --target")
    return Bags(found.get("prior", ()), found.get("target", ()), cache, exclude)


def warn_of_changes(folder: Path, data: dict[str, Any]) -> None:
    """Say so when a run goes on with other bags than it began with: then it draws other batches."""
    try:
        before = read_object(folder / DATA, finite=False)
        bags = {name: set(before.get(name, {}).get("bags", ())) for name in ("prior", "target")}
    except (PtrError, AttributeError, TypeError):
        return
    for name in ("prior", "target"):
        old, new = bags[name], set(data.get(name, {}).get("bags", ()))
        if old != new:
            LOGGER.warning(
                "%s data have changed since the run began (%d bags gone, %d new): it goes on, but not as it would have",
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
        "exclude": lasting(exclude),
        "episodes": len(data),
        "successes": int(np.sum(data.successes)),
        "transitions": data.transitions,
        "steps_of_task": dict(sorted(steps.items())),
        "bags": list(data.paths),
        "left_out": [{"bag": item.path, "reason": item.reason} for item in data.left_out],
    }


def limited(dataset: Dataset, episodes: int, seed: int) -> Dataset:
    """At most that many episodes, chosen by the seed; -1: all."""
    if episodes < 0 or episodes >= len(dataset):
        return dataset
    keep = np.zeros(len(dataset), dtype=bool)
    keep[np.random.default_rng(seed).permutation(len(dataset))[:episodes]] = True
    return dataset.select(keep)
