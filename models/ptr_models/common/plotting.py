# SPDX-License-Identifier: Apache-2.0
"""The look that all plots share, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptr_models.common.errors import PtrError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#24303a", "#8a949c", "#e3e7ea"
COLORS = ("#1f6f8b", "#d1603d", "#5b8c5a", "#8a5a9e", "#c29b2e")
FOR_PAPERS = (".pdf", ".svg")


def save(figure: Figure, path: Path | str) -> Path:
    """Write a figure; the ending of the name decides the format."""
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise PtrError(f"the image {path} cannot be written: {error}") from error
    return Path(path)


def save_for_papers(figure: Figure, path: Path) -> Path:
    """Write a figure to the given path, and next to it as PDF and SVG; returns the path."""
    for suffix in FOR_PAPERS:
        save(figure, path.with_suffix(suffix))
    return save(figure, path)


def tidy(axis: Any) -> None:
    """The look of an axis: small ticks, a faint grid, no frame at the top and right."""
    axis.tick_params(labelsize=7, colors=INK, length=2)
    axis.grid(color=GRID, lw=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(FAINT)
