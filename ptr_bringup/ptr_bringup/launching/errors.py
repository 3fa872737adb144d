# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with a launch file, and with what was asked of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


class LaunchError(Exception):
    """A launch file can't be run; the text is the sentence that the user reads."""


class PlacedError(LaunchError):
    """One that says its line."""


@dataclass(frozen=True)
class Place:
    """A line of a launch file."""

    file: Path
    line: int

    def error(self, sentence: str) -> LaunchError:
        """An error that says where it is."""
        return PlacedError(f"{self.file}:{self.line}: {sentence}")


def known_names(name: str, known: Iterable[str], kind: str) -> str:
    """A tail for an error about an unknown name: the nearest known one, and all of them.

    Args:
        name: what was given.
        known: what there is.
        kind: what the names are, in the plural.
    """
    names = sorted(known)
    if not names:
        return f"{kind}: none"
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"{guess}{kind}: {', '.join(names)}"
