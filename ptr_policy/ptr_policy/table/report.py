# SPDX-License-Identifier: Apache-2.0
"""The table as JSON, Markdown and a picture: successes of trials with Wilson's intervals."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ptr_models.analysis.figures import COLOURS, FAINT, INK, save, tidy
from ptr_models.training.runs import chosen_checkpoint, latest_checkpoint
from ptr_policy.evaluation.statistics import wilson_interval
from ptr_policy.table.methods import REAL_TRIALS, Method
from ptr_policy.table.plan import TablePlan, read_trials


@dataclass(frozen=True)
class Count:
    """Successes of trials."""

    successes: int
    trials: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, Wilson."""
        return wilson_interval(self.successes, self.trials)

    def __add__(self, other: Count) -> Count:
        return Count(self.successes + other.successes, self.trials + other.trials)

    def __str__(self) -> str:
        return f"{self.successes}/{self.trials}" if self.trials else "-"


@dataclass(frozen=True)
class Row:
    """A method's results: per task over all seeds, and the checkpoint of every cell."""

    method: Method
    tasks: dict[str, Count]
    checkpoints: dict[str, str]

    @property
    def total(self) -> Count:
        """Over all tasks and seeds."""
        return sum(self.tasks.values(), Count(0, 0))


def read_rows(plan: TablePlan) -> list[Row]:
    """What there is so far."""
    return [_row(plan, method) for method in plan.methods]


def _row(plan: TablePlan, method: Method) -> Row:
    counts, used = {task: Count(0, 0) for task, _ in plan.tasks}, {}
    for _, task, _, seed in (cell for cell in plan.cells if cell[0] == method):
        run = plan.run(method, task, seed)
        trials = read_trials(run)
        counts[task] += Count(sum(trial["success"] for trial in trials), len(trials))
        if trials:
            used[f"{task}-s{seed}"] = str(chosen_checkpoint(run) or latest_checkpoint(run))
    return Row(method, counts, used)


def write_report(plan: TablePlan) -> tuple[str, Path]:
    """Write table.json, table.md and table.png into the plan's folder; returns the Markdown text and the picture."""
    rows = read_rows(plan)
    document = {"plan": plan.to_dict(), "rows": [_as_json(row) for row in rows]}
    (plan.out / "table.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = markdown(plan, rows)
    (plan.out / "table.md").write_text(text, encoding="utf-8")
    return text, save(figure(rows), plan.out / "table.png")


def _as_json(row: Row) -> dict:
    return {
        "method": row.method.name,
        "recipe": row.method.recipe.value,
        "tasks": {task: [count.successes, count.trials] for task, count in row.tasks.items()},
        "total": [row.total.successes, row.total.trials],
        "wilson_95": row.total.interval,
        "checkpoints": row.checkpoints,
        "real_arm": None if row.method.real is None else [row.method.real, REAL_TRIALS],
    }


def markdown(plan: TablePlan, rows: Sequence[Row]) -> str:
    """One line per method, one column per task, the sum with its interval, and the real arm's figure beside it."""
    tasks = [task for task, _ in plan.tasks]
    head = ["method", *(task.replace("_", " ") for task in tasks), "all", "95 %", "real arm (talk)"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        low, high = row.total.interval
        interval = f"{100 * low:.0f}-{100 * high:.0f} %" if row.total.trials else "-"
        real = "-" if row.method.real is None else f"{row.method.real}/{REAL_TRIALS}"
        counts = (str(row.tasks[task]) for task in tasks)
        lines.append(f"| {' | '.join([row.method.title, *counts, str(row.total), interval, real])} |")
    budget = plan.budget
    lines += [
        "",
        f"Simulation, presets of size {plan.size}: {budget.pretraining} updates of pre-training and "
        f"{budget.finetuning} of fine-tuning on {budget.demonstrations} demonstrations (without pre-training a method "
        f"makes both on its data); seeds {', '.join(map(str, plan.seeds))}; {budget.trials} trials per task and seed, "
        "in the same scenes for all. The last column: the real arm, other tasks and objects, as its authors report.",
    ]
    return "\n".join(lines) + "\n"


def figure(rows: Sequence[Row]) -> Figure:
    """Bars of success with intervals, best on top; rings are the real arm's."""
    drawing = Figure(figsize=(6.4, 0.42 * len(rows) + 1.2), layout="constrained")
    axis = drawing.subplots()
    ordered = sorted((row for row in rows if row.total.trials), key=lambda row: row.total.successes / row.total.trials)
    for place, row in enumerate(ordered):
        rate, (low, high) = row.total.successes / row.total.trials, row.total.interval
        colour = COLOURS[0] if row.method.name.startswith("ptr") else FAINT
        axis.barh(place, rate, color=colour, height=0.6, alpha=0.85)
        axis.plot([low, high], [place, place], color=INK, lw=1.4)
        if row.method.real is not None:
            axis.plot(row.method.real / REAL_TRIALS, place, "o", mfc="white", mec=COLOURS[1], ms=6, mew=1.6)
    axis.set_yticks(np.arange(len(ordered)), [row.method.title for row in ordered])
    axis.set_xlim(0, 1)
    axis.set_xlabel("success in simulation with 95 % interval; rings: on the real arm (talk)", fontsize=8, color=INK)
    tidy(axis)
    return drawing
