# SPDX-License-Identifier: Apache-2.0
"""`ptr discard`: move saved episodes out of the data into the folder `discarded` next to them, or back."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import next_step
from ptr_models.common.plain_text import counted, plain
from ptr_models.episodes.bag import find_bag
from ptr_models.episodes.episode_discovery import DISCARDED, episodes_so_far
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.quality import DISCARD

EPILOGUE = """\
examples:
  ptr discard data/carrot/episode_0007                    remove it from the data
  ptr discard --restore data/carrot/episode_0007          bring it back
  ptr discard --recommended data/carrot                   every episode that ptr inspect would discard
  ptr discard --list data/carrot                          show discarded episodes

Training ignores the folder `discarded`. Nothing is deleted; to free space, delete the folder yourself (rm -r)."""


def discard(path: Path | str) -> Path:
    """Move an episode into the folder `discarded` next to it; returns its new path.

    Raises:
        EpisodeError: it is not an episode, is already discarded, or can't be moved.
    """
    folder = _episode(Path(path))
    if folder.parent.name == DISCARDED:
        raise EpisodeError(f"{folder} is already discarded; bring it back with ptr discard --restore")
    return _move(folder, folder.parent / DISCARDED / folder.name)


def restore(path: Path | str) -> Path:
    """Bring a discarded episode back; returns its restored path.

    Args:
        path: its present or its former path.
    Raises:
        EpisodeError: it is not among the discarded ones, or its former path is taken.
    """
    path = Path(os.path.abspath(path))
    there = path if path.parent.name == DISCARDED else path.parent / DISCARDED / path.name
    if not there.is_dir():
        raise EpisodeError(f"{there} does not exist; list discarded episodes: ptr discard --list {there.parent.parent}")
    return _move(_episode(there), there.parent.parent / there.name)


def discarded_in(folder: Path) -> list[Path]:
    """The discarded episodes in and under a folder, sorted."""
    trash = [path for path in (folder, *folder.rglob(DISCARDED)) if path.name == DISCARDED]
    return sorted({path for place in trash for path in episodes_so_far(place)})


def recommended_in(folders: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Episodes in some folders that should be discarded, and why."""
    for path in (path for folder in folders for path in episodes_so_far(folder)):
        try:
            report = inspect(path)
        except PtrError as error:
            yield path, str(error)
            continue
        if report.recommendation == DISCARD:
            yield path, "; ".join(report.findings)


def _episode(path: Path) -> Path:
    """The absolute path of an episode's folder; links are not resolved."""
    path = Path(os.path.abspath(path))
    if path.is_dir() and not any(path.glob("*.mcap")) and (inside := len(episodes_so_far(path))):
        raise EpisodeError(f"{path} is a folder of {inside} episodes; give the episodes themselves")
    find_bag(path)
    return path.parent if path.is_file() else path


def _move(source: Path, target: Path) -> Path:
    if os.path.lexists(target):
        raise EpisodeError(f"{target} already exists; move one of the two away")
    try:
        target.parent.mkdir(exist_ok=True)
        os.rename(source, target)
    except OSError as error:
        raise EpisodeError(f"{source} cannot be moved to {target}: {error.strerror}") from error
    return target


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr discard`."""
    parser = subparsers.add_parser(
        "discard",
        help="remove bad episodes from the data, or restore them with --restore",
        description="Move saved episodes into the folder `discarded` next to them, which training and `ptr inspect` "
        "ignore. --restore undoes it.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    about = "folder of an episode; with --recommended and --list, a folder of episodes"
    parser.add_argument("episodes", nargs="+", type=arguments.path, metavar="EPISODE", help=about)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--restore", action="store_true", help="bring discarded episodes back")
    about = "discard what ptr inspect would discard in these folders"
    arguments.option(what, "--recommended", old=("--proposed",), action="store_true", help=about)
    what.add_argument("--list", action="store_true", help="show what is discarded in these folders")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.list or options.recommended:
        for folder in options.episodes:
            if not folder.is_dir():
                raise EpisodeError(f"{folder} does not exist; give a folder with episodes")
    if options.list:
        found = [path for folder in options.episodes for path in discarded_in(folder)]
        print("\n".join(plain(path) for path in found) or "nothing is discarded here")
        return 0
    if options.recommended:
        return _discard_recommended(options.episodes)
    if not options.restore:
        for path in options.episodes:  # all or none
            _episode(path)
    for path in options.episodes:
        print(f"{plain(path)} is now {plain(restore(path) if options.restore else discard(path))}")
    if not options.restore:
        next_step("discard", "--restore", *options.episodes, about="undoes it")
    return 0


def _discard_recommended(folders: Sequence[Path]) -> int:
    moved = []
    for path, why in list(recommended_in(folders)):
        discard(path)
        moved.append(path)
        print(f"{plain(path)}: {plain(why)}")
    print(f"{counted(len(moved), 'episode')} discarded")
    if moved:
        next_step("discard", "--restore", *moved, about="undoes it")
    return 0
