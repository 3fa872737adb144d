# SPDX-License-Identifier: Apache-2.0
"""Run the stages of the demonstration, each a command, with a progress bar over what it leaves on disk."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ptr_models.errors import PtrError
from ptr_policy.demo.plan import Plan
from ptr_policy.demo.stages import Stage, all_stages

POLL = 0.25  # s between two looks at the progress
TAIL = 25  # lines of a failed stage's log that are shown


class StageError(PtrError):
    """A stage of the demonstration ended with an error."""


@dataclass(frozen=True)
class StageTime:
    """How long a stage took, s, and whether it has come to its end."""

    name: str
    title: str
    seconds: float
    finished: bool = False


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
            _end(process)
    progress.update(bar, completed=min(stage.done(), stage.total))
    _require_success(stage, process.returncode, log)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a command that still runs, and wait for it; kill it when it does not end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15.0)


def _require_success(stage: Stage, returncode: int, log: Path) -> None:
    finished = stage.done()
    if returncode == 0 and finished >= stage.total:
        return
    lines = log.read_text(errors="replace").splitlines()[-TAIL:]
    raise StageError(
        f"stage {stage.name!r} ended with exit code {returncode} after {finished} of {stage.total} {stage.unit}; "
        f"the whole log is {log}, its end:\n" + "\n".join(f"  {line}" for line in lines)
    )


def run_all(plan: Plan, console: Console) -> list[StageTime]:
    """Run every stage that has not finished yet, and return how long each took, interrupted attempts included.

    Times are kept in `stages.json`, so that an interrupted run goes on where it was.
    """
    book = Path(plan.out / "stages.json")
    times = {entry["name"]: StageTime(**entry) for entry in json.loads(book.read_text())} if book.is_file() else {}
    with progress_bar(console) as progress:
        for stage in all_stages(plan):
            before = times.get(stage.name, StageTime(stage.name, stage.title, 0.0))
            if before.finished:
                continue
            begin, finished = time.monotonic(), False
            try:
                run_stage(stage, plan.out / "logs", progress)
                finished = True
            finally:
                seconds = before.seconds + time.monotonic() - begin
                times[stage.name] = StageTime(stage.name, stage.title, seconds, finished)
                book.write_text(json.dumps([asdict(entry) for entry in times.values()], indent=1))
            if not console.is_terminal:
                console.print(f"{stage.title}: {stage.total} {stage.unit} in {seconds:.0f} s")
    return list(times.values())
