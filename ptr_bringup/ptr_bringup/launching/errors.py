# SPDX-License-Identifier: Apache-2.0
"""Errors in launch files and their arguments."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class LaunchError(Exception):
    """A launch file can't be run; the message is for the user."""


class PlacedError(LaunchError):
    """An error with its file and line."""


@dataclass(frozen=True)
class Place:
    """A line of a launch file."""

    file: Path
    line: int

    def error(self, sentence: str) -> LaunchError:
        """An error at this place."""
        return PlacedError(f"{self.file}:{self.line}: {sentence}")


def known_names(name: str, known: Iterable[str], kind: str) -> str:
    """End of an error message about an unknown name: the closest known one, and all of them.

    Args:
        name: the unknown name.
        known: the known names.
        kind: of the names, in the plural.
    """
    names = sorted(known)
    if not names:
        return f"{kind}: none"
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"{guess}{kind}: {', '.join(names)}"
