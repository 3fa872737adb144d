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
    """How long a stage took, s."""

    name: str
    title: str
    seconds: float


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


def run_stage(stage: Stage, logs: Path, progress: Progress) -> float:
    """Run the command of a stage to its end and return the seconds that it took.

    Its output goes to `logs/NAME.log`. Ctrl-C ends the command as Ctrl-C in its own terminal would.

    Raises:
        StageError: the command exited with an error, or left less than its total.
    """
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{stage.name}.log"
    bar = progress.add_task(stage.title, total=stage.total, unit=stage.unit)
    start = time.monotonic()
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
    return time.monotonic() - start


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
    """Run every stage that has not finished yet, and return how long each took.

    Finished stages are written to `stages.json`, so that an interrupted run goes on where it was.
    """
    file = plan.out / "stages.json"
    times = [StageTime(**entry) for entry in json.loads(file.read_text())] if file.is_file() else []
    finished = {entry.name for entry in times}
    with progress_bar(console) as progress:
        for stage in all_stages(plan):
            if stage.name in finished:
                continue
            seconds = run_stage(stage, plan.out / "logs", progress)
            times.append(StageTime(stage.name, stage.title, seconds))
            file.write_text(json.dumps([asdict(entry) for entry in times], indent=1))
            if not console.is_terminal:
                console.print(f"{stage.title}: {stage.total} {stage.unit} in {seconds:.0f} s")
    return times
