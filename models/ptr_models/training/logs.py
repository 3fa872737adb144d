# SPDX-License-Identifier: Apache-2.0
"""What a run reports: a progress bar or lines, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import Tensor

LOGGER = logging.getLogger(__name__)
SHOWN = {"bellman_error": "TD", "cql_gap": "CQL", "q_data": "Q", "entropy": "H", "actor_mse": "MSE"}


class MetricLog:
    """Averages metrics over an interval and writes them; a context manager."""

    def __init__(self, folder: Path, total: int, start: int, title: str, console: Console | None = None) -> None:
        """Args: folder: the run's.  total: updates at the end.  start: updates done.  title: of the bar."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        self._tensorboard = _tensorboard(folder / "tensorboard")
        self._console = console or Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shown]}"),
        )
        self._progress = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._progress.add_task(title, total=total - start, shown="")
        self._start = start
        self._written = (start, 0.0)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}

    def __enter__(self) -> MetricLog:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._file.close()
        if self._tensorboard is not None:
            self._tensorboard.close()

    def add(self, metrics: dict[str, Tensor], step: int, fraction: float | None = None) -> None:
        """Take the metrics of update `step`; a used `fraction` of the time budget moves the bar instead."""
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._counts[name] = self._counts.get(name, 0) + 1
        done = step - self._start
        if fraction is not None and fraction > 0:
            self._progress.update(self._task, completed=done, total=max(done, round(done / fraction)))
        else:
            self._progress.update(self._task, completed=done)

    @property
    def pending(self) -> bool:
        """Whether updates were added since the last `write`."""
        return bool(self._counts)

    def write(self, step: int, seconds: float) -> dict[str, float]:
        """Write the averages since the last call, and return them.

        Args:
            step: updates done.   seconds: since the run began.
        """
        rate = (step - self._written[0]) / max(seconds - self._written[1], 1e-9)
        self._written = (step, seconds)
        averages = {name: float(total) / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        values = {"seconds": seconds, "rate": rate, **averages}
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        if self._tensorboard is not None:
            for name, value in values.items():
                self._tensorboard.add_scalar(name, value, step)
        shown = " ".join(f"{short} {averages[name]:.3g}" for name, short in SHOWN.items() if name in averages)
        shown = f"{rate:.1f}/s {shown}"
        self._progress.update(self._task, shown=shown)
        if not self._console.is_terminal:
            LOGGER.info("update %d: %s", step, shown)
        return averages


def _tensorboard(folder: Path) -> Any:
    """A SummaryWriter, or None where TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
