# SPDX-License-Identifier: Apache-2.0
"""The files of a replay cache: three append-only arrays, and an index of their contents.

A store is a folder named after a hash of the contract, of the format, and of how pauses are trimmed:

    index.sqlite   the contract, and one row per bag: its sizes and times, task, outcome, position or problem
    frames.bin     (N, H, W, 3 * cameras) uint8; absent if the contract has no cameras
    states.bin     (N, S) float32
    actions.bin    (N, 7) float32, raw units; zeros in the row of an episode's last frame
    lock           held by the one process that appends

The index holds two checksums per episode. That of the frames is verified at their first use. That of states and actions
is verified when the cache is opened; if it is wrong, the episode is read again.

An episode is added to the index only after its rows are on disk, so a killed process loses only what it had not yet
indexed. No row is ever overwritten: an open data set does not change while another process appends. Rows of changed or
removed bags are wasted until the folder is deleted.
"""

from __future__ import annotations

import hashlib
import math
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.output_folder import FolderLock, FolderNotWritableError
from ptr_models.contract import Contract, ContractError
from ptr_models.episodes.episode_discovery import Stamp
from ptr_models.episodes.errors import EpisodeError
from ptr_models.replay.verified import checksum

VERSION = 8
ALL_STEPS = -1
"""Value of `max_idle_steps` if pauses are not trimmed."""
NOT_READ = -1
"""Value of `steps` for a bag whose streams were not read."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS contract (json TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS bags (
    path TEXT PRIMARY KEY, bag_bytes INTEGER, bag_time INTEGER, label_bytes INTEGER, label_time INTEGER,
    task TEXT, kind TEXT, outcome TEXT, refusal TEXT, start INTEGER, steps INTEGER, problem TEXT,
    shift INTEGER,
    frames_crc INTEGER, motion_crc INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instructions (
    path TEXT PRIMARY KEY, label_bytes INTEGER, label_time INTEGER, instruction TEXT
) WITHOUT ROWID;
"""
_COLUMNS = (
    "path, bag_bytes, bag_time, label_bytes, label_time, task, kind, outcome, refusal, start, steps, problem, shift, "
    "frames_crc, motion_crc"
)
_JOINED = f"""
SELECT {", ".join(f"bags.{name}" for name in _COLUMNS.split(", "))}, instructions.instruction
FROM bags LEFT JOIN instructions USING (path, label_bytes, label_time)
"""
"""Instructions were added after version 6. An older version that shares the cache ignores them."""


class Entry(NamedTuple):
    """What a store knows about a bag.

    Attributes:
        path: folder of the episode.
        stamp: of the files that the rest was read from.
        task, kind, outcome: of its metadata.
        refusal: why its metadata excludes it; empty if it does not.
        start: first row.   steps: of the episode; NOT_READ: not read yet.
        problem: why its streams exclude it; empty if they do not.
        shift: control steps by which its images lag behind its actions; its rows are already corrected.
        frames_crc: CRC32 of its frames.   motion_crc: of its states and actions.
        instruction: of its metadata, may be empty; None: not read yet.
    """

    path: str
    stamp: Stamp
    task: str = ""
    kind: str = ""
    outcome: str = ""
    refusal: str = ""
    start: int = 0
    steps: int = NOT_READ
    problem: str = ""
    shift: int = 0
    frames_crc: int = 0
    motion_crc: int = 0
    instruction: str | None = None

    @property
    def sound(self) -> bool:
        """Whether the values are plausible; a damaged index may hold others."""
        texts = (self.path, self.task, self.kind, self.outcome, self.refusal, self.problem, self.instruction or "")
        numbers = (*self.stamp, self.start, self.steps, self.shift, self.frames_crc, self.motion_crc)
        if not (all(isinstance(text, str) for text in texts) and all(isinstance(number, int) for number in numbers)):
            return False
        unused = self.steps == NOT_READ or (self.steps == 0 and bool(self.problem))
        return self.start >= 0 and (unused or self.steps > 0)


class Arrays(NamedTuple):
    """The rows of a store, memory-mapped: see `dataset.Dataset`."""

    frames: NDArray[np.uint8]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]


class Store:
    """One cache folder. Reading needs no lock; `writer` gives exclusive access for appending."""

    def __init__(self, root: Path, contract: Contract, max_idle_steps: int = ALL_STEPS) -> None:
        """Args:
        root: folder of the caches; the cache's own folder is created by the first `writer`.
        max_idle_steps: consecutive idle steps to keep of each pause; ALL_STEPS: all.
        """
        self.contract, self.max_idle_steps = contract, max_idle_steps
        trimmed = "" if max_idle_steps == ALL_STEPS else f" {max_idle_steps}"
        key = hashlib.sha256(f"{VERSION} {contract.hash}{trimmed}".encode()).hexdigest()[:16]
        self.folder = root / key

    def entries(self) -> dict[str, Entry]:
        """All known bags, by path, without those with implausible values.

        Raises:
            EpisodeError: the index is damaged; delete the folder, and it will be created again.
        """
        if not (self.folder / "index.sqlite").is_file():
            return {}
        try:
            with closing(self._connect()) as connection:
                known = connection.execute("SELECT name FROM sqlite_master WHERE name = 'instructions'").fetchone()
                query = _JOINED if known else f"SELECT {_COLUMNS}, NULL FROM bags"
                rows = connection.execute(query).fetchall()
        except sqlite3.Error as error:
            raise self.damaged(error) from error
        found = (Entry(row[0], Stamp(*row[1:5]), *row[5:]) for row in rows)
        return {
            entry.path: entry._replace(
                task=sys.intern(entry.task), kind=sys.intern(entry.kind), outcome=sys.intern(entry.outcome)
            )
            for entry in found
            if entry.sound
        }

    def intact(self, entries: Mapping[str, Entry]) -> dict[str, Entry]:
        """The entries whose states and actions have the right checksum; frames are verified at their first use.

        Raises:
            EpisodeError: a file is missing or too short.
        """
        used = [entry for entry in entries.values() if entry.steps > 0]
        if not used:
            return dict(entries)
        arrays = self.arrays(max(entry.start + entry.steps for entry in used) + 1)

        def is_intact(entry: Entry) -> bool:
            rows = slice(entry.start, entry.start + entry.steps + 1)
            return checksum(arrays.states[rows], arrays.actions[rows]) == entry.motion_crc

        return {path: entry for path, entry in entries.items() if entry.steps <= 0 or is_intact(entry)}

    def arrays(self, rows: int) -> Arrays:
        """The first rows, mapped into memory.

        Raises:
            EpisodeError: a file is missing or shorter than that.
        """
        try:
            return Arrays(*(self._map(name, rows, *kind) for name, kind in row_kinds(self.contract).items()))
        except (OSError, ValueError) as error:
            raise self.damaged(error) from error

    def damaged(self, error: Exception) -> EpisodeError:
        """The error for files that contradict each other."""
        return EpisodeError(f"the replay cache {self.folder} is damaged ({error}); delete the folder")

    @contextmanager
    def writer(self, wait: Callable[[str], None] = lambda _: None) -> Iterator[Writer]:
        """Exclusive access for appending; other processes wait for it.

        Args:
            wait: called with the process that has it, before waiting for it.
        Raises:
            EpisodeError: the folder cannot be written, or is damaged.
        """
        try:
            lock = FolderLock(self.folder, "lock", wait)
        except FolderNotWritableError as error:
            raise EpisodeError(f"the replay cache {error}") from error
        with closing(lock):
            try:
                connection = self._connect()
                connection.executescript(_SCHEMA)
                if connection.execute("SELECT count(*) FROM contract").fetchone() == (0,):
                    connection.execute("INSERT INTO contract VALUES (?)", (self.contract.to_json(),))
                connection.commit()
            except sqlite3.Error as error:
                raise self.damaged(error) from error
            with closing(connection), closing(Writer(self.folder, self.contract, connection)) as writer:
                yield writer

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.folder / "index.sqlite", timeout=60.0)

    def _map(self, name: str, rows: int, dtype: type, shape: tuple[int, ...]) -> NDArray:
        path = self.folder / f"{name}.bin"
        needed = rows * _row_bytes(dtype, shape)
        if not needed:
            return np.empty((rows, *shape), dtype)
        size = path.stat().st_size
        if size < needed:
            raise ValueError(f"{path.name} has {size} bytes, not {needed}")
        return np.memmap(path, dtype, "r", shape=(rows, *shape))


class Writer:
    """Appends episodes; several threads may call `append` at once, one calls `commit`."""

    def __init__(self, folder: Path, contract: Contract, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self._connection, self._lock = connection, threading.Lock()
        sizes = {name: _row_bytes(*kind) for name, kind in row_kinds(contract).items()}
        self._files = {
            name: os.open(folder / f"{name}.bin", os.O_RDWR | os.O_CREAT, 0o644) for name, size in sizes.items() if size
        }
        self._rows = max(-(-os.fstat(file).st_size // sizes[name]) for name, file in self._files.items())

    def append(self, arrays: Arrays) -> int:
        """Write the rows of an episode; returns the first of them.

        Args:
            arrays: T+1 rows each.
        Raises:
            OSError: the disk is full or not writable.
        """
        with self._lock:
            start, self._rows = self._rows, self._rows + len(arrays.states)
        for name, file in self._files.items():
            _write_at(file, np.ascontiguousarray(getattr(arrays, name)), start)
        return start

    def commit(self, entries: Sequence[Entry]) -> None:
        """Add bags to the index, after syncing their rows to the disk.

        Raises:
            OSError, sqlite3.Error: the disk is full or not writable.
        """
        if any(entry.steps > 0 for entry in entries):
            for file in self._files.values():
                os.fsync(file)
        rows = [(entry.path, *entry.stamp, *entry[2:-1]) for entry in entries]
        told = [(entry.path, *entry.stamp[2:], entry.instruction) for entry in entries]
        with self._connection:
            self._connection.executemany(f"INSERT OR REPLACE INTO bags VALUES ({','.join('?' * 15)})", rows)
            self._connection.executemany("INSERT OR REPLACE INTO instructions VALUES (?, ?, ?, ?)", told)

    def close(self) -> None:
        """Close the files; uncommitted episodes are lost."""
        for file in self._files.values():
            os.close(file)


def row_kinds(contract: Contract) -> dict[str, tuple[type, tuple[int, ...]]]:
    """Type and shape of a row of each array."""
    return {
        "frames": (np.uint8, contract.image_shape),
        "states": (np.float32, (len(contract.state),)),
        "actions": (np.float32, (len(contract.action),)),
    }


def _row_bytes(dtype: type, shape: tuple[int, ...]) -> int:
    return math.prod(shape) * np.dtype(dtype).itemsize


def _write_at(file: int, rows: NDArray, start: int) -> None:
    """Write rows at the position of the array's row `start`."""
    content, place = rows.data.cast("B"), start * rows[0].nbytes
    while content:
        written = os.pwrite(file, content, place)
        content, place = content[written:], place + written


def stored_contract(folder: Path) -> Contract | None:
    """The contract of a cache folder; None if there is no readable cache."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'index.sqlite'}?mode=ro", uri=True)) as connection:
            return Contract.from_json(connection.execute("SELECT json FROM contract").fetchone()[0])
    except (sqlite3.Error, TypeError, ContractError):
        return None
