# SPDX-License-Identifier: Apache-2.0
"""MP4 files as a data set of frames: each video is decoded once, frame by frame, and stored in a replay cache.

Frames are sampled at a constant rate, resized to the contract's size, and split into parts of bounded size. Each part
is an episode, so long videos need no more memory than short ones. States and actions are zeros; algorithms that learn
from such a data set must not use them.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.common.video import VideoError, bgr, opened, require_av, require_size
from ptr_models.contract import Camera, Contract
from ptr_models.episodes.episode_discovery import Stamp
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.resize import squash
from ptr_models.replay.build import Job, default_workers, fill_by
from ptr_models.replay.cache import DEFAULT_ROOT, exclusive_writer, rows_of
from ptr_models.replay.dataset import Dataset, LeftOut
from ptr_models.replay.store import Arrays, Entry, Store, Writer
from ptr_models.replay.verified import checksum

VIDEO = "video"
"""Task of every video, and the name of its camera."""
ENDING = ".mp4"
PART_FRAMES, PART_BYTES = 1000, 64 * 2**20
"""Maximum number of frames, and of their bytes, in one part of a video; at 5 Hz a thousand are 200 s."""
PART = "#"
"""Separates the path of a file from the number of a part (except the first); no path of a video ends like this."""


def open_videos(
    places: Sequence[Path],
    contract: Contract,
    rate: float = 0.0,
    *,
    root: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Dataset:
    """The frames of MP4 files. Files that are not yet in the cache are read.

    Args:
        places: MP4 files, or folders of them, at any depth.
        contract: defines the image size.
        rate: frames per second; 0: the contract's control rate. A video with a lower rate keeps all its frames.
        root: folder of the caches, see `cache.open_episodes`.
        workers: threads that read files; by default one per core, at most 8.
        progress: show a bar while reading.
    Raises:
        EpisodeError: the contract has several cameras, there is no MP4 file, or no usable one; the message says what is
            wrong with the first.
        VideoError: av is not installed.
    """
    if len(contract.cameras) != 1:
        seen = ", ".join(camera.name for camera in contract.cameras)
        raise EpisodeError(f"videos have one view, but the bags have {seen}; choose one with data.cameras")
    require_av()
    found = find_videos(places)
    camera = Camera(VIDEO, contract.cameras[0].height, contract.cameras[0].width)
    contract = dataclasses.replace(contract, cameras=(camera,), control_rate=rate or contract.control_rate)
    store = Store(root or DEFAULT_ROOT, contract.without_latencies())
    if _jobs(found, _current(store, found)):
        with exclusive_writer(store, progress) as writer:
            jobs = _jobs(found, _current(store, found))  # another process may have read them meanwhile
            read = _VideoReader(writer, contract)
            fill_by(read, writer, jobs, workers or default_workers(), "videos" if progress else "")
    entries = _current(store, found)
    used = [entry for path in found for entry in entries.get(path, ()) if not entry.problem]
    left_out = [LeftOut(path, entries[path][0].problem) for path in found if entries[path][0].problem]
    if not used:
        raise EpisodeError(f"none of {len(left_out)} videos is usable; the first: {left_out[0].reason}")
    return rows_of(store, used, left_out)


def find_videos(places: Sequence[Path]) -> dict[str, Stamp]:
    """MP4 files in and under some folders, sorted, links followed; a place may also be such a file.

    Raises:
        EpisodeError: a place does not exist, is a file of another kind, or a folder without MP4 files.
    """
    found: dict[str, Stamp] = {}
    for place in places:
        if place.is_file() and place.suffix.lower() != ENDING:
            raise EpisodeError(f"{place} is not an {ENDING} file; give MP4 files, or folders of them")
        inside = [place] if place.is_file() else _inside(place)
        if not inside:
            raise EpisodeError(f"{place} holds no {ENDING} file" if place.is_dir() else f"{place} does not exist")
        for path in inside:
            status = path.stat()
            found[os.path.realpath(path)] = Stamp(status.st_size, status.st_mtime_ns, -1, -1)
    return dict(sorted(found.items()))


def _inside(folder: Path) -> list[Path]:
    """MP4 files in and under a folder, without hidden files and broken links."""
    entered: set[tuple[int, int]] = set()
    files: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        status = os.stat(place)
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        paths = (Path(place, name) for name in names if not name.startswith("."))
        files += [path for path in paths if path.suffix.lower() == ENDING and path.is_file()]
    return files


def frames_at(path: Path, rate: float) -> Iterator[NDArray[np.uint8]]:
    """The first frame at or after each multiple of 1 / rate s from the first one on, (H, W, 3) uint8 RGB.

    Raises:
        VideoError: it is not an intact MP4 video, or its codec or size is not supported.
    """
    with opened(path) as (container, stream):
        begin, number = math.nan, 0
        for frame in container.decode(stream):
            if frame.time is None:
                continue
            begin = frame.time if math.isnan(begin) else begin
            place = (frame.time - begin) * rate + 1e-6
            if place < number:
                continue
            number = math.floor(place) + 1
            require_size(path, frame.height, frame.width)
            yield np.asarray(cv2.cvtColor(bgr(frame), cv2.COLOR_BGR2RGB), np.uint8)


class _VideoReader:
    """Reads one file, writes the rows of its parts, and returns their entries for the index."""

    def __init__(self, writer: Writer, contract: Contract) -> None:
        self._writer, self._contract = writer, contract
        height, width, _ = contract.image_shape
        self._most = max(2, min(PART_FRAMES, PART_BYTES // (3 * height * width)))

    def __call__(self, job: Job) -> list[Entry]:
        path, stamp, _ = job
        try:
            parts = list(self._parts(Path(path)))
        except VideoError as error:
            return [_refused(path, stamp, str(error))]
        if not parts:
            rate = self._contract.control_rate
            return [_refused(path, stamp, f"{path} has fewer than two frames at {rate:g} Hz; give a longer video")]
        names = (path if number == 0 else f"{path}{PART}{number}" for number in range(len(parts)))
        return [part._replace(path=name, stamp=stamp) for name, part in zip(names, parts, strict=True)]

    def _parts(self, path: Path) -> Iterator[Entry]:
        """Write the parts with two frames or more; yields their entries."""
        height, width, _ = self._contract.image_shape
        waiting: list[NDArray[np.uint8]] = []
        for frame in frames_at(path, self._contract.control_rate):
            waiting.append(squash(frame, height, width))
            if len(waiting) == self._most:
                yield self._write(waiting)
                waiting = []
        if len(waiting) > 1:
            yield self._write(waiting)

    def _write(self, frames: list[NDArray[np.uint8]]) -> Entry:
        count = len(frames)
        states = np.zeros((count, len(self._contract.state)), np.float32)
        actions = np.zeros((count, len(self._contract.action)), np.float32)
        rows = Arrays(np.stack(frames), states, actions)
        return Entry(
            "",
            Stamp(-1, -1, -1, -1),
            task=VIDEO,
            kind=VIDEO,
            outcome="success",
            start=self._writer.append(rows),
            steps=count - 1,
            frames_crc=checksum(rows.frames),
            motion_crc=checksum(rows.states, rows.actions),
            instruction="",
        )


def _refused(path: str, stamp: Stamp, problem: str) -> Entry:
    return Entry(path, stamp, task=VIDEO, kind=VIDEO, steps=0, problem=problem, instruction="")


def _current(store: Store, found: Mapping[str, Stamp]) -> dict[str, list[Entry]]:
    """The parts of each unchanged file, in temporal order; files with a damaged part are omitted."""
    known: dict[str, list[tuple[int, Entry]]] = {}
    entries = store.entries()
    for path, entry in entries.items():
        file, _, number = (path, "", "0") if path in found else path.rpartition(PART)
        if file in found and entry.stamp == found[file]:
            known.setdefault(file, []).append((int(number), entry))
    chosen = {file: [entry for _, entry in sorted(parts)] for file, parts in known.items()}
    intact = store.intact({entry.path: entry for parts in chosen.values() for entry in parts})
    return {file: parts for file, parts in chosen.items() if all(part.path in intact for part in parts)}


def _jobs(found: Mapping[str, Stamp], entries: Mapping[str, Sequence[Entry]]) -> list[Job]:
    """Files that have to be read."""
    return [(path, stamp, None) for path, stamp in found.items() if path not in entries]
