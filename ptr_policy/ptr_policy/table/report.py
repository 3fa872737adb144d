# SPDX-License-Identifier: Apache-2.0
"""The table as a page, for papers and for programs: successes of trials, with intervals over trials and over runs."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from ptr_models.common.files import write_atomically, write_json
from ptr_models.common.guidance import command_text
from ptr_models.common.plotting import FOR_PAPERS, save_for_papers
from ptr_models.episodes.episode_discovery import episodes_so_far
from ptr_models.provenance import source_commit
from ptr_models.training.runs import chosen_checkpoint, latest_checkpoint
from ptr_models.viewing.clips import clips
from ptr_policy.evaluation.findings import Evaluation
from ptr_policy.evaluation.statistics import wilson_interval
from ptr_policy.publishing import SUFFIXES, Bar, markdown_table, percent, success_figure, write_table
from ptr_policy.table.judged import Judged, Key, judged_cells, missing_trials, read_evaluations
from ptr_policy.table.methods import REAL_TRIALS, Method, Recipe
from ptr_policy.table.plan import MODE, OWN, TablePlan, best_decoding, read_trials

TEMPLATE = Path(__file__).with_name("table.html.jinja")


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
    """Trials of a method, task and seed with one way of choosing actions.

    Attributes:
        is_best: that of the validation scenes, or the only one if a person judges.
        judge: simulator or person.
    """

    method: str
    task: str
    seed: int
    decoding: str
    is_best: bool
    count: Count
    checkpoint: str
    judge: str = "simulator"


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
    def rate(self) -> float:
        """Mean over runs, in which each run counts the same; there must be trials."""
        return float(np.mean(self.runs))

    @property
    def interval(self) -> tuple[float, float]:
        """95 %: Student's t over the rates of runs; Wilson's over trials if these do not differ, or with one run."""
        rates = self.runs
        if len(set(rates)) < 2:
            return self.total.interval
        half = float(stats.t.ppf(0.975, len(rates) - 1) * np.std(rates, ddof=1) / np.sqrt(len(rates)))
        return max(0.0, self.rate - half), min(1.0, self.rate + half)


def read_rows(plan: TablePlan, evaluations: Sequence[Evaluation] = ()) -> list[Row]:
    """What there is so far; with trials that a person judged."""
    judged = judged_cells(plan, evaluations)
    return [_row(plan, method, judged) for method in plan.methods]


def _row(plan: TablePlan, method: Method, judged: Mapping[Key, Judged]) -> Row:
    cells = []
    for _, task, kitchen, seed in (cell for cell in plan.cells if cell[0] == method):
        if not kitchen:
            it = judged.get((method.name, task, seed))
            if it is not None:
                count = Count(sum(result.autonomous_success for result in it.results), len(it.results))
                cells.append(Cell(method.name, task, seed, it.decoding, True, count, it.checkpoint, "person"))
            continue
        run = plan.run(method, task, seed)
        external = method.recipe is Recipe.EXTERNAL
        best = OWN if external else best_decoding(run)
        for decoding in (OWN,) if external else dict.fromkeys((MODE, best)):
            trials = read_trials(run, decoding)
            if trials:
                count = Count(sum(trial["success"] for trial in trials), len(trials))
                used = plan.policy(method, task, seed) if external else _checkpoint(run)
                cells.append(Cell(method.name, task, seed, decoding, decoding == best, count, used))
    return Row(method, tuple(cells))


def _checkpoint(run: Path) -> str:
    return str(chosen_checkpoint(run) or latest_checkpoint(run) or "")


def write_report(plan: TablePlan) -> tuple[str, Path]:
    """Write the files of the table into the plan's folder; returns the Markdown text and the image."""
    evaluations = read_evaluations(plan)
    rows = read_rows(plan, evaluations)
    entries = [_entry(plan, row.method, cell) for row in rows for cell in row.cells]
    write_json(plan.out / "results.json", entries)
    document = {"plan": plan.to_dict(), "rows": [_as_json(row) for row in rows]}
    write_json(plan.out / "table.json", document)
    text = markdown(plan, rows)
    write_atomically(plan.out / "table.md", text, durable=False)
    write_table(plan.out / "table", _head(plan), [_cells(plan, row) for row in rows])
    image = save_for_papers(figure(plan, rows), plan.out / "table.png")
    write_page(plan, rows, image, evaluations)
    return text, image


def _entry(plan: TablePlan, method: Method, cell: Cell) -> dict:
    """A cell for `results.json`, with all that it depends on."""
    settings: dict[str, object] = {"level": plan.level, "manner": plan.manner, "kitchen": dict(plan.tasks)[cell.task]}
    if method.recipe is Recipe.EXTERNAL:
        settings |= {"trained": "elsewhere", "policy": cell.checkpoint, "trials": plan.budget.trials}
    else:
        settings |= {"size": plan.size, **asdict(plan.budget), "set": list(plan.settings)}
        settings["cameras"] = list(plan.cameras)
    return {
        "method": cell.method,
        "task": cell.task,
        "seed": cell.seed,
        "trials": cell.count.trials,
        "successes": cell.count.successes,
        "decoding": cell.decoding,
        "best_in_validation": cell.is_best,
        "judge": cell.judge,
        "demonstrations": None if method.recipe is Recipe.EXTERNAL else str(plan.demonstrations(cell.task, cell.seed)),
        "settings": settings,
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


def _head(plan: TablePlan) -> list[str]:
    tasks = [task.replace("_", " ") for task, _ in plan.tasks]
    real = ["real arm (talk)"] if plan.is_full else []
    return ["method", *tasks, "all", "95 %", "by the mode", *real]


def _cells(plan: TablePlan, row: Row) -> list[str]:
    """A line of the table; the real arm's results don't compare with a table smaller than the paper's."""
    counts = [str(row.of(task)) for task, _ in plan.tasks]
    interval = percent(row.interval) if row.total.trials else "-"
    real = ["-" if row.method.real is None else f"{row.method.real}/{REAL_TRIALS}"] if plan.is_full else []
    return [row.method.title, *counts, str(row.total), interval, str(row.of(best=False)), *real]


def caption(plan: TablePlan) -> str:
    """What the table was made with, and how it is read."""
    budget = plan.budget
    real = (
        " The last column is the real arm, with other tasks and objects, as reported by its authors."
        if plan.is_full
        else ""
    )
    external = [method.title for method in plan.methods if method.recipe is Recipe.EXTERNAL]
    seen = f" Policies see the cameras {' and '.join(plan.cameras)}." if len(plan.cameras) > 1 else ""
    if external:
        real = f" Trained elsewhere, on data unknown to the table: {', '.join(external)}.{real}"
    values = [method.title for method in plan.methods if method.recipe is Recipe.VALUES]
    before = f" {', '.join(values)}: as many updates before, on the images alone." if values else ""
    return (
        f"{_trials_text(plan)}{seen} Presets of size {plan.size}: {budget.pretraining} updates of pre-training and "
        f"{budget.finetuning} of fine-tuning on {_demonstrations_text(plan)} (without pre-training a method "
        f"does both on its data); seeds {', '.join(map(str, plan.seeds))}. Intervals are over runs (Student's t) "
        f"where there are several.{before}{real}"
    )


def _demonstrations_text(plan: TablePlan) -> str:
    """How many there are of each task."""
    made = [f"{plan.budget.demonstrations} simulated demonstrations"] if len(plan.tasks) > len(plan.targets) else []
    own = [f"{len(it.bags)} own demonstrations of {task.replace('_', ' ')}" for task, it in plan.targets.items()]
    return ", ".join(made + own)


def _trials_text(plan: TablePlan) -> str:
    """Where the trials were made, and who judged them."""
    budget, texts = plan.budget, []
    if len(plan.judged_tasks) < len(plan.tasks):
        chosen = (
            f"Actions are chosen in the way that did best in {budget.validation} validation trials of "
            "each cell; one column has the mode."
        )
        trials = "1 trial" if budget.trials == 1 else f"{budget.trials} trials"
        texts += [
            f"Simulation: {trials} per task and seed at level {plan.level}, in the same scenes for all.",
            chosen if budget.validation else "Actions are the mode.",
        ]
    if plan.judged_tasks:
        names = ", ".join(task.replace("_", " ") for task in plan.judged_tasks)
        texts.append(
            f"Judged by a person, with `ptr evaluate`: {names}. Trials with a person's help do not count as "
            "successes, and actions are chosen as in each evaluation."
        )
    return " ".join(texts)


def markdown(plan: TablePlan, rows: Sequence[Row]) -> str:
    """One line per method, one column per task, and the sums with the interval."""
    return f"{markdown_table(_head(plan), [_cells(plan, row) for row in rows])}\n\n{caption(plan)}\n"


def bars_of(rows: Sequence[Row], with_real_arm: bool = False) -> list[Bar]:
    """Bars of the rows that have trials, best on top; with rings for the real arm's results, if wanted."""
    made = sorted((row for row in rows if row.total.trials), key=lambda row: -row.rate)
    return [
        Bar(
            row.method.title,
            row.rate,
            row.interval,
            row.method.name.startswith("ptr") and row.method.chooses_by_q,  # the control does not act by Q
            row.method.real / REAL_TRIALS if with_real_arm and row.method.real is not None else None,
        )
        for row in made
    ]


def figure(plan: TablePlan, rows: Sequence[Row]) -> Figure:
    """Bars of success with intervals, best on top; rings are the real arm's, only in the full table."""
    rings = "; rings: on the real arm (talk)" if plan.is_full else ""
    where = "" if plan.judged_tasks else " in simulation"
    return success_figure(bars_of(rows, plan.is_full), f"success{where} with 95 % interval{rings}")


def write_page(plan: TablePlan, rows: Sequence[Row], image: Path, evaluations: Sequence[Evaluation] = ()) -> Path:
    """Write table.html: the table, the figure, demonstrations, checkpoints, and what to do next."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    page = plan.out / "table.html"
    seed = plan.seeds[0]
    demonstrations = [(task, episodes_so_far(plan.demonstrations(task, seed))[:1]) for task, _ in plan.tasks]
    videos = clips([found[0] if found else None for _, found in demonstrations], page)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        head=_head(plan),
        rows=[_cells(plan, row) for row in rows],
        caption=caption(plan),
        image="data:image/png;base64," + base64.b64encode(image.read_bytes()).decode(),
        files=[f"table{suffix}" for suffix in (*FOR_PAPERS, *SUFFIXES, ".md", ".json")] + ["results.json"],
        videos=[
            {"title": task.replace("_", " "), "video": video, "bag": quote(os.path.relpath(bag, plan.out))}
            for (task, found), video in zip(demonstrations, videos, strict=True)
            for bag in found
        ],
        checkpoints=[(row.method.title, cell) for row in rows for cell in row.cells if cell.is_best],
        missing=missing_trials(plan, evaluations),
        next_steps=_next_steps(plan, rows),
    )
    write_atomically(page, text, durable=False)
    return page


def _next_steps(plan: TablePlan, rows: Sequence[Row]) -> list[dict[str, str]]:
    """Suggested next steps after a table, with their commands."""
    own = ["--target", *(target.folder for target in plan.targets.values())] if plan.targets else []
    words = ("--data", plan.data, *own, "--out", plan.out, "…", "--seed", max(plan.seeds) + 1)
    about = "Add a seed, since intervals over runs need several; other options as before:"
    steps: list[tuple[object, ...]] = [(about, "table", *words)]
    made = [(row.total.successes / row.total.trials, row) for row in rows if row.total.trials]
    tried = [cell for cell in max(made, key=lambda item: item[0])[1].cells if cell.judge != "person"] if made else []
    if tried:
        best = tried[0]
        kitchen = dict(plan.tasks)[best.task]
        scenes = ("--task", best.task, "--kitchen", kitchen, "--trials", 100)
        steps.append(("Try a checkpoint in more scenes:", "sim", "evaluate", "--checkpoint", best.checkpoint, *scenes))
    return [{"about": str(about), "command": command_text(*rest)} for about, *rest in steps]
