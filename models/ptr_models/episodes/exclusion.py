# SPDX-License-Identifier: Apache-2.0
"""Folders of episodes that a person leaves out by path or by pattern: `--exclude`."""

from __future__ import annotations

import argparse
import contextlib
import glob
import logging
import os
from collections.abc import Sequence
from fnmatch import fnmatchcase

LOGGER = logging.getLogger(__name__)


class Exclusion:
    """Which folders are left out, with everything below them.

    A pattern is the path of a folder or a glob. A glob stands for the paths that it matches, and for folders whose
    name, or whose path below the folder that was given, matches it. An absolute one stands for folders at any depth
    whose whole path matches it.
    """

    def __init__(self, patterns: Sequence[str] = (), inherited: Sequence[str] = ()) -> None:
        """Args: patterns: paths and globs.   inherited: more of them, which nobody gave just now."""
        self._given, self._patterns = tuple(patterns), (*patterns, *inherited)
        self._places: dict[tuple[int, int], str] = {}
        self._used = set[str]()
        for pattern in self._patterns:
            for path in [pattern] if os.path.exists(pattern) else glob.glob(pattern):
                with contextlib.suppress(OSError):  # a link that leads nowhere
                    self._places.setdefault(_identity(os.stat(path)), pattern)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def covers(self, folder: str, top: str, status: os.stat_result) -> bool:
        """Whether a folder in or below `top`, of this status, is left out."""
        if not self._patterns:
            return False
        pattern = self._places.get(_identity(status)) or self._match(os.path.basename(folder))
        pattern = pattern or self._match(os.path.relpath(folder, top)) or self._match(os.path.abspath(folder))
        if pattern is None:
            return False
        self._used.add(pattern)
        return True

    def warn_of_unused(self) -> None:
        """Name in the log the patterns that were given and left nothing out: they may be misspelled."""
        for pattern in self._given:
            if pattern not in self._used:
                LOGGER.warning("--exclude %s leaves nothing out", pattern)

    def _match(self, name: str) -> str | None:
        return next((pattern for pattern in self._patterns if fnmatchcase(name, pattern)), None)


def add_exclude(parser: argparse.ArgumentParser) -> None:
    """The option `--exclude` of a command that takes folders of episodes."""
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out folders with this path, or whose name or path inside a given folder matches; may be repeated",
    )


def lasting(patterns: Sequence[str]) -> list[str]:
    """The patterns as they are kept in a file, so that they mean the same from every folder."""
    return [os.path.abspath(pattern) if os.path.exists(pattern) else pattern for pattern in patterns]


def only_in(folder: str, patterns: Sequence[str]) -> list[str]:
    """Absolute patterns that leave out the same in a folder, and nothing elsewhere; of a manifest the patterns."""
    if os.path.isfile(folder):
        return lasting(patterns)
    inside = glob.escape(os.path.abspath(folder))
    found: list[str] = []
    for pattern in lasting(patterns):
        found += [pattern] if os.path.isabs(pattern) else [f"{inside}/{pattern}", f"{inside}/*/{pattern}"]
    return found


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
