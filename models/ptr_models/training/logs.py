# SPDX-License-Identifier: Apache-2.0
"""The reports of a run: a progress bar or log lines, metrics.jsonl, timing.jsonl, TensorBoard."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
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

from ptr_models.training.config import TrainingConfig
from ptr_models.training.jsonlines import JsonLines
from ptr_models.training.progress_metrics import progress_metrics

LOGGER = logging.getLogger(__name__)


class NoLog:
    """The log of processes that report nothing."""

    def __enter__(self) -> NoLog:
        return self

    def __exit__(self, *_: object) -> None: ...

    def advance(self, step: int, fraction: float | None = None) -> None: ...

    def write(self, step: int, metrics: Mapping[str, float], seconds: float) -> None: ...


class RunLog:
    """Writes the metrics of an interval to all outputs; a context manager."""

    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        start: int,
        complete: int,
        title: str,
        console: Console | None = None,
    ) -> None:
        """Args:
        folder: of the run.
        config: its algorithm decides which metrics are shown.
        start: updates done.
        complete: entries after this many updates come from an interrupted attempt and are removed.
        title: of the bar.
        """
        self._metrics, self._timing = (
            JsonLines(folder / name, lambda entry: entry["step"] <= complete)
            for name in ("metrics.jsonl", "timing.jsonl")
        )
        self._curves = Curves(folder / "tensorboard", complete, config)
        self._method = config.algorithm.name
        self._console = console or Console(stderr=True)
        self._bar = _bar(self._console)
        total = config.schedule.steps - start
        self._task = self._bar.add_task(title, total=total, shown="", rate="")
        self._start, self._written = start, (start, 0.0)
        self._explained: set[str] = set()

    def __enter__(self) -> RunLog:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self._curves.close()

    def advance(self, step: int, fraction: float | None = None) -> None:
        """Report that `step` updates are done. With a time budget, its used `fraction` moves the bar instead."""
        done = step - self._start
        if fraction is not None and fraction > 0:
            self._bar.update(self._task, completed=done, total=max(done, round(done / fraction)))
        else:
            self._bar.update(self._task, completed=done)

    def write(self, step: int, metrics: Mapping[str, float], seconds: float) -> None:
        """Report the means since the last call.

        Args:
            step: updates done.   seconds: since the run began.
        """
        rate = (step - self._written[0]) / max(seconds - self._written[1], 1e-9)
        self._written = (step, seconds)
        self._metrics.append({"step": step, **metrics})
        self._timing.append({"step": step, "time": time.time(), "seconds": seconds, "rate": rate})
        self._curves.write({**metrics, "rate": rate}, step)
        self._show(step, metrics, f"{rate:.1f}/s")

    def _show(self, step: int, metrics: Mapping[str, float], rate: str) -> None:
        items = progress_metrics(self._method, metrics)
        for item in items:
            if item.metric not in self._explained:
                LOGGER.info("%s is %s: %s", item.label, item.metric, item.healthy)
                self._explained.add(item.metric)
        shown = "  ".join(item.show(metrics[item.metric]) for item in items)
        self._bar.update(self._task, shown=shown, rate=rate)
        if not self._console.is_terminal:
            LOGGER.info("update %d: %s  %s", step, rate, shown)


class Curves:
    """TensorBoard's files. Training continues without them if they can't be written."""

    def __init__(self, folder: Path, complete: int, config: TrainingConfig) -> None:
        """Args: complete: curves of an interrupted attempt are truncated after this many updates."""
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=complete + 1)
            self._writer.add_text("configuration", f"```yaml\n{config.to_yaml()}```", complete + 1)
        except ImportError:
            LOGGER.info("TensorBoard is not installed; the curves are in metrics.jsonl only")
        except OSError as error:
            self._give_up(error)

    def write(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each curve."""
        if self._writer is None:
            return
        try:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Write the remaining points."""
        if self._writer is None:
            return
        try:
            self._writer.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        LOGGER.warning("TensorBoard curves can no longer be written (%s); training continues", error)
        self._writer = None


def _bar(console: Console) -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[shown]}"),
    )
    return Progress(*columns, console=console, disable=not console.is_terminal)
