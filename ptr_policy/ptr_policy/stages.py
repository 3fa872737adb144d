# SPDX-License-Identifier: Apache-2.0
"""Runs long work as stages: commands that a person could type, with a progress bar over their results on disk."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
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
POLL_PERIOD = 0.25  # s between two updates of the bars
TAIL = 25  # lines shown of a failed stage's log


class StageError(PtrError):
    """A stage ended with an error."""


@dataclass(frozen=True)
class Stage:
    """A command and its progress.

    Attributes:
        name: one or two words, also the name of the log file.
        title: shown beside the bar.
        command: argument vector.
        total: units of progress at the end.
        done: returns the number of finished units.
        unit: name of the units.
        kind, method: for a stage of a table: the kind of work, and the method.
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
    """An integer in a JSON file of progress.

    Raises:
        PtrError: missing, or not an integer.
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


def progress_text(*stages: Stage) -> str:
    """The progress of stages, as their bars show it."""
    if not stages:
        return "nothing is done yet"
    titles = [stage.title[:1].lower() + stage.title[1:] for stage in stages]
    counts = [f"{min(stage.done(), stage.total)} of {stage.total} {stage.unit}" for stage in stages]
    return ", ".join(f"{title}: {count}" for title, count in zip(titles, counts, strict=True))


def run_stage(stage: Stage, logs: Path, progress: Progress) -> None:
    """Run the command of a stage to its end; see `run_together`."""
    run_together([stage], logs, progress, {})


def run_together(stages: Sequence[Stage], logs: Path, progress: Progress, seconds: dict[str, float]) -> None:
    """Run the commands of independent stages in parallel.

    Their output goes to `logs/NAME.log`. Ctrl-C ends the commands like Ctrl-C in their own terminals. If one fails, the
    others are ended.

    Args:
        seconds: gets the duration of each finished stage by name, even if another one failed.
    Raises:
        StageError: a command exited with an error, or produced less than its total.
    """
    logs.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with contextlib.ExitStack() as ending:
        running = [ending.enter_context(_Running(stage, logs, progress)) for stage in stages]
        while running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                running[0].process.wait(POLL_PERIOD)
            ended = [one for one in running if one.process.poll() is not None]
            for one in running:
                one.show()
            running = [one for one in running if one not in ended]
            seconds |= {one.stage.name: time.monotonic() - started for one in ended if not one.trouble()}
            if troubles := [trouble for one in ended if (trouble := one.trouble())]:
                raise StageError(troubles[0])


class _Running:
    """The running command of a stage; a context manager that ends it."""

    def __init__(self, stage: Stage, logs: Path, progress: Progress) -> None:
        self.stage, self._progress = stage, progress
        self._log = logs / f"{stage.name}.log"
        self._bar = progress.add_task(stage.title, total=stage.total, unit=stage.unit)
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                stage.command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def __enter__(self) -> _Running:
        return self

    def __exit__(self, *_: object) -> None:
        end_process(self.process, group=True)

    def show(self) -> None:
        """Update the bar."""
        self._progress.update(self._bar, completed=min(self.stage.done(), self.stage.total))

    def trouble(self) -> str:
        """Error of an ended stage: its exit code, or less than the total; empty: none."""
        returncode, finished, stage = self.process.returncode, self.stage.done(), self.stage
        if returncode == 0 and finished >= stage.total:
            return ""
        lines = self._log.read_text(errors="replace").splitlines()[-TAIL:]
        return (
            f"stage {stage.name!r} ended with exit code {returncode} after {finished} of {stage.total} {stage.unit}; "
            f"the whole log is {self._log}, its end:\n" + "\n".join(f"  {line}" for line in lines)
        )
