# SPDX-License-Identifier: Apache-2.0
"""One table from the `results.json` of several: from other machines, other seeds, or the results of a paper.

Trials of one run depend on each other, so methods are compared over runs: the rate of each seed, in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_atomically, write_json
from ptr_models.common.plotting import save_for_papers
from ptr_models.input_limits import MAX_JSON_BYTES
from ptr_models.json_input import parse_json
from ptr_models.typed_values import require_range, require_types
from ptr_policy.evaluation.comparison import holm
from ptr_policy.publishing import markdown_table, percent, success_figure, write_table
from ptr_policy.table.methods import METHODS, Method, Recipe
from ptr_policy.table.report import Cell, Count, Row, bars_of

OURS = "ptr"
"""The method that the others are compared with; without it, the first one."""
_OWN = ("policy", "trained", "trials")
"""Settings that differ for each policy trained elsewhere, or that the counts show."""


@dataclass(frozen=True)
class Entry:
    """One entry of a `results.json`, as far as a table needs it."""

    method: str
    task: str
    seed: int
    trials: int
    successes: int
    decoding: str
    best_in_validation: bool

    def __post_init__(self) -> None:
        require_types(self, PtrError)
        require_range("trials", self.trials, 1, 10**9, PtrError)
        require_range("successes", self.successes, 0, self.trials, PtrError)


@dataclass(frozen=True)
class Lead:
    """By how much a method is ahead of another one, over the seeds that both have.

    Attributes:
        points: mean difference of their success rates.
        interval: 95 %, Student's t over the seeds; None with fewer than two.
        p: of the paired t-test, adjusted by Holm over the comparisons of a table; None as above.
    """

    points: float
    interval: tuple[float, float] | None
    p: float | None

    def __str__(self) -> str:
        text = f"{100 * self.points:+.0f}"
        if self.interval is None or self.p is None:
            return text
        low, high = self.interval
        return f"{text} ({100 * low:+.0f} to {100 * high:+.0f}), {_significant(self.p)}"


def read_results(files: Sequence[Path]) -> tuple[list[Row], list[str]]:
    """The rows of some files in the order of the talk, and how their entries differ, in words.

    Raises:
        PtrError: a file is not a list of results, or a cell is repeated or has two best decodings.
    """
    entries: dict[tuple[str, str, int, str], Entry] = {}
    best: set[tuple[str, str, int]] = set()
    settings: dict[str, set[str]] = {}
    for file in files:
        for index, found in enumerate(_list(file)):
            entry = _entry(found, f"{file}, entry {index}")
            cell = (entry.method, entry.task, entry.seed)
            about = f"{entry.method}, {entry.task}, seed {entry.seed}"
            key = (*cell, entry.decoding)
            if key in entries:
                raise PtrError(f"{file} repeats {about}, {entry.decoding}; give each result once")
            if entry.best_in_validation and cell in best:
                raise PtrError(f"{file} has another best decoding of {about}; give the results of one run of it")
            entries[key] = entry
            if entry.best_in_validation:
                best.add(cell)
            for name, value in _conditions(found).items():
                settings.setdefault(name, set()).add(value)
    known = {method.name: method for method in METHODS}
    names = [*known, *dict.fromkeys(entry.method for entry in entries.values() if entry.method not in known)]
    rows = [
        Row(known.get(name) or Method(name, name, Recipe.EXTERNAL, None), tuple(map(_cell, of_method)))
        for name in names
        if (of_method := [entry for entry in entries.values() if entry.method == name])
    ]
    differing = [f"{name} is {' or '.join(sorted(values))}" for name, values in settings.items() if len(values) > 1]
    return rows, differing + _incomplete(rows)


def _conditions(found: Mapping[str, Any]) -> dict[str, str]:
    """The settings of an entry, and who judged it, by name."""
    raw = found.get("settings")
    settings = {str(name): value for name, value in raw.items() if name not in _OWN} if isinstance(raw, dict) else {}
    if "kitchen" in settings:
        settings[f"kitchen of {found['task']}"] = settings.pop("kitchen")
    if "judge" in found:
        settings["judge"] = found["judge"]
    return {name: str(value) for name, value in settings.items()}


def _incomplete(rows: Sequence[Row]) -> list[str]:
    """The runs that lack a task, which count as much as the others."""
    tasks = {cell.task for row in rows for cell in row.cells}
    return [
        f"{row.method.title}, seed {seed} lacks {', '.join(sorted(lacking))}"
        for row in rows
        for seed in sorted({cell.seed for cell in row.cells})
        if (lacking := tasks - {cell.task for cell in row.cells if cell.seed == seed and cell.is_best})
    ]


def leads(rows: Sequence[Row]) -> dict[str, Lead]:
    """The lead of PTR (or else of the first row) over each other method, by the other's name."""
    ours = _ours(rows)
    made = {row.method.name: _lead(ours, row) for row in rows if row is not ours}
    found = {name: lead for name, lead in made.items() if lead is not None}
    tested = [name for name, lead in found.items() if lead.p is not None]
    adjusted = holm([found[name].p or 0.0 for name in tested])
    for name, p in zip(tested, adjusted, strict=True):
        found[name] = Lead(found[name].points, found[name].interval, p)
    return found


def _ours(rows: Sequence[Row]) -> Row:
    return next((row for row in rows if row.method.name == OURS), rows[0])


def combined_lines(rows: Sequence[Row], over: Mapping[str, Lead]) -> list[list[str]]:
    """Head and lines of the table.

    Args:
        over: leads, by the other method's name.
    """
    tasks = list(dict.fromkeys(cell.task for row in rows for cell in row.cells))
    head = ["method", *(task.replace("_", " ") for task in tasks), "runs", "mean", "95 %", "by the mode"]
    lines = [[*head, f"lead of {_ours(rows).method.title} in points"]]
    for row in rows:
        rates = row.runs
        mode = row.of(best=False)
        lines.append(
            [
                row.method.title,
                *(str(row.of(task)) for task in tasks),
                str(len(rates)),
                f"{100 * row.rate:.0f} %" if rates else "-",
                percent(row.interval) if rates else "-",
                f"{100 * mode.successes / mode.trials:.0f} %" if mode.trials else "-",
                str(over.get(row.method.name, "")),
            ]
        )
    return lines


def write_combined(files: Sequence[Path], out: Path) -> str:
    """Write the table of some results into a folder, like `ptr table`; returns it as Markdown."""
    rows, differing = read_results(files)
    over = leads(rows)
    head, *lines = combined_lines(rows, over)
    out.mkdir(parents=True, exist_ok=True)
    caption = (
        "Successes of all trials, and over runs (one per seed) the mean with its interval (Student's t; Wilson's over "
        "all trials if there is one run, or all are equal). Each cell chooses actions in the way that did best in its "
        "validation scenes; one column has the mode. Leads are paired by seed, p by Holm over all comparisons."
    )
    caption += f" The results differ: {'; '.join(differing)}." if differing else ""
    text = f"{markdown_table(head, lines)}\n\n{caption}\n"
    write_atomically(out / "table.md", text, durable=False)
    write_table(out / "table", head, lines)
    save_for_papers(success_figure(bars_of(rows), "success with 95 % interval"), out / "table.png")
    write_json(out / "table.json", [_as_json(row, over.get(row.method.name)) for row in rows])
    return text


def _list(file: Path) -> list[dict[str, Any]]:
    try:
        found = parse_json(file.read_bytes()[: MAX_JSON_BYTES + 1], str(file))
    except OSError as error:
        raise PtrError(f"{file} cannot be read: {error.strerror}") from error
    if not (isinstance(found, list) and found and all(isinstance(item, dict) for item in found)):
        raise PtrError(f"{file} is not a list of results; give a results.json of `ptr table`")
    return found


def _entry(found: Mapping[str, Any], where: str) -> Entry:
    names = tuple(Entry.__dataclass_fields__)
    absent = [name for name in names if name not in found]
    if absent:
        raise PtrError(f"{where} has no {absent[0]!r}; give a results.json of `ptr table`")
    try:
        return Entry(**{name: found[name] for name in names})
    except PtrError as error:
        raise PtrError(f"{where}: {error}") from error


def _cell(entry: Entry) -> Cell:
    count = Count(entry.successes, entry.trials)
    return Cell(entry.method, entry.task, entry.seed, entry.decoding, entry.best_in_validation, count, "")


def _lead(ours: Row, other: Row) -> Lead | None:
    """Over the seeds and tasks that both have; None if there are none."""
    pairs = {(cell.task, cell.seed) for cell in ours.cells if cell.is_best}
    pairs &= {(cell.task, cell.seed) for cell in other.cells if cell.is_best}
    if not pairs:
        return None
    differences = []
    for seed in sorted({seed for _, seed in pairs}):
        tasks = [task for task, own in pairs if own == seed]
        mine, theirs = (sum((row.of(task, seed) for task in tasks), Count(0, 0)) for row in (ours, other))
        differences.append(mine.successes / mine.trials - theirs.successes / theirs.trials)
    mean = float(np.mean(differences))
    if len(differences) < 2 or float(np.ptp(differences)) < 1e-9:
        return Lead(mean, None, None)
    test = stats.ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(0.95)
    return Lead(mean, (float(low), float(high)), float(test.pvalue))


def _significant(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _as_json(row: Row, lead: Lead | None) -> dict[str, Any]:
    total = row.total
    return {
        "method": row.method.name,
        "total": [total.successes, total.trials],
        "runs": row.runs,
        "interval_95": row.interval if row.runs else None,
        "lead": None if lead is None else {"points": lead.points, "interval_95": lead.interval, "p_holm": lead.p},
    }
