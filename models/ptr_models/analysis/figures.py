# SPDX-License-Identifier: Apache-2.0
"""Images of values and of training, as matplotlib figures that need no display."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ptr_models.analysis.values import ValueCurve, trend
from ptr_models.common.errors import PtrError
from ptr_models.common.plotting import COLORS, FAINT, INK, tidy
from ptr_models.json_input import parse_object

PANELS = (
    ("Bellman error", ("bellman_error",)),
    ("conservative gap", ("cql_gap",)),
    ("values", ("q_data", "q_policy", "q_uniform")),
    ("imitation error of the mode", ("actor_mse",)),
    ("entropy (nats)", ("entropy",)),
    ("temperature", ("temperature",)),
)


def q_figure(curves: Sequence[ValueCurve], columns: int = 5, title: str = "") -> Figure:
    """Small multiples of Q along demonstrations, with the return that the demonstration had."""
    if not curves:
        raise PtrError("there is no demonstration to draw")
    columns = min(columns, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(2.5 * columns, 2.0 * rows + (0.7 if columns > 2 else 1.1)), layout="constrained")
    axes = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    for axis, curve in zip(axes, curves, strict=False):
        steps = np.arange(len(curve.mc_return))
        axis.plot(steps, curve.mc_return, color=FAINT, lw=1, ls=":", label="return of the demonstration")
        axis.fill_between(steps, curve.q.min(axis=0), curve.q.max(axis=0), color=COLORS[0], alpha=0.2, lw=0)
        axis.plot(steps, curve.pessimistic, color=COLORS[0], lw=1.6, label="Q of its action")
        axis.plot(steps, curve.q_mode, color=COLORS[1], lw=1.2, label="Q of the policy's action")
        axis.set_title(f"rank correlation {trend(curve.pessimistic).spearman:.2f}", fontsize=8, color=INK)
        tidy(axis)
    for axis in axes[len(curves) :]:
        axis.set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 if columns > 2 else 1, frameon=False, fontsize=8)
    for axis in axes[max(len(curves) - columns, 0) : len(curves)]:
        axis.set_xlabel("control step", fontsize=8, color=INK)
    figure.suptitle(title or curves[0].task.replace("_", " "), fontsize=10, color=INK)
    return figure


def trend_figure(steps: Sequence[int], scores: Sequence[float], chosen: int | None = None) -> Figure:
    """Trend score per checkpoint, with the chosen step."""
    figure = Figure(figsize=(5.0, 2.6), layout="constrained")
    axis = figure.subplots()
    axis.plot(steps, scores, color=COLORS[0], marker="o", ms=4, lw=1.4)
    if chosen is not None:
        axis.axvline(chosen, color=COLORS[1], lw=1.2, ls="--")
        axis.annotate(f"chosen: {chosen}", (chosen, axis.get_ylim()[0]), fontsize=8, color=COLORS[1])
    axis.set_xlabel("update", fontsize=8)
    axis.set_ylabel("rank correlation of Q with time", fontsize=8)
    tidy(axis)
    return figure


def training_figure(entries: Sequence[dict[str, Any]], switch: int | None = None) -> Figure:
    """Curves of a run from the entries of its metrics.jsonl.

    Args:
        switch: update at which the target data entered, drawn as a line.
    """
    panels = [(name, keys) for name, keys in PANELS if any(key in entry for entry in entries for key in keys)]
    if not panels:
        raise PtrError("the run has no metrics to draw")
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.3 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, (name, keys) in zip(axes, panels, strict=False):
        for color, key in zip(COLORS, keys, strict=False):
            points = [(entry["step"], entry[key]) for entry in entries if key in entry]
            if points:
                axis.plot(*zip(*points, strict=True), color=color, lw=1.3, label=key.removeprefix("q_"))
        if len(keys) > 1:
            axis.legend(frameon=False, fontsize=7)
        if switch is not None and entries[0]["step"] <= switch <= entries[-1]["step"]:
            axis.axvline(switch, color=FAINT, lw=1, ls="--")
        axis.set_title(name, fontsize=9, color=INK)
        axis.locator_params(axis="x", nbins=4)
        tidy(axis)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.supxlabel("update", fontsize=8, color=INK)
    return figure


def read_metrics(run: Path | str) -> list[dict[str, Any]]:
    """Entries of a run's metrics.jsonl; a last line that a crash cut off is left out.

    Raises:
        PtrError: there is no such file.
    """
    file = Path(run) / "metrics.jsonl"
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise PtrError(f"{file} cannot be read ({error.strerror}); give the folder of a training run") from error
    entries = []
    for index, line in enumerate(lines):
        try:
            entry = parse_object(line, f"line {index + 1}", finite=False)
            if not isinstance(entry.get("step"), int):
                raise PtrError("it has no step")
            entries.append(entry)
        except PtrError as error:
            if index < len(lines) - 1:
                raise PtrError(f"line {index + 1} of {file} is not an entry of metrics; the file is damaged") from error
    return entries
