# SPDX-License-Identifier: Apache-2.0
"""An overview of many episodes: totals, findings and their counts, then one line for each episode."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding

from ptr_models.common.plain_text import counted, for_markup, plain
from ptr_models.episodes.quality import COMPUTER_BUSY, DISCARD

if TYPE_CHECKING:
    from ptr_models.contract import Contract
    from ptr_models.episodes.inspection import EpisodeReport
    from ptr_models.episodes.metadata import EpisodeMetadata

NAME, TASK = 40, 32  # widths of the name columns
SHORTEST = 4  # characters of a shortened name
NUMBERS = 34  # columns of outcome, steps and seconds, and the spaces before outcome and task
INDENT = 4  # columns before a finding
MAX_FINDINGS = 12
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def show_overview(reports: Sequence[EpisodeReport], failures: int, console: Console) -> None:
    """Print totals, counted findings, and a line for each episode.

    Args:
        failures: number of paths that could not be read, which were already reported.
    """
    for line in totals(reports, failures):
        console.print(line, soft_wrap=True, markup=False)
    found = findings(reports)
    if found:
        console.print()
        for count, text in found[:MAX_FINDINGS]:
            console.print(f"{count:>5} x  {text}", soft_wrap=True, markup=False)
        if len(found) > MAX_FINDINGS:
            console.print(f"           and {len(found) - MAX_FINDINGS} more findings of other kinds", markup=False)
    console.print()
    _show_lines(reports, console)


def totals(reports: Sequence[EpisodeReport], failures: int = 0) -> list[str]:
    """Numbers of episodes, steps and minutes, then counts by task, outcome and operator."""
    steps = sum(report.steps or 0 for report in reports)
    minutes = sum(report.duration for report in reports) / 60
    unusable = sum(bool(report.problem) for report in reports)
    doubtful = sum(report.recommendation == DISCARD for report in reports)
    lines = [
        f"{len(reports)} episodes, {steps} steps, {minutes:.1f} minutes; {unusable} not usable for training, "
        f"{doubtful} better discarded" + (f"; {failures} could not be read" if failures else "")
    ]
    return lines + shares([report.metadata for report in reports])


def shares(episodes: Sequence[EpisodeMetadata]) -> list[str]:
    """Counts of episodes by task, outcome, operator, kitchen and contract, one line each."""
    kinds = {
        "task": [episode.task for episode in episodes],
        "outcome": [episode.outcome for episode in episodes],
        "operator": [episode.operator or "(nobody named)" for episode in episodes],
        "kitchen": [episode.kitchen or "(none named)" for episode in episodes],
        "contract": [_contract(episode.contract) for episode in episodes],
    }
    return [
        f"{'by ' + kind:<12} " + ", ".join(f"{plain(name)} {count}" for name, count in Counter(names).most_common())
        for kind, names in kinds.items()
    ]


def findings(reports: Sequence[EpisodeReport]) -> list[tuple[int, str]]:
    """How many episodes have a finding, most frequent first. Findings that differ only in numbers count as one.

    A busy computer counts once per episode, however many streams it slowed down.
    """
    kinds: dict[str, list[str]] = {}
    for report in reports:
        split = [_split_cause(text) for text in report.findings]
        for text, _ in split:
            kinds.setdefault(_NUMBER.sub("N", text), []).append(text)
        if causes := [cause for _, cause in split if cause]:
            kinds.setdefault(COMPUTER_BUSY, []).append(causes[0])
    found = sorted(((len(texts), plain(texts[0])) for texts in kinds.values()), key=lambda item: -item[0])
    return [(count, text if count == 1 else f"e.g. {text}") for count, text in found]


def remarks(report: EpisodeReport) -> list[str]:
    """An episode's findings for its line. What a busy computer explains becomes one remark: the totals say the rest."""
    split = [_split_cause(text) for text in report.findings]
    slowed = {text.partition(" ")[0] for text, cause in split if cause}
    busy = [f"{COMPUTER_BUSY} ({counted(len(slowed), 'stream')} slow or paused)"] if slowed else []
    return [text for text, cause in split if not cause] + busy


def _split_cause(finding: str) -> tuple[str, str]:
    """A finding without the busy computer that explains it, and that cause; empty: it does not."""
    text, mark, details = finding.partition(f": {COMPUTER_BUSY}")
    return text, f"{COMPUTER_BUSY}{details}" if mark else ""


def both_ends(name: str, width: int) -> str:
    """A name shortened to a width. The start and the end are kept, since they distinguish names of a series."""
    text = plain(name)
    width = max(width, SHORTEST)
    end = width // 3
    return text if len(text) <= width else f"{text[: width - 1 - end]}…{text[-end:]}"


def _contract(contract: Contract) -> str:
    images = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in contract.cameras)
    return f"{images or 'objects, no cameras'} at {contract.control_rate:g} Hz:"


def _show_lines(reports: Sequence[EpisodeReport], console: Console) -> None:
    """A line for each episode, no longer than the terminal, followed by its findings."""
    name = max([len("episode"), *(len(plain(report.path.name)) for report in reports)])
    task = max([len("task"), *(len(plain(report.metadata.task)) for report in reports)])
    if console.is_terminal:
        room = max(console.width - NUMBERS, 2 * SHORTEST)
        task = min(task, room // 3)
        name = min(name, room - task)
    headings = f"{'episode':<{name}}  {'task':<{task}}  {'outcome':<15}{'steps':>6}{'s':>8}"
    console.print(headings, style="bold", soft_wrap=True)
    for report in reports:
        it = report.metadata
        outcome = it.outcome if it.score is None else f"{it.outcome} {it.score:g}"
        steps = "-" if report.steps is None else str(report.steps)
        names = f"{both_ends(report.path.name, name):<{name}}  {both_ends(it.task, task):<{task}}"
        line = f"{names}  {outcome:<15}{steps:>6}{report.duration:>8.1f}"
        console.print(line, markup=False, soft_wrap=True)
        mark = "[red]discard:[/red] " if report.recommendation == DISCARD else ""
        if text := mark + for_markup("; ".join(remarks(report))):
            console.print(Padding(text, (0, 0, 0, INDENT)))
