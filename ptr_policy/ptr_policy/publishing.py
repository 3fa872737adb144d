# SPDX-License-Identifier: Apache-2.0
"""Results for a paper: tables as CSV and LaTeX, and success rates with their intervals as a figure."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from ptr_models.common.files import write_atomically
from ptr_models.common.plotting import COLORS, FAINT, INK, tidy

SUFFIXES = (".csv", ".tex")
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def write_table(stem: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[Path]:
    """Write a table as STEM.csv and STEM.tex and return their paths.

    The LaTeX is a `tabular` in the style of booktabs: \\usepackage{booktabs}, then \\input{STEM}.

    Args:
        rows: cells; None is an empty one.
    """
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows([head, *texts])
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        _latex_row(head),
        r"\midrule",
        *map(_latex_row, texts),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    contents = (written.getvalue(), "\n".join(lines) + "\n")
    paths = [stem.with_suffix(suffix) for suffix in SUFFIXES]
    for path, content in zip(paths, contents, strict=True):
        write_atomically(path, content, durable=False)
    return paths


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join("".join(_SPECIAL.get(letter, letter) for letter in cell) for cell in cells) + r" \\"


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


def percent(interval: tuple[float, float]) -> str:
    """An interval of rates as text."""
    low, high = interval
    return f"{100 * low:.0f}-{100 * high:.0f} %"


@dataclass(frozen=True)
class Bar:
    """A success rate with its 95 % interval; `other`: a rate from elsewhere, drawn as a ring; `is_ours`: colored."""

    title: str
    rate: float
    interval: tuple[float, float]
    is_ours: bool = True
    other: float | None = None


def success_figure(bars: Sequence[Bar], label: str) -> Figure:
    """Bars with intervals, the first on top."""
    drawing = Figure(figsize=(6.4, 0.42 * len(bars) + 1.2), layout="constrained")
    axis = drawing.subplots()
    for place, bar in enumerate(reversed(bars)):
        axis.barh(place, bar.rate, color=COLORS[0] if bar.is_ours else FAINT, height=0.6, alpha=0.85)
        axis.plot(bar.interval, [place, place], color=INK, lw=1.4)
        if bar.other is not None:
            axis.plot(bar.other, place, "o", mfc="white", mec=COLORS[1], ms=6, mew=1.6)
    axis.set_yticks(range(len(bars)), [bar.title for bar in reversed(bars)])
    axis.set_xlim(0, 1)
    axis.set_xlabel(label, fontsize=8, color=INK)
    tidy(axis)
    return drawing
