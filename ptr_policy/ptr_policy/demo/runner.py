# SPDX-License-Identifier: Apache-2.0
"""Run the stages of the demonstration that have not finished yet, and keep how long each took."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from ptr_policy.demo.plan import Plan
from ptr_policy.demo.stages import all_stages
from ptr_policy.stages import progress_bar, run_stage


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
