# SPDX-License-Identifier: Apache-2.0
"""Online improvement: a fine-tuned policy continues to learn from its own trials as they are recorded.

PTR's last phase (the original's online loop; Kumar et al. 2023): each new trial is followed by as many updates as it
has steps. Half of each batch is online data, half is drawn as in fine-tuning. Losses, optimizers with their moments,
and targets carry over. Another process, or `ptr sim practice`, collects the trials with the run's newest checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ptr_models.algorithms import Algorithm
from ptr_models.replay import Batch, Dataset, Sampler
from ptr_models.training.checkpoint import Checkpoint, save_checkpoint
from ptr_models.training.device_batches import DeviceBatches
from ptr_models.training.distributed import ALONE
from ptr_models.training.metric_averager import MetricAverager, require_finite
from ptr_models.training.online_bags import TrialDataset, TrialVerdict, read_verdicts, write_verdicts
from ptr_models.training.online_config import OnlineConfig
from ptr_models.training.prefetch import BatchSource
from ptr_models.training.runs import checkpoint_folder, prune_checkpoints

VERDICTS = "verdicts.jsonl"
ONLINE_SEED = 2
"""Added to the run's seed; the samplers of prior and target data have 0 and 1."""


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        trials: judged so far.   transitions: number that can be sampled.
        step: updates since the start of pre-training.   owed: updates still due for the trials so far.
        metrics: means over the updates since the last trial.
    """

    trials: int
    transitions: int
    step: int
    owed: int
    metrics: dict[str, float]


class OnlineLearner:
    """Algorithm, offline data and a growing set of trials. Deterministic for given trials and seed."""

    def __init__(
        self, algorithm: Algorithm, start: Checkpoint, offline: BatchSource, trials: TrialDataset, folder: Path
    ) -> None:
        """Args:
        algorithm: with the weights and moments of `start`.
        start: the fine-tuned checkpoint, or the newest checkpoint of the online run to continue.
        offline: batches as in fine-tuning.
        trials: the data set of trials, which grows.
        folder: of the run.
        """
        self.algorithm, self.folder = algorithm, folder
        self.step, self.trials = start.step, trials
        self.start, self._offline = start, offline
        self._batches = DeviceBatches.of(start.config, start.tasks)
        self._sampler: Sampler | None = None
        state = start.sampler.get("online", {})
        self._draws: dict[str, Any] = state.get("draws", {})
        self._owed = int(state.get("owed", 0))
        if state:
            trials.restore(read_verdicts(folder / VERDICTS, int(state["trials"])))
        self._averages = MetricAverager(device=start.config.device)
        self._metrics = dict(start.metrics)

    @property
    def progress(self) -> Progress:
        """The progress of the run."""
        transitions = 0 if self._sampler is None else len(self._sampler)
        return Progress(len(self.trials.verdicts), transitions, self.step, self._owed, self._metrics)

    def learn(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Add new trials, do the updates due until `stopped`, then save. Returns whether there was anything to do."""
        new = self.add_new_trials()
        done = self.improve(stopped)
        if new or done:
            self.save()
        return bool(new or done)

    def add_new_trials(self) -> list[TrialVerdict]:
        """Find new trials and add them to the data; returns their verdicts.

        Updates are due for the steps of new trials once there are more transitions than `min_transitions`. Earlier
        trials are only data.
        """
        before = len(self.trials.verdicts)
        new = self.trials.refresh()
        self._owed += updates_called_for(self.trials.verdicts, before, self.start.config.online)
        self._resample()
        return new

    def improve(self, stopped: Callable[[], bool] = lambda: False) -> int:
        """Do the updates that are due, until `stopped`; returns how many were done.

        Raises:
            TrainingError: a loss is not finite; the checkpoints before these updates are kept.
        """
        before = self.step
        while self._owed and self._sampler is not None and not stopped():
            self._averages.add(self._update())
            self.step, self._owed = self.step + 1, self._owed - 1
        if self.step > before:
            self._metrics = self._averages.compute_and_reset(ALONE)
            require_finite(self._metrics, self.step)
        return self.step - before

    def save(self) -> Path:
        """Write the checkpoint of this step, unless it exists, and remove old ones.

        Together with the bags it determines everything that follows, so a killed run can continue from it.
        """
        verdicts = self.trials.verdicts
        path = checkpoint_folder(self.folder, self.step)
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_verdicts(self.folder / VERDICTS, verdicts)
            online = {"draws": self._drawn(), "owed": self._owed, "trials": len(verdicts)}
            sampler = {**self._offline.state_dict(), "online": online}
            state = replace(self.start, step=self.step, metrics=self._metrics, sampler=sampler, pending={}, q_ranges={})
            save_checkpoint(path, self.algorithm, state)
            prune_checkpoints(self.folder, self.start.config.online.keep, lambda _: False)
        return path

    def _update(self) -> dict[str, Any]:
        config = self.start.config
        staged = self._batches.stage(self.sample(config.batch_size), self.step)
        return self.algorithm.update(self._batches.wait_for(staged), self.step)

    def sample(self, size: int) -> Batch:
        """Offline rows, then online rows: 32 each for mix 0.5 and 64 rows. An odd row is offline."""
        assert self._sampler is not None  # updates are due only if there are trials
        online = math.floor(size * self.start.config.online.mix + 1e-9)
        parts = [self._offline.sample(size - online, self.step)] if online < size else []
        parts += [self._sampler.sample(online)] if online else []
        return parts[0] if len(parts) == 1 else Batch.concatenate(*parts)

    def _drawn(self) -> dict[str, Any]:
        return self._draws if self._sampler is None else self._sampler.state_dict()

    def _resample(self) -> None:
        """Replace the sampler by one for the present trials, which continues the draws."""
        self._draws = self._drawn()
        self._sampler = None
        config, data = self.start.config, usable(self.trials.data, self.start.config.online.only_success)
        if data is None:
            return
        ids = self.start.tasks.ids(data.task_names)
        chunk = config.algorithm.chunk
        self._sampler = Sampler(data, ids, config.seed + ONLINE_SEED, config.labelling, chunk=chunk)
        if self._draws:
            self._sampler.load_state_dict(self._draws)


def updates_called_for(verdicts: Sequence[TrialVerdict], before: int, online: OnlineConfig) -> int:
    """Updates due for the trials after the first `before` ones. Grouping the trials differently changes nothing.

    A trial causes updates if the transitions up to and including it exceed `min_transitions`; before, it is only data.
    """
    counted = [item.steps if item.success or not online.only_success else 0 for item in verdicts]
    totals = np.cumsum(counted)
    return sum(
        math.ceil(online.updates_per_transition * steps)
        for steps, total in zip(counted[before:], totals[before:], strict=True)
        if total > online.min_transitions
    )


def usable(data: Dataset | None, only_success: bool) -> Dataset | None:
    """The trials to sample from: all, or the successful ones."""
    if data is None or not only_success or data.successes.all():
        return data
    return data.select(data.successes) if data.successes.any() else None


def success_rate(verdicts: Sequence[TrialVerdict], last: int) -> float:
    """Success rate of the newest `last` trials; NaN without trials."""
    newest = [item.success for item in verdicts[-last:]]
    return float(np.mean(newest)) if newest else float("nan")
