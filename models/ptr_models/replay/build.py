# SPDX-License-Identifier: Apache-2.0
"""Read bags into a store in several threads: their metadata, then the streams of usable ones.

Decoding, resizing and writing release the GIL, so threads are as fast as processes.
"""

from __future__ import annotations

import os
import sqlite3
import time
import zlib
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ptr_models.common.errors import PtrError
from ptr_models.common.image_checks import FROZEN_TIME, frozen_stretches
from ptr_models.contract import Contract
from ptr_models.episodes.episode_discovery import Stamp
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.quality import idle_steps
from ptr_models.episodes.reader import Episode, read_episode, read_metadata
from ptr_models.replay.store import ALL_STEPS, NOT_READ, Arrays, Entry, Writer
from ptr_models.replay.verified import checksum

KINDS = ("demonstration", "trial")
"""Kinds of episodes that training can use; practice is left out."""
COMMIT_SECONDS = 5.0
MAX_WORKERS = 8
"""With more threads than this, they wait for each other."""

Job = tuple[str, Stamp, Entry | None]
ReadJob = Callable[[Job], Sequence[Entry]]


def default_workers() -> int:
    """Default number of threads for reading bags on this machine."""
    return max(1, min(MAX_WORKERS, os.cpu_count() or 1))


def unwanted(entry: Entry, outcomes: Sequence[str]) -> str:
    """Why its metadata excludes a bag from a data set with these outcomes; empty if it does not."""
    if entry.refusal:
        return entry.refusal
    if entry.outcome not in outcomes:
        return f"its outcome is {entry.outcome}; required: {', '.join(outcomes)}"
    return "" if entry.kind in KINDS else f"it is {entry.kind}; required: {', '.join(KINDS)}"


def is_current(entry: Entry | None, stamp: Stamp, outcomes: Sequence[str]) -> bool:
    """Whether a bag does not have to be read (again)."""
    if entry is None or entry.stamp != stamp or entry.instruction is None:
        return False
    return entry.steps != NOT_READ or bool(unwanted(entry, outcomes))


def fill(
    writer: Writer,
    contract: Contract,
    jobs: Sequence[Job],
    outcomes: Sequence[str],
    workers: int,
    progress: bool,
    max_idle_steps: int = ALL_STEPS,
) -> None:
    """Read bags into a store.

    Args:
        writer: of the store; finished bags are committed every few seconds.
        contract: that the bags must follow.
        jobs: bags and what is known about them.
        outcomes: outcomes of the bags whose streams are read.
        workers: threads.
        progress: show a bar with the remaining time.
        max_idle_steps: see `Store`.
    Raises:
        EpisodeError: the cache cannot be written; finished bags are kept.
    """
    read = _BagReader(contract, outcomes, writer, max_idle_steps)
    fill_by(lambda job: [read(job)], writer, jobs, workers, "episodes" if progress else "")


def fill_by(read: ReadJob, writer: Writer, jobs: Sequence[Job], workers: int, what: str = "") -> None:
    """Read files into a store, each by a call of `read`, whose entries are added to the index together.

    Args:
        what: name of the items, for a bar with the remaining time; empty: no bar.
    Raises:
        EpisodeError: the cache cannot be written; finished files are kept.
    """
    done, waiting, batch, begun = 0, 0, list[Entry](), time.monotonic()
    try:
        with _bar(bool(what)) as bar, closing(_in_order(read, jobs, workers)) as found:
            task = bar.add_task(f"reading {what}", total=len(jobs))
            try:
                for entries in found:
                    batch += entries
                    waiting += 1
                    bar.advance(task)
                    if time.monotonic() - begun > COMMIT_SECONDS:
                        writer.commit(batch)
                        done, waiting, batch, begun = done + waiting, 0, [], time.monotonic()
            finally:
                writer.commit(batch)
                done += waiting
    except (OSError, sqlite3.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise EpisodeError(
            f"the replay cache {writer.folder} cannot be written: {reason}; {done} of {len(jobs)} "
            f"{what or 'episodes'} are done and kept; free disk space, or choose another folder with --cache"
        ) from error


def problem_of(episode: Episode) -> str:
    """Why an episode must not be used for training, in one sentence; empty if it may.

    The reader already finds gaps, missing streams, non-finite values and damaged files.
    """
    for name, frames in episode.images.items():
        span = frozen(frames, episode.states[:, :3], episode.stamps)
        if span is not None:
            begin, end = ((int(episode.stamps[row]) - int(episode.stamps[0])) * 1e-9 for row in span)
            return f"camera {name} shows the same image from {begin:.1f} s to {end:.1f} s while the arm moves"
    return ""


def frozen(
    frames: NDArray[np.uint8], positions: NDArray[np.float32], stamps: NDArray[np.int64]
) -> tuple[int, int] | None:
    """First and last row of the first stretch with an unchanged image while the arm moves, or None.

    The recorder's audit detects the same from the bag's bytes, earlier and without decoding.

    Args:
        frames: (N, H, W, 3).
        positions: (N, 3) m of the end effector.
        stamps: (N,) ns.
    """
    contents = [zlib.crc32(np.ascontiguousarray(frame).data) for frame in frames]
    for first, last, duration in frozen_stretches(stamps, contents, stamps, positions):
        if duration >= FROZEN_TIME:
            return first, last
    return None


class _BagReader:
    """Reads one bag, writes its rows, and returns its entry for the index."""

    def __init__(self, contract: Contract, outcomes: Sequence[str], writer: Writer, max_idle_steps: int) -> None:
        self._contract, self._outcomes, self._writer = contract, outcomes, writer
        self._max_idle_steps = max_idle_steps

    def __call__(self, job: Job) -> Entry:
        path, stamp, known = job
        try:
            metadata = read_metadata(path)
            self._contract.require(metadata.contract, "it", source=True)
        except PtrError as error:
            return Entry(path, stamp, refusal=str(error), instruction="")
        info = {name: getattr(metadata, name) for name in ("task", "kind", "outcome")} | {"instruction": metadata.words}
        entry = Entry(path, stamp, shift=metadata.action_shift, **info)
        same_rows = known is not None and known.stamp[:2] == stamp[:2] and known.shift == entry.shift
        if known is not None and same_rows and known.steps != NOT_READ:
            return known._replace(stamp=stamp, refusal="", **info)
        if unwanted(entry, self._outcomes):
            return entry
        try:
            episode = read_episode(path, self._contract, metadata)
        except PtrError as error:
            return entry._replace(steps=0, problem=str(error))
        problem = problem_of(episode)
        if not problem and len(episode) - entry.shift < 1:
            problem = f"it has {len(episode)} steps, none of which is left with its action_shift of {entry.shift}"
        if problem:
            return entry._replace(steps=0, problem=problem)
        rows = _without_pauses(_rows(episode, entry.shift), self._max_idle_steps)
        if len(rows.actions) < 2:
            return entry._replace(steps=0, problem="all its steps are idle")
        return entry._replace(
            start=self._writer.append(rows),
            steps=len(rows.actions) - 1,
            frames_crc=checksum(rows.frames),
            motion_crc=checksum(rows.states, rows.actions),
        )


def _rows(episode: Episode, shift: int) -> Arrays:
    """Rows of T + 1 - shift observations, each with the action commanded `shift` steps earlier."""
    cameras = [images[shift:] for images in episode.images.values()]
    if not cameras:
        cameras = [np.empty((len(episode.states) - shift, 0, 0, 0), np.uint8)]
    frames = cameras[0] if len(cameras) == 1 else np.concatenate(cameras, axis=-1)
    actions = np.concatenate([episode.actions[: len(episode) - shift], np.zeros_like(episode.actions[:1])])
    return Arrays(frames, episode.states[shift:], actions)


def _without_pauses(rows: Arrays, max_pause: int) -> Arrays:
    """The rows with at most `max_pause` idle steps per pause. The last row, which has no step, is kept.

    The arm stands still in a pause, so the result looks as if the person had not hesitated.
    """
    if max_pause == ALL_STEPS:
        return rows
    idle, run = idle_steps(rows.actions[:-1]), 0
    keep = np.ones(len(rows.actions), bool)
    for step, pauses in enumerate(idle):
        run = run + 1 if pauses else 0
        keep[step] = run <= max_pause
    return Arrays(rows.frames[keep], rows.states[keep], rows.actions[keep])


def _in_order(read: ReadJob, jobs: Sequence[Job], workers: int) -> Generator[Sequence[Entry], None, None]:
    """Entries in the order of the jobs, with a few bags in progress."""
    with ThreadPoolExecutor(max(1, workers), thread_name_prefix="bags") as pool:
        pending: deque[Future[Sequence[Entry]]] = deque()
        try:
            for job in jobs:
                pending.append(pool.submit(read, job))
                if len(pending) > 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _bar(show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, disable=not show, transient=False)
