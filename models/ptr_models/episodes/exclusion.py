# SPDX-License-Identifier: Apache-2.0
"""Exclude folders of episodes by path or pattern: `--exclude`."""

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
    """Decides which folders are left out, with everything below them.

    A pattern is the path of a folder, or a glob. A glob matches existing paths, and folders by their name or by their
    path below a given folder. An absolute glob matches folders at any depth by their whole path.
    """

    def __init__(self, patterns: Sequence[str] = (), inherited: Sequence[str] = ()) -> None:
        """Args: patterns: paths and globs.   inherited: further ones that were not given on this command line."""
        self._given, self._patterns = tuple(patterns), (*patterns, *inherited)
        self._places: dict[tuple[int, int], str] = {}
        self._used = set[str]()
        for pattern in self._patterns:
            for path in [pattern] if os.path.exists(pattern) else glob.glob(pattern):
                with contextlib.suppress(OSError):  # a broken link
                    self._places.setdefault(_identity(os.stat(path)), pattern)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def covers(self, folder: str, top: str, status: os.stat_result) -> bool:
        """Whether a folder in or below `top`, with this status, is left out."""
        if not self._patterns:
            return False
        pattern = self._places.get(_identity(status)) or self._match(os.path.basename(folder))
        pattern = pattern or self._match(os.path.relpath(folder, top)) or self._match(os.path.abspath(folder))
        if pattern is None:
            return False
        self._used.add(pattern)
        return True

    def warn_of_unused(self) -> None:
        """Log the given patterns that matched nothing; they may be misspelled."""
        for pattern in self._given:
            if pattern not in self._used:
                LOGGER.warning("--exclude %s matches nothing", pattern)

    def _match(self, name: str) -> str | None:
        return next((pattern for pattern in self._patterns if fnmatchcase(name, pattern)), None)


def add_exclude(parser: argparse.ArgumentParser) -> None:
    """Add the option `--exclude` to a command that takes folders of episodes."""
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out folders with this path, or whose name or path inside a given folder matches; may be repeated",
    )


def absolute_patterns(patterns: Sequence[str]) -> list[str]:
    """The patterns for storage in a file, so that they mean the same from every working directory."""
    return [os.path.abspath(pattern) if os.path.exists(pattern) else pattern for pattern in patterns]


def only_in(folder: str, patterns: Sequence[str]) -> list[str]:
    """Absolute patterns with the same effect inside a folder and none elsewhere; for a manifest, the patterns as is."""
    if os.path.isfile(folder):
        return absolute_patterns(patterns)
    inside = glob.escape(os.path.abspath(folder))
    found: list[str] = []
    for pattern in absolute_patterns(patterns):
        found += [pattern] if os.path.isabs(pattern) else [f"{inside}/{pattern}", f"{inside}/*/{pattern}"]
    return found


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
