# SPDX-License-Identifier: Apache-2.0
"""Long work as stages: commands that a person could type, with a progress bar over what they leave on disk."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ptr_models.common.errors import PtrError
from ptr_models.common.processes import end_process
from ptr_models.typed_values import require_type

PTR = (sys.executable, "-m", "ptr_models.cli")
POLL = 0.25  # s between two looks at the progress
TAIL = 25  # lines of a failed stage's log that are shown


class StageError(PtrError):
    """A stage ended with an error."""


@dataclass(frozen=True)
class Stage:
    """A command, and how far it is.

    Attributes:
        name: one or two words, also the name of the log file.
        title: what a person reads beside the bar.
        command: argument vector.
        total: units of progress at the end.
        done: returns the units that are finished.
        unit: what one unit is.
        kind, method: of a stage of a table: what is done, and for which method.
    """

    name: str
    title: str
    command: Sequence[str]
    total: int
    done: Callable[[], int]
    unit: str
    kind: str = ""
    method: str = ""


def number_in(values: Mapping[str, Any], name: str, path: Path) -> int:
    """An integer of a JSON file that says how far something is.

    Raises:
        PtrError: it is not there, or no integer.
    """
    require_type(int, values.get(name), f"{path}: {name}", PtrError)
    return int(values[name])


def progress_bar(console: Console) -> Progress:
    """The bar that all stages share."""
    return Progress(
        TextColumn("{task.description:<44}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]:<15}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        disable=not console.is_terminal,
    )


def progress_text(stage: Stage | None) -> str:
    """How far a stage is, as its bar shows it."""
    if stage is None:
        return "nothing is made yet"
    title = stage.title[:1].lower() + stage.title[1:]
    return f"{title}: {min(stage.done(), stage.total)} of {stage.total} {stage.unit}"


def run_stage(stage: Stage, logs: Path, progress: Progress) -> None:
    """Run the command of a stage to its end.

    Its output goes to `logs/NAME.log`. Ctrl-C ends the command as Ctrl-C in its own terminal would.

    Raises:
        StageError: the command exited with an error, or left less than its total.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{stage.name}.log"
    bar = progress.add_task(stage.title, total=stage.total, unit=stage.unit)
    with log.open("wb") as output:
        process = subprocess.Popen(
            stage.command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            while process.poll() is None:
                progress.update(bar, completed=min(stage.done(), stage.total))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL)
        finally:
            end_process(process, group=True)
    progress.update(bar, completed=min(stage.done(), stage.total))
    _require_success(stage, process.returncode, log)


def _require_success(stage: Stage, returncode: int, log: Path) -> None:
    finished = stage.done()
    if returncode == 0 and finished >= stage.total:
        return
    lines = log.read_text(errors="replace").splitlines()[-TAIL:]
    raise StageError(
        f"stage {stage.name!r} ended with exit code {returncode} after {finished} of {stage.total} {stage.unit}; "
        f"the whole log is {log}, its end:\n" + "\n".join(f"  {line}" for line in lines)
    )
