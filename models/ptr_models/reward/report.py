# SPDX-License-Identifier: Apache-2.0
"""The results of a classifier on held-out episodes: a table for the terminal, and a figure next to its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from ptr_models.common.plain_text import for_markup
from ptr_models.reward.classifier import SuccessClassifier
from ptr_models.reward.fitting import HeldOut


def table_of(classifier: SuccessClassifier, found: HeldOut) -> Table:
    """Per task threshold, precision and recall of frames; of whole episodes the successes that were found, how many of
    them too early, and the failures that were mistaken for a success."""
    table = Table("task", box=None, pad_edge=False)
    for heading in ("threshold", "precision", "recall", "frames", "found", "early", "false"):
        table.add_column(heading, justify="right")
    verdicts = found.episode_verdicts(classifier)
    for task, item in sorted(found.calibrations.items()):
        row = [f"{item.threshold:.2f}", _share(item.precision), _share(item.recall)]
        row.append(f"{item.positives}+{item.negatives}")
        count: dict[str, Any] = verdicts.get(task, {})
        row.append(f"{count['found']}/{count['successes']}" if count else "-")
        row.append(f"{count['early']}" if count else "-")
        row.append(f"{count['false']}/{count['failures']}" if count.get("failures") else "-")
        table.add_row(for_markup(task), *row)
    return table


def draw(classifier: SuccessClassifier, found: HeldOut, path: Path) -> Path:
    """A panel per task: probability over the steps before the end, of each held-out episode; PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    tasks = sorted(found.calibrations)
    figure = Figure(figsize=(4.2 * len(tasks) + 0.6, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, task in zip(np.atleast_1d(figure.subplots(1, len(tasks), sharey=True)), tasks, strict=True):
        for name, success, curve in found.curves:
            if classifier.tasks.canonical(name) == task:
                axes.plot(
                    np.arange(len(curve)) - len(curve) + 1, curve, color="#2b6cb0" if success else "#c05621", lw=1.2
                )
        axes.axhline(found.calibrations[task].threshold, color="#555555", lw=0.8, ls="--")
        axes.set(title=task, xlabel="steps before the end", ylim=(-0.02, 1.02))
    figure.axes[0].set_ylabel("probability of success")
    figure.savefig(path, dpi=110)
    return path


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"
