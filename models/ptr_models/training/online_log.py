# SPDX-License-Identifier: Apache-2.0
"""The reports of an online run: a progress bar of trials or log lines, metrics.jsonl, TensorBoard."""

from __future__ import annotations

import logging
import math
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ptr_models.training.config import TrainingConfig
from ptr_models.training.jsonlines import JsonLines
from ptr_models.training.logs import Curves
from ptr_models.training.online import OnlineLearner, success_rate

LOGGER = logging.getLogger(__name__)
WINDOWS = (10, 20)
"""Numbers of newest trials over which success rates are shown."""


class OnlineLog:
    """Reports the learner's progress after each group of trials; a context manager."""

    def __init__(self, folder: Path, config: TrainingConfig, learner: OnlineLearner, trials: int | None) -> None:
        """Args: trials: the run ends after this many; None: it runs until stopped."""
        done = learner.progress
        self._metrics = JsonLines(folder / "metrics.jsonl", lambda entry: entry.get("trials", 0) <= done.trials)
        self._curves = Curves(folder / "tensorboard", done.step, config)
        self._warned: set[str] = set()
        self._console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("trials"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[shown]}"),
        )
        self._bar = Bar(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("online", total=trials, completed=done.trials, shown="waiting for trials")

    def __enter__(self) -> OnlineLog:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
        self._curves.close()

    def write(self, learner: OnlineLearner) -> None:
        """Report the trials and updates since the last call."""
        now, verdicts = learner.progress, learner.trials.verdicts
        rates = {f"success_rate_{last}": success_rate(verdicts, last) for last in WINDOWS}
        known = {name: value for name, value in rates.items() if not math.isnan(value)}
        self._metrics.append(
            {"step": now.step, "trials": now.trials, "transitions": now.transitions, **known, **now.metrics}
        )
        self._curves.write({"trials": now.trials, "transitions": now.transitions, **known, **now.metrics}, now.step)
        shown = "  ".join(f"success of last {last} {100 * rates[f'success_rate_{last}']:.0f} %" for last in WINDOWS)
        q = f"  Q {now.metrics['q_data']:.2f}" if "q_data" in now.metrics else ""
        shown = f"{shown}  updates {now.step}{q}"
        self._bar.update(self._task, completed=now.trials, shown=shown)
        if not self._console.is_terminal:
            LOGGER.info("trial %d: %d transitions  %s", now.trials, now.transitions, shown)

    def warn(self, learner: OnlineLearner) -> None:
        """Log once, for each trial that can't be used, why."""
        for item in learner.trials.left_out:
            if item.path not in self._warned:
                LOGGER.warning("left out: %s: %s", item.path, item.reason)
                self._warned.add(item.path)
