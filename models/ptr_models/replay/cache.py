# SPDX-License-Identifier: Apache-2.0
"""Bags as memory-mapped arrays: each frame once, decoded and squashed. Disposable: the bags are the truth.

A cache is a folder named after a hash of the bags (path, size, time of change), the contract and the options:

    index.json    contract, tasks, one entry per episode, the episodes that were left out and why
    frames.bin    (N, H, W, 3 * cameras) uint8
    states.bin    (N, 7) float32
    actions.bin   (N, 7) float32, raw units; the row of an episode's last frame is not used (zeros)
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.reader import Episode, find_episodes, read_episode

VERSION = 1
DEFAULT_ROOT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ptr" / "replay"
OUTCOMES = ("success", "failure", "partial")
"""Outcomes that training can use; an unlabelled episode is left out until someone labels it."""
KINDS = ("demonstration", "trial")
"""Kinds that training can use; practice is left out."""


@dataclass(frozen=True)
class LeftOut:
    """An episode that is not in a cache, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Dataset:
    """A memory-mapped cache.

    Attributes:
        contract: of all its episodes.
        frames: (N, H, W, 3 * cameras) uint8 RGB.
        states: (N, 7) float32.
        actions: (N, 7) float32, raw units.
        starts: (E,) first row of each episode.
        lengths: (E,) steps; an episode has one row more.
        tasks: (E,) task names.
        successes: (E,) whether the episode counts as a success.
        paths: (E,) folders of the bags.
        left_out: episodes that were refused.
    """

    contract: Contract
    frames: NDArray[np.uint8]
    states: NDArray[np.float32]
    actions: NDArray[np.float32]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    tasks: tuple[str, ...]
    successes: NDArray[np.bool_]
    paths: tuple[str, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def transitions(self) -> int:
        """Number of (s, a, s') triples."""
        return int(self.lengths.sum())

    @property
    def task_names(self) -> list[str]:
        """Distinct task names, sorted."""
        return sorted(set(self.tasks))

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self.lengths)

    def select(self, keep: Sequence[bool] | NDArray[np.bool_]) -> Dataset:
        """The same arrays with some of the episodes.

        Args:
            keep: (E,) which episodes stay.
        """
        mask = np.asarray(keep, dtype=bool)
        if not mask.any():
            raise EpisodeError(f"no episode of {len(self)} is left after selecting")
        chosen = np.flatnonzero(mask)
        return Dataset(
            self.contract,
            self.frames,
            self.states,
            self.actions,
            self.starts[mask],
            self.lengths[mask],
            tuple(self.tasks[i] for i in chosen),
            self.successes[mask],
            tuple(self.paths[i] for i in chosen),
            self.left_out,
        )

    def episode(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """Frames (T+1, H, W, 3 * cameras), states (T+1, 7) and raw actions (T, 7) of one episode."""
        start, length = int(self.starts[index]), int(self.lengths[index])
        rows = slice(start, start + length + 1)
        return self.frames[rows], self.states[rows], self.actions[start : start + length]


def cache_key(episodes: Sequence[Path], contract: Contract, outcomes: Sequence[str]) -> str:
    """Hash of what a cache is made of: 16 hex digits."""
    digest = hashlib.sha256(f"{VERSION} {contract.hash} {sorted(outcomes)}\n".encode())
    for path in episodes:
        files = sorted([*path.glob("*.mcap"), *path.glob("episode.json")])
        for file in files:
            status = file.stat()
            digest.update(f"{file.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def open_episodes(
    directories: Iterable[Path | str],
    contract: Contract,
    *,
    root: Path | str | None = None,
    outcomes: Sequence[str] = OUTCOMES,
    workers: int = 2,
    progress: bool = True,
) -> Dataset:
    """The episodes in and under some directories, as arrays; the cache is built unless it exists.

    Args:
        directories: folders with episodes, at any depth.
        contract: that all of them must follow.
        root: where caches lie; by default ~/.cache/ptr/replay.
        outcomes: of episodes to take.
        workers: threads that read bags.
        progress: show a bar while building, and a table of episodes that are left out.
    Raises:
        ContractError: an episode follows another contract.
        EpisodeError: there is no episode, or none that is usable.
    """
    episodes = find_episodes(directories)
    place = Path(root) if root is not None else DEFAULT_ROOT
    folder = place / cache_key(episodes, contract, outcomes)
    if not (folder / "index.json").is_file():
        build_cache(episodes, contract, folder, outcomes=outcomes, workers=workers, progress=progress)
    dataset = load_cache(folder)
    if progress and dataset.left_out:
        Console(stderr=True).print(audit_table(dataset))
    return dataset


def audit_table(dataset: Dataset, most: int = 20) -> Table:
    """The episodes that are not in a data set, and why; the first `most` of them."""
    total = len(dataset.left_out)
    table = Table("episode", "left out because", title=f"{total} episodes left out, {len(dataset)} used")
    for entry in dataset.left_out[:most]:
        table.add_row(Path(entry.path).name, entry.reason)
    if total > most:
        table.add_row("...", f"and {total - most} more")
    return table


def build_cache(
    episodes: Sequence[Path],
    contract: Contract,
    folder: Path,
    *,
    outcomes: Sequence[str] = OUTCOMES,
    workers: int = 2,
    progress: bool = True,
) -> None:
    """Read bags into a new cache folder, which appears when complete. Arguments as in `open_episodes`."""
    temporary = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        with _bar(progress) as bar:
            task = bar.add_task("reading episodes", total=len(episodes))
            index = _write_arrays(
                temporary, _read_all(episodes, contract, outcomes, workers), lambda: bar.advance(task)
            )
        if not index["episodes"]:
            first = index["left_out"][0]
            raise EpisodeError(
                f"none of {len(episodes)} episodes is usable; the first, {first['path']}: {first['reason']}"
            )
        index |= {"version": VERSION, "contract": contract.to_json()}
        (temporary / "index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")
        if not folder.exists():
            temporary.rename(folder)
    except OSError as error:
        raise EpisodeError(
            f"the replay cache {folder} cannot be written: {error.strerror or error}"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_cache(folder: Path) -> Dataset:
    """Map a cache folder into memory.

    Raises:
        EpisodeError: it is damaged; delete it, and it is made again.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        contract = Contract.from_json(index["contract"])
        camera, rows = contract.cameras[0], index["rows"]
        shape = (rows, camera.height, camera.width, 3 * len(contract.cameras))
        frames = np.memmap(folder / "frames.bin", np.uint8, "r", shape=shape)
        states = np.memmap(folder / "states.bin", np.float32, "r", shape=(rows, len(contract.proprioception)))
        actions = np.memmap(folder / "actions.bin", np.float32, "r", shape=(rows, len(contract.action)))
        entries = index["episodes"]
        return Dataset(
            contract=contract,
            frames=frames,
            states=states,
            actions=actions,
            starts=np.array([entry["start"] for entry in entries], dtype=np.int64),
            lengths=np.array([entry["steps"] for entry in entries], dtype=np.int64),
            tasks=tuple(entry["task"] for entry in entries),
            successes=np.array([entry["outcome"] == "success" for entry in entries], dtype=bool),
            paths=tuple(entry["path"] for entry in entries),
            left_out=tuple(LeftOut(**entry) for entry in index["left_out"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EpisodeError(f"the replay cache {folder} is damaged ({error}); delete the folder") from error


def _read_all(
    episodes: Sequence[Path], contract: Contract, outcomes: Sequence[str], workers: int
) -> Iterator[Episode | LeftOut]:
    """Read episodes in order with a few of them in flight; a contract that differs ends it."""

    def read(path: Path) -> Episode | LeftOut:
        try:
            episode = read_episode(path, contract)
        except EpisodeError as error:
            return LeftOut(str(path), str(error))
        outcome = episode.metadata.outcome
        if outcome not in outcomes:
            return LeftOut(str(path), f"its outcome is {outcome}; wanted: {', '.join(outcomes)}")
        if episode.metadata.kind not in KINDS:
            return LeftOut(str(path), f"it is {episode.metadata.kind}; wanted: {', '.join(KINDS)}")
        return episode

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        pending = deque()
        try:
            for path in episodes:
                pending.append(pool.submit(read, path))
                if len(pending) > 4 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _write_arrays(folder: Path, episodes: Iterator[Episode | LeftOut], advance: Callable[[], None]) -> dict:
    """Append episodes to the array files; returns rows, episodes and left_out of the index."""
    entries: list[dict] = []
    left_out: list[dict] = []
    rows = 0
    with (
        (folder / "frames.bin").open("wb") as frames,
        (folder / "states.bin").open("wb") as states,
        (folder / "actions.bin").open("wb") as actions,
    ):
        for episode in episodes:
            advance()
            if isinstance(episode, LeftOut):
                left_out.append({"path": episode.path, "reason": episode.reason})
                continue
            pixels = np.concatenate(list(episode.images.values()), axis=-1)
            frames.write(np.ascontiguousarray(pixels).tobytes())
            states.write(np.ascontiguousarray(episode.states).tobytes())
            padded = np.concatenate([episode.actions, np.zeros_like(episode.actions[:1])])
            actions.write(padded.tobytes())
            entries.append(
                {
                    "path": str(episode.path),
                    "task": episode.metadata.task,
                    "outcome": episode.metadata.outcome,
                    "start": rows,
                    "steps": len(episode),
                }
            )
            rows += len(episode) + 1
    return {"rows": rows, "episodes": entries, "left_out": left_out}


def _bar(show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, disable=not show, transient=False)
