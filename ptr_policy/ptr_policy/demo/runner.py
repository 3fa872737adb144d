# SPDX-License-Identifier: Apache-2.0
"""Run the stages of the demonstration that have not finished yet, and keep how long each took."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.common.guidance import resumable
from ptr_models.json_input import parse_json
from ptr_policy.demo.plan import Plan
from ptr_policy.demo.stages import all_stages
from ptr_policy.stages import Stage, progress_bar, progress_text, run_stage


@dataclass(frozen=True)
class StageTime:
    """How long a stage took, s, and whether it has come to its end."""

    name: str
    title: str
    seconds: float
    finished: bool = False


def run_all(plan: Plan, console: Console) -> list[StageTime]:
    """Run every stage that has not finished yet, and return how long each took, interrupted attempts included.

    Times are kept in `stages.json`, so that an interrupted run goes on where it was.
    """
    book = Path(plan.out / "stages.json")
    times = _times_in(book)
    stage: Stage | None = None
    with resumable(lambda: progress_text(stage)), progress_bar(console) as progress:
        for stage in all_stages(plan):
            before = times.get(stage.name, StageTime(stage.name, stage.title, 0.0))
            if before.finished:
                continue
            begin, finished = time.monotonic(), False
            if not console.is_terminal:
                console.print(f"{stage.title} …", markup=False)
            try:
                run_stage(stage, plan.out / "logs", progress)
                finished = True
            finally:
                seconds = before.seconds + time.monotonic() - begin
                times[stage.name] = StageTime(stage.name, stage.title, seconds, finished)
                write_json(book, [asdict(entry) for entry in times.values()])
            if not console.is_terminal:
                console.print(f"{stage.title}: {stage.total} {stage.unit} in {seconds:.0f} s", markup=False)
    return list(times.values())


def _times_in(book: Path) -> dict[str, StageTime]:
    """How long each stage took so far, by its name."""
    if not book.is_file():
        return {}
    try:
        return {entry["name"]: StageTime(**entry) for entry in parse_json(book.read_bytes(), str(book))}
    except (KeyError, TypeError) as error:
        raise PtrError(f"{book} holds no times of stages ({error!r}); delete it to run them again") from error
