# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: its checkpoints, the chosen one, and which ones to delete.

config.yaml          the whole configuration, including defaults
data.json            folders of bags, counts, the episodes left out and why
environment.jsonl    one line per start: command, versions, devices, commit
metrics.jsonl        averages of the metrics; they depend only on seed, data and configuration
timing.jsonl         the time of each of these lines, and updates per second
tensorboard/         the same as curves
checkpoints/step_N/  after N updates since the start of pre-training
choice.json          the chosen checkpoint and why, if one was chosen
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from ptr_models.common.errors import PtrError
from ptr_models.json_input import read_object

CONFIG = "config.yaml"
INDEX = "checkpoint.json"
CHOICE = "choice.json"


class CheckpointError(PtrError):
    """A checkpoint is missing, damaged, or cannot be written."""


class RunError(PtrError):
    """A run folder is in use or invalid."""


def checkpoint_folder(run: Path | str, step: int) -> Path:
    """The folder of the checkpoint after `step` updates."""
    return Path(run) / "checkpoints" / f"step_{step:08d}"


def checkpoint_step(path: Path) -> int:
    """Updates done when the checkpoint was written, from its name."""
    return int(path.name.removeprefix("step_"))


def checkpoints_of(run: Path | str) -> list[Path]:
    """The complete checkpoints of a run, oldest first."""
    found = (path for path in (Path(run) / "checkpoints").glob("step_*") if re.fullmatch(r"step_\d+", path.name))
    return sorted((path for path in found if (path / INDEX).is_file()), key=checkpoint_step)


def latest_checkpoint(run: Path | str) -> Path | None:
    """The newest complete checkpoint of a run, or None."""
    found = checkpoints_of(run)
    return found[-1] if found else None


def chosen_checkpoint(run: Path | str) -> Path | None:
    """The checkpoint that choice.json names, or None if none was chosen.

    Raises:
        CheckpointError: the file cannot be read, or its checkpoint no longer exists.
    """
    file = Path(run) / CHOICE
    try:
        if not file.exists():
            return None
        name = read_object(file, CheckpointError, advice="delete it, or choose again")["chosen"]
        path = Path(run) / "checkpoints" / Path(str(name)).name
    except KeyError as error:
        raise CheckpointError(f"{file} cannot be read ({error!r}); delete it, or choose again") from error
    if not (path / INDEX).is_file():
        raise CheckpointError(f"{file} names {path.name}, which does not exist; delete it, or choose again")
    return path


def resolve_checkpoint(path: Path | str) -> Path:
    """The given checkpoint folder; for a run folder, its chosen checkpoint, or else its newest.

    Raises:
        CheckpointError: it is neither.
    """
    path = Path(path)
    if (path / INDEX).is_file():
        return path
    found = chosen_checkpoint(path) or latest_checkpoint(path)
    if found is None:
        raise CheckpointError(f"there is no checkpoint at {path} (no {INDEX}, and no checkpoints/step_*)")
    return found


def prune_checkpoints(run: Path, keep: int, milestone: Callable[[int], bool]) -> list[Path]:
    """Delete all checkpoints except the newest `keep` (0: keep all) and the milestones.

    Args:
        milestone: whether the checkpoint after a number of updates is always kept.
    Returns:
        the deleted folders.
    """
    old = checkpoints_of(run)[:-keep] if keep > 0 else []
    gone = [path for path in old if not milestone(checkpoint_step(path))]
    for path in gone:
        doomed = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        path.rename(doomed)  # no partial checkpoint keeps its name
        shutil.rmtree(doomed, ignore_errors=True)
    return gone


def remove_leftovers(run: Path) -> None:
    """Delete half-written or half-deleted files of a killed process. Call it only while the run is locked."""
    for path in (run / "checkpoints").glob(".step_*.tmp"):
        shutil.rmtree(path, ignore_errors=True)
