# SPDX-License-Identifier: Apache-2.0
"""What an episode of Bridge is called: its task and kitchen, from its folders or from its instruction."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ptr_models.episodes.errors import EpisodeError

_SPLITS = ("train", "val")
TRAJECTORY = re.compile(r"traj(\d+)")
"""Name of a recording's folder."""
_SESSION = "%Y-%m-%d_%H-%M-%S"


def task_name(instruction: str) -> str:
    """A task name from plain words: put carrot on plate -> put_carrot_on_plate.

    Raises:
        EpisodeError: no letter or digit is in it.
    """
    words = re.findall(r"[a-z0-9]+", instruction.lower())
    if not words:
        raise EpisodeError(f"the instruction {instruction!r} gives no task name")
    return "_".join(words)[:128]


def session_of(parts: Sequence[str]) -> tuple[int, datetime] | None:
    """The index of a session's dated folder in a path, and its date; None without one."""
    for index in reversed(range(len(parts))):
        with contextlib.suppress(ValueError):
            return index, datetime.strptime(parts[index], _SESSION)
    return None


@dataclass(frozen=True)
class SourceFolder:
    """Where an episode lay in the original data; empty: not known.

    Attributes:
        domain: the kitchen, e.g. toykitchen6.   task: e.g. put_sweet_potato_on_plate, or many_skills.
    """

    domain: str = ""
    task: str = ""

    @classmethod
    def of(cls, source: str) -> SourceFolder:
        """From the path that the release keeps: .../DOMAIN/TASK/SPLIT/out.npy, or .../DOMAIN/TASK/NUMBER/SPLIT/out.npy.

        BridgeData V1 has the first form, V2 numbers the sessions of a task. Recordings have a session's date and what
        is below it in place of SPLIT/out.npy.
        """
        parts = Path(source).parts
        if len(parts) >= 4 and parts[-2] in _SPLITS:
            rest = parts[:-2]
        elif parts and TRAJECTORY.fullmatch(parts[-1]) and (session := session_of(parts)):
            rest = parts[: session[0]]
        else:
            return cls()
        while rest and rest[-1].isdigit():
            rest = rest[:-1]
        return cls(*rest[-2:]) if len(rest) >= 2 else cls()
