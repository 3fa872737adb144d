# SPDX-License-Identifier: Apache-2.0
"""The table as JSON, Markdown and a picture: successes of trials, with intervals over trials and over runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from ptr_models.analysis.figures import COLOURS, FAINT, INK, save, tidy
from ptr_models.common.files import write_atomically, write_json
from ptr_models.provenance import source_commit
from ptr_models.training.runs import chosen_checkpoint, latest_checkpoint
from ptr_policy.evaluation.statistics import wilson_interval
from ptr_policy.table.methods import REAL_TRIALS, Method
from ptr_policy.table.plan import MODE, TablePlan, best_decoding, read_trials


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
class Cell:
    """Trials of a method, task and seed with one way of choosing actions; `is_best`: that of the validation scenes."""

    method: str
    task: str
    seed: int
    decoding: str
    is_best: bool
    count: Count
    checkpoint: str


@dataclass(frozen=True)
class Row:
    """A method's results."""

    method: Method
    cells: tuple[Cell, ...]

    def of(self, task: str = "", seed: int | None = None, best: bool = True) -> Count:
        """Trials of a task and a seed (of all by default), with each cell's best decoding or with the mode."""
        chosen = [cell for cell in self.cells if (cell.is_best if best else cell.decoding == MODE)]
        counts = [cell.count for cell in chosen if task in ("", cell.task) and seed in (None, cell.seed)]
        return sum(counts, Count(0, 0))

    @property
    def total(self) -> Count:
        """Over all tasks and seeds, with each cell's best decoding."""
        return self.of()

    @property
    def runs(self) -> list[float]:
        """Success rate of each seed; trials of one run depend on each other, runs do not."""
        counts = [self.of(seed=seed) for seed in sorted({cell.seed for cell in self.cells})]
        return [count.successes / count.trials for count in counts if count.trials]

    @property
    def interval(self) -> tuple[float, float]:
        """95 %: Student's t over the rates of runs; with fewer than two runs Wilson's over trials."""
        rates = self.runs
        if len(rates) < 2:
            return self.total.interval
        half = float(stats.t.ppf(0.975, len(rates) - 1) * np.std(rates, ddof=1) / np.sqrt(len(rates)))
        return max(0.0, float(np.mean(rates)) - half), min(1.0, float(np.mean(rates)) + half)


def read_rows(plan: TablePlan) -> list[Row]:
    """What there is so far."""
    return [_row(plan, method) for method in plan.methods]


def _row(plan: TablePlan, method: Method) -> Row:
    cells = []
    for _, task, _, seed in (cell for cell in plan.cells if cell[0] == method):
        run = plan.run(method, task, seed)
        best = best_decoding(run)
        for decoding in dict.fromkeys((MODE, best)):
            trials = read_trials(run, decoding)
            if trials:
                count = Count(sum(trial["success"] for trial in trials), len(trials))
                used = str(chosen_checkpoint(run) or latest_checkpoint(run))
                cells.append(Cell(method.name, task, seed, decoding, decoding == best, count, used))
    return Row(method, tuple(cells))


def write_report(plan: TablePlan) -> tuple[str, Path]:
    """Write the files of the table into the plan's folder; returns the Markdown text and the picture."""
    rows = read_rows(plan)
    entries = [_entry(plan, cell) for row in rows for cell in row.cells]
    write_json(plan.out / "results.json", entries)
    document = {"plan": plan.to_dict(), "rows": [_as_json(row) for row in rows]}
    write_json(plan.out / "table.json", document)
    text = markdown(plan, rows)
    write_atomically(plan.out / "table.md", text, durable=False)
    return text, save(figure(rows), plan.out / "table.png")


def _entry(plan: TablePlan, cell: Cell) -> dict:
    """A cell for `results.json`, with all that it depends on."""
    return {
        "method": cell.method,
        "task": cell.task,
        "seed": cell.seed,
        "trials": cell.count.trials,
        "successes": cell.count.successes,
        "decoding": cell.decoding,
        "best_in_validation": cell.is_best,
        "settings": {
            "size": plan.size,
            "level": plan.level,
            "manner": plan.manner,
            "kitchen": dict(plan.tasks)[cell.task],
            **asdict(plan.budget),
            "set": list(plan.settings),
        },
        "commit": source_commit(),
    }


def _as_json(row: Row) -> dict:
    return {
        "method": row.method.name,
        "recipe": row.method.recipe.value,
        "total": [row.total.successes, row.total.trials],
        "mode": [row.of(best=False).successes, row.of(best=False).trials],
        "runs": row.runs,
        "interval_95": row.interval,
        "checkpoints": {f"{cell.task}-s{cell.seed}": cell.checkpoint for cell in row.cells},
        "real_arm": None if row.method.real is None else [row.method.real, REAL_TRIALS],
    }


def markdown(plan: TablePlan, rows: Sequence[Row]) -> str:
    """One line per method, one column per task, the sums with the interval, and the real arm's figure beside them."""
    tasks = [task for task, _ in plan.tasks]
    head = ["method", *(task.replace("_", " ") for task in tasks), "all", "95 %", "by the mode", "real arm (talk)"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in rows:
        low, high = row.interval
        interval = f"{100 * low:.0f}-{100 * high:.0f} %" if row.total.trials else "-"
        real = "-" if row.method.real is None else f"{row.method.real}/{REAL_TRIALS}"
        counts = (str(row.of(task)) for task in tasks)
        by_mode = str(row.of(best=False))
        lines.append(f"| {' | '.join([row.method.title, *counts, str(row.total), interval, by_mode, real])} |")
    budget = plan.budget
    lines += [
        "",
        f"Simulation, presets of size {plan.size}: {budget.pretraining} updates of pre-training and "
        f"{budget.finetuning} of fine-tuning on {budget.demonstrations} demonstrations (without pre-training a method "
        f"makes both on its data); seeds {', '.join(map(str, plan.seeds))}; {budget.trials} trials per task and seed "
        f"at level {plan.level}, in the same scenes for all. Actions are chosen as did best in {budget.validation} "
        "validation trials of each cell; the column before the last has the mode. Intervals are over runs (Student's "
        "t) where there are several. The last column: the real arm, other tasks and objects, as its authors report.",
    ]
    return "\n".join(lines) + "\n"


def figure(rows: Sequence[Row]) -> Figure:
    """Bars of success with intervals, best on top; rings are the real arm's."""
    drawing = Figure(figsize=(6.4, 0.42 * len(rows) + 1.2), layout="constrained")
    axis = drawing.subplots()
    ordered = sorted((row for row in rows if row.total.trials), key=lambda row: row.total.successes / row.total.trials)
    for place, row in enumerate(ordered):
        rate, (low, high) = row.total.successes / row.total.trials, row.interval
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
