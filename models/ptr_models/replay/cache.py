# SPDX-License-Identifier: Apache-2.0
"""Bags as memory-mapped arrays of decoded, resized frames. The cache can be deleted: it is derived from the bags.

Each bag is read only once. Adding, changing or relabelling a bag only reads that bag again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ptr_models.common.errors import PtrError
from ptr_models.common.plain_text import for_markup
from ptr_models.contract import Contract
from ptr_models.episodes.episode_discovery import Stamp, find_bags
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.exclusion import Exclusion
from ptr_models.episodes.overview import NAME, both_ends
from ptr_models.episodes.reader import read_metadata
from ptr_models.replay.build import Job, default_workers, fill, is_current, unwanted
from ptr_models.replay.dataset import Dataset, LeftOut
from ptr_models.replay.store import ALL_STEPS, Entry, Store, Writer
from ptr_models.replay.verified import VerifiedRows

DEFAULT_ROOT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ptr" / "replay"
OUTCOMES = ("success", "failure", "partial")
"""Outcomes that training can use; an unlabelled episode is left out until it is labelled."""


def open_episodes(
    directories: Iterable[Path | str],
    contract: Contract,
    *,
    root: Path | str | None = None,
    outcomes: Sequence[str] = OUTCOMES,
    exclusion: Exclusion | None = None,
    max_idle_steps: int = ALL_STEPS,
    workers: int | None = None,
    progress: bool = True,
) -> Dataset:
    """The episodes in and under some directories, as arrays. Bags that are not yet in the cache are read.

    Args:
        directories: folders with episodes, at any depth.
        contract: required; episodes with another one are left out.
        root: folder of the caches; by default ~/.cache/ptr/replay.
        outcomes: outcomes of the episodes to use.
        exclusion: folders to leave out.
        max_idle_steps: consecutive idle steps to keep of each pause; by default all.
        workers: threads that read bags; by default one per core, at most 8.
        progress: show a bar while reading, and a table of omitted episodes.
    Raises:
        ContractError: all episodes follow another contract.
        EpisodeError: there is no episode, no usable one, or the cache cannot be written.
    """
    found = find_bags((os.path.realpath(directory) for directory in directories), exclusion)
    store = Store(Path(root) if root is not None else DEFAULT_ROOT, contract, max_idle_steps)
    entries = store.intact(_of(found, store.entries()))
    if _jobs(found, entries, outcomes):
        with exclusive_writer(store, progress) as writer:
            entries = store.intact(_of(found, store.entries()))  # another process may have read them meanwhile
            jobs = _jobs(found, entries, outcomes)
            fill(writer, contract, jobs, outcomes, workers or default_workers(), progress, max_idle_steps)
        entries = store.entries()
    dataset = dataset_of(store, [entries[path] for path in found], outcomes)
    if progress and dataset.left_out:
        Console(stderr=True).print(audit_table(dataset))
    return dataset


def audit_table(dataset: Dataset, limit: int = 20) -> Table:
    """The episodes that are not in a data set, and why; the first `limit` of them."""
    total = len(dataset.left_out)
    table = Table(box=None, pad_edge=False, title=f"{total} episodes left out, {len(dataset)} used")
    table.add_column("episode", no_wrap=True)
    table.add_column("left out because", overflow="fold")
    for entry in dataset.left_out[:limit]:
        table.add_row(for_markup(both_ends(Path(entry.path).name, NAME)), for_markup(entry.reason))
    if total > limit:
        table.add_row("...", f"and {total - limit} more")
    return table


def _of(found: Mapping[str, Stamp], entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries of these bags; the cache may hold many others."""
    return {path: entries[path] for path in found if path in entries}


def _jobs(found: Mapping[str, Stamp], entries: Mapping[str, Entry], outcomes: Sequence[str]) -> list[Job]:
    """Bags that have to be read, at least in part."""
    return [
        (path, stamp, entries.get(path))
        for path, stamp in found.items()
        if not is_current(entries.get(path), stamp, outcomes)
    ]


@contextmanager
def exclusive_writer(store: Store, progress: bool) -> Iterator[Writer]:
    """Exclusive write access to a store, as soon as no other process has it."""

    def tell(other: str) -> None:
        if progress:
            print(f"{other} is filling the cache {store.folder}; waiting for it", file=sys.stderr)

    with store.writer(tell) as writer:
        yield writer


def dataset_of(store: Store, entries: Sequence[Entry], outcomes: Sequence[str]) -> Dataset:
    """The data set of bags that a store has read. Arguments and errors as in `open_episodes`."""
    used, left_out = [], []
    for entry in entries:
        reason = unwanted(entry, outcomes) or entry.problem
        if reason:
            left_out.append(LeftOut(entry.path, reason))
        else:
            used.append(entry)
    if not used:
        _refuse(store.contract, left_out)
    return rows_of(store, used, left_out)


def rows_of(store: Store, used: Sequence[Entry], left_out: Sequence[LeftOut]) -> Dataset:
    """The data set of these entries: at least one, all with rows."""
    starts = np.array([entry.start for entry in used], dtype=np.int64)
    lengths = np.array([entry.steps for entry in used], dtype=np.int64)
    crcs = np.array([entry.frames_crc for entry in used], dtype=np.int64)
    arrays = store.arrays(int((starts + lengths).max()) + 1)
    return Dataset(
        contract=store.contract,
        frames=VerifiedRows(arrays.frames, starts, lengths, crcs, str(store.folder)),
        states=arrays.states,
        actions=arrays.actions,
        starts=starts,
        lengths=lengths,
        tasks=tuple(entry.task for entry in used),
        instructions=tuple(entry.instruction or "" for entry in used),
        successes=np.array([entry.outcome == "success" for entry in used], dtype=bool),
        paths=tuple(entry.path for entry in used),
        left_out=tuple(left_out),
    )


def _refuse(contract: Contract, left_out: Sequence[LeftOut]) -> None:
    """Raise why nothing is usable; if all bags follow other contracts, what differs in the first."""
    first = left_out[0]
    try:
        disagree = all(contract.differences(read_metadata(item.path).contract, source=True) for item in left_out)
    except PtrError:
        disagree = False
    if disagree:
        contract.require(read_metadata(first.path).contract, f"episode {first.path}", source=True)
    raise EpisodeError(f"none of {len(left_out)} episodes is usable; the first, {first.path}: {first.reason}")
