# SPDX-License-Identifier: Apache-2.0
"""Runs the unfinished stages of the demonstration and records their durations."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.common.guidance import resumable
from ptr_models.json_input import parse_json
from ptr_policy.demo.plan import Plan
from ptr_policy.demo.stages import stage_groups
from ptr_policy.stages import Stage, progress_bar, progress_text, run_together


@dataclass(frozen=True)
class StageTime:
    """Duration of a stage (s), whether it has finished, and its group of parallel stages."""

    name: str
    title: str
    seconds: float
    finished: bool = False
    group: int = 0


def run_all(plan: Plan, console: Console) -> list[StageTime]:
    """Run every unfinished stage, and return the duration of each, including interrupted attempts.

    Times are kept in `stages.json`, so that an interrupted run can continue.
    """
    book = Path(plan.out / "stages.json")
    times = _times_in(book)
    now: list[Stage] = []
    with resumable(lambda: progress_text(*now)), progress_bar(console) as progress:
        for number, group in enumerate(stage_groups(plan)):
            before = {stage.name: _time_of(stage, number, times) for stage in group}
            now[:] = [stage for stage in group if not before[stage.name].finished]
            if not now:
                continue
            if not console.is_terminal:
                logs = [f"{stage.title} … (log: {plan.out / 'logs' / stage.name}.log)" for stage in now]
                console.print("\n".join(logs), markup=False, soft_wrap=True)
            begin = time.monotonic()
            taken: dict[str, float] = {}
            try:
                run_together(now, plan.out / "logs", progress, taken)
            finally:
                for stage in now:
                    entry = before[stage.name]
                    seconds = entry.seconds + taken.get(stage.name, time.monotonic() - begin)
                    times[stage.name] = replace(entry, seconds=seconds, finished=stage.name in taken)
                write_json(book, [asdict(entry) for entry in times.values()])
            if not console.is_terminal:
                for stage in now:
                    seconds = times[stage.name].seconds
                    console.print(f"{stage.title}: {stage.total} {stage.unit} in {seconds:.0f} s", markup=False)
    return list(times.values())


def total_seconds(times: Sequence[StageTime]) -> float:
    """Total duration, s; stages of one group run in parallel."""
    groups: dict[int, float] = {}
    for entry in times:
        groups[entry.group] = max(groups.get(entry.group, 0.0), entry.seconds)
    return sum(groups.values())


def _time_of(stage: Stage, group: int, times: Mapping[str, StageTime]) -> StageTime:
    """The time of a stage's earlier attempts."""
    entry = times.get(stage.name, StageTime(stage.name, stage.title, 0.0))
    return replace(entry, title=stage.title, group=group)


def _times_in(book: Path) -> dict[str, StageTime]:
    """The stages' times so far, by name."""
    if not book.is_file():
        return {}
    try:
        return {entry["name"]: StageTime(**entry) for entry in parse_json(book.read_bytes(), str(book))}
    except (KeyError, TypeError) as error:
        raise PtrError(f"{book} has no valid stage times ({error!r}); delete it to run the stages again") from error
