# SPDX-License-Identifier: Apache-2.0
"""The image of critical decisions: a film strip, and under it Q, what a blunder costs, and the policies' errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ptr_models.analysis.critical import Decisions
from ptr_models.common.errors import PtrError
from ptr_models.common.plotting import COLORS, FAINT, INK, tidy

CRITICAL = "#d1603d"
IMAGES = 10


def critical_figure(decisions: Sequence[Decisions], marks: Sequence[NDArray[np.bool_]], most: int = 2) -> Figure:
    """One block per demonstration, for at most `most` of them; critical steps are shaded and their images framed."""
    if not decisions:
        raise PtrError("there is no demonstration to draw")
    shown = list(zip(decisions, marks, strict=True))[:most]
    figure = Figure(figsize=(9.0, 4.9 * len(shown)), layout="constrained")
    blocks = figure.subfigures(len(shown), 1, squeeze=False)[:, 0]
    for block, (item, mark) in zip(blocks, shown, strict=True):
        _draw(block, item, mark)
    return figure


def _draw(block: SubFigure, item: Decisions, mark: NDArray[np.bool_]) -> None:
    chosen = imaged(mark, IMAGES)
    grid = block.add_gridspec(4, len(chosen), height_ratios=(1.1, 1.2, 1.0, 1.0))
    block.suptitle(f"{item.task.replace('_', ' ')}: {item.name}", fontsize=9, color=INK)
    for column, step in enumerate(chosen if item.frames[0].size else ()):
        _image(block.add_subplot(grid[0, column]), item.frames[step], int(step), bool(mark[step]))
    steps = np.arange(len(item.q))
    values, cost, errors = (block.add_subplot(grid[row, :]) for row in (1, 2, 3))
    low, high = np.quantile(item.alternatives, (0.1, 0.9), axis=1)
    values.fill_between(steps, low, high, color=FAINT, alpha=0.3, lw=0, label="Q of the alternatives, 10-90 %")
    values.plot(steps, item.q, color=COLORS[0], lw=1.6, label="Q of the action taken")
    cost.plot(steps, item.separation, color=CRITICAL, lw=1.4, label="action taken minus mean alternative")
    cost.plot(steps, item.advantage, color=COLORS[2], lw=1.2, label="advantage over the policy's own action")
    cost.axhline(0, color=FAINT, lw=0.6)
    for color, (name, error) in zip((COLORS[0], COLORS[3], COLORS[4]), item.errors.items(), strict=False):
        errors.plot(steps, error, color=color, lw=1.3, label=f"{name}: error of its action (RMS, scaled)")
    for axis in (values, cost, errors):
        for step in np.flatnonzero(mark):
            axis.axvspan(step - 0.5, step + 0.5, color=CRITICAL, alpha=0.12, lw=0)
        axis.set_xlim(-0.5, len(steps) - 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(frameon=False, fontsize=7, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 0.97), borderpad=0.1)
        tidy(axis)
    errors.set_xlabel("control step (shaded: critical)", fontsize=8, color=INK)


def imaged(mark: NDArray[np.bool_], most: int) -> NDArray[np.int64]:
    """Steps for the film strip: evenly spaced, each moved to the nearest critical step of its part if it has one."""
    steps = []
    for part in np.array_split(np.arange(len(mark)), min(most, len(mark))):
        marked = part[mark[part]]
        middle = part[len(part) // 2]
        steps.append(marked[np.argmin(np.abs(marked - middle))] if len(marked) else middle)
    return np.array(steps)


def _image(axis: Axes, frame: NDArray[np.uint8], step: int, is_critical: bool) -> None:
    axis.imshow(frame)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(str(step), fontsize=7, color=CRITICAL if is_critical else INK, pad=2)
    for side in axis.spines.values():
        side.set_color(CRITICAL if is_critical else FAINT)
        side.set_linewidth(2.0 if is_critical else 0.6)
