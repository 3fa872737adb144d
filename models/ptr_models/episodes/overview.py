# SPDX-License-Identifier: Apache-2.0
"""Many episodes at a glance: totals, what is remarked upon and how often, then one line for each."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from ptr_models.common.plain_text import for_markup, plain
from ptr_models.episodes.quality import DISCARD

if TYPE_CHECKING:
    from ptr_models.episodes.inspection import EpisodeReport

NAME, TASK = 40, 32  # columns of names that are shown
MOST_FINDINGS = 12
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def show_overview(reports: Sequence[EpisodeReport], failures: int, console: Console) -> None:
    """Print totals, counted findings, and a line for each episode.

    Args:
        failures: paths that could not be read, of which each was said already.
    """
    for line in totals(reports, failures):
        console.print(line, soft_wrap=True, markup=False)
    counted = findings(reports)
    if counted:
        console.print()
        for count, text in counted[:MOST_FINDINGS]:
            console.print(f"{count:>5} x  {text}", soft_wrap=True, markup=False)
        if len(counted) > MOST_FINDINGS:
            console.print(f"           and {len(counted) - MOST_FINDINGS} findings more of other kinds", markup=False)
    console.print()
    console.print(_lines(reports))


def totals(reports: Sequence[EpisodeReport], failures: int = 0) -> list[str]:
    """Episodes, steps and minutes, then how many there are of each task, outcome and operator."""
    steps = sum(report.steps or 0 for report in reports)
    minutes = sum(report.duration for report in reports) / 60
    unusable = sum(bool(report.problem) for report in reports)
    doubtful = sum(report.proposal == DISCARD for report in reports)
    lines = [
        f"{len(reports)} episodes, {steps} steps, {minutes:.1f} minutes; {unusable} not usable for training, "
        f"{doubtful} better discarded" + (f"; {failures} could not be read" if failures else "")
    ]
    kinds = {
        "task": [report.metadata.task for report in reports],
        "outcome": [report.metadata.outcome for report in reports],
        "operator": [report.metadata.operator or "(nobody named)" for report in reports],
        "kitchen": [report.metadata.kitchen or "(none named)" for report in reports],
        "contract": [_contract(report) for report in reports],
    }
    for kind, names in kinds.items():
        shares = ", ".join(f"{plain(name)} {count}" for name, count in Counter(names).most_common())
        lines.append(f"{'by ' + kind:<12} {shares}")
    return lines


def findings(reports: Sequence[EpisodeReport]) -> list[tuple[int, str]]:
    """How many episodes have a finding, most frequent first; those that differ in numbers only count as one."""
    kinds: dict[str, list[str]] = {}
    for report in reports:
        for text in report.findings:
            kinds.setdefault(_NUMBER.sub("N", text), []).append(text)
    counted = sorted(((len(texts), plain(texts[0])) for texts in kinds.values()), key=lambda item: -item[0])
    return [(count, text if count == 1 else f"such as: {text}") for count, text in counted]


def end_of(name: str, width: int) -> str:
    """A name that fits; of a long one its end, which is what tells names of a series apart."""
    text = plain(name)
    return text if len(text) <= width else f"…{text[-(width - 1) :]}"


def _contract(report: EpisodeReport) -> str:
    contract = report.metadata.contract
    images = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in contract.cameras)
    return f"{images or 'objects, no cameras'} at {contract.control_rate:g} Hz:"


def _lines(reports: Sequence[EpisodeReport]) -> Table:
    table = Table("episode", "task", "outcome", box=None, pad_edge=False)
    for heading in ("steps", "s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("remarks", overflow="fold", ratio=1)
    for report in reports:
        it = report.metadata
        mark = "[red]discard:[/red] " if report.proposal == DISCARD else ""
        table.add_row(
            for_markup(end_of(report.path.name, NAME)),
            for_markup(end_of(it.task, TASK)),
            it.outcome if it.score is None else f"{it.outcome} {it.score:g}",
            "-" if report.steps is None else str(report.steps),
            f"{report.duration:.1f}",
            mark + for_markup("; ".join(report.findings)),
        )
    return table
