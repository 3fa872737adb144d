# SPDX-License-Identifier: Apache-2.0
"""Find complete episodes in folders and manifests, fast enough for tens of thousands."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.exclusion import Exclusion
from ptr_models.episodes.manifest import gone, is_manifest, read_manifest, require_unchanged
from ptr_models.episodes.writer import PARTIAL

LOGGER = logging.getLogger(__name__)
DISCARDED = "discarded"
LABEL = "episode.json"


class Stamp(NamedTuple):
    """Sizes (bytes) and modification times (ns) of a bag and of its episode.json; -1: missing."""

    bag_bytes: int
    bag_time: int
    label_bytes: int
    label_time: int


def find_bags(directories: Iterable[Path | str], exclusion: Exclusion | None = None) -> dict[str, Stamp]:
    """Folders of complete episodes in and under some directories, sorted.

    Folders that end in `.partial` and everything below `discarded/` are left out. Links are followed, each folder is
    entered once, and broken links are logged.

    Args:
        directories: folders to search, at any depth, or manifests (`episodes.manifest`), which are files.
        exclusion: folders to leave out.
    Raises:
        EpisodeError: a directory does not exist or has no episode, all episodes are left out, or a bag of a manifest
            has changed or is missing.
    """
    found: dict[str, Stamp] = {}
    exclusion = exclusion or Exclusion()
    for directory in directories:
        if is_manifest(directory):
            found |= dict(_listed(directory, exclusion))
            continue
        if not os.path.isdir(directory):
            what = "is a file" if os.path.isfile(directory) else "does not exist"
            raise EpisodeError(f"{directory} {what}; give a folder with episodes, or a set of them (.json)")
        inside = dict(_walk(os.fspath(directory), exclusion))
        if not inside and not exclusion:
            raise EpisodeError(f"{directory} holds no complete episode")
        found |= inside
    if exclusion and not found:
        raise EpisodeError("no complete episode is left; --exclude leaves out all of them, or there is none")
    return {path: found[path] for path in sorted(found, key=lambda path: path.split(os.sep))}


def episodes_so_far(directory: Path) -> list[Path]:
    """Complete episodes in and under a directory that is still being written; empty if it does not exist."""
    return [Path(path) for path, _ in _walk(os.fspath(directory), Exclusion())]


def _listed(manifest: Path | str, exclusion: Exclusion) -> Iterator[tuple[str, Stamp]]:
    """The bags of a manifest; each must be unchanged since it was listed."""
    top = os.path.dirname(os.path.realpath(manifest))
    for folder, listed in read_manifest(manifest):
        if os.path.isdir(folder) and exclusion.covers(folder, top, os.stat(folder)):
            continue
        stamp = _stamp(folder)
        if stamp is None:
            raise gone(folder, manifest)
        require_unchanged(folder, listed, stamp.bag_bytes, stamp.bag_time, manifest)
        yield folder, stamp


def _stamp(folder: str) -> Stamp | None:
    """The stamp of one episode's folder; None without a bag."""
    return next((stamp for found, stamp in _walk(folder, Exclusion()) if found == folder), None)


def _walk(directory: str, exclusion: Exclusion) -> Iterator[tuple[str, Stamp]]:
    """Folders with a bag. Links are followed, since people use them for subsets. Each folder is entered once."""
    folders, entered = [directory], set[tuple[int, int]]()
    while folders:
        folder = folders.pop()
        bag = label = None
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:  # moved away meanwhile
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in entered:
                continue
            if exclusion.covers(folder, directory, status):
                continue
            entered.add((status.st_dev, status.st_ino))
            for entry in entries:
                if entry.is_symlink() and not os.path.exists(entry.path):
                    LOGGER.warning("the link %s is broken; it is left out", entry.path)
                    continue
                if entry.is_dir():
                    if not (entry.name.endswith(PARTIAL) or entry.name == DISCARDED):
                        folders.append(entry.path)
                elif entry.name.endswith(".mcap"):
                    bag = entry.stat()
                elif entry.name == LABEL:
                    label = entry.stat()
        if bag is not None:
            judged = (-1, -1) if label is None else (label.st_size, label.st_mtime_ns)
            yield folder, Stamp(bag.st_size, bag.st_mtime_ns, *judged)
