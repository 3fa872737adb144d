# SPDX-License-Identifier: Apache-2.0
"""The training loop: a batch, an update, a log entry, a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ptr_models.algorithms import Algorithm
from ptr_models.common.output_folder import locked
from ptr_models.networks.data_parallel import Shard, sharded
from ptr_models.networks.encoder import Encoder
from ptr_models.training.checkpoint import Checkpoint, save_checkpoint
from ptr_models.training.device_batches import DeviceBatches, Staged
from ptr_models.training.distributed import ALONE, Group
from ptr_models.training.logs import NoLog, RunLog
from ptr_models.training.metric_averager import MetricAverager, TrainingError, require_finite
from ptr_models.training.prefetch import BatchSource, Prefetcher
from ptr_models.training.runs import checkpoint_folder, prune_checkpoints, remove_leftovers
from ptr_models.training.signals import stop_signals

_OUT_OF_TIME = 1
"""A reason to stop; the others are signal numbers (2 and more)."""


def compile_encoders(algorithm: Algorithm, mode: str, **options: Any) -> int:
    """Compile all image encoders of an algorithm in place. Weights, names and checkpoints don't change.

    Args:
        mode: of torch.compile; `reduce-overhead` uses CUDA graphs.
        options: further options of torch.compile, e.g. its backend.
    Returns:
        the number of encoders; each is compiled on its first call.
    """
    encoders = [item for module in algorithm.modules.values() for item in module.modules() if isinstance(item, Encoder)]
    for encoder in encoders:
        encoder.compile(**({} if mode == "default" else {"mode": mode}), **options)
    return len(encoders)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: updates done.  seconds: duration.  reason: steps, seconds or signal.  checkpoint: the last one.
        signal: number of the signal that stopped it, or 0.
    """

    step: int
    seconds: float
    reason: str
    checkpoint: Path
    signal: int = 0


class Trainer:
    """One run: updates an algorithm and writes checkpoints."""

    def __init__(
        self, algorithm: Algorithm, checkpoint: Checkpoint, source: BatchSource, folder: Path, group: Group = ALONE
    ) -> None:
        """Args:
        algorithm: initialized or loaded.
        checkpoint: contract, tasks, configuration, and the step to continue from.
        source: batches.
        folder: of the run.
        group: the processes that train together; rank 0 writes.
        """
        self.algorithm, self.source, self.folder, self.group = algorithm, source, folder, group
        self.config = checkpoint.config
        self.step = checkpoint.step
        self.start = checkpoint
        self._averages = MetricAverager(checkpoint.pending, self.config.device)
        self._metrics: dict[str, float] = dict(checkpoint.metrics)
        self._sampler = checkpoint.sampler
        self._started = 0.0
        self._batches = DeviceBatches.of(self.config, checkpoint.tasks, (group.rank, group.size))

    def run(self, title: str = "training") -> Outcome:
        """Train until the schedule's steps or seconds are used up, or SIGINT or SIGTERM arrives; then save.

        Args:
            title: of the progress bar.
        Raises:
            CheckpointError: a checkpoint cannot be written; earlier ones are kept.
            FolderInUseError: another process writes to this folder.
            GroupError: another process of the group was lost.
            TrainingError: a loss is not finite.
        """
        self._started = time.monotonic()
        self._require_agreement()
        if self.config.compile:
            compile_encoders(self.algorithm, self.config.compile)
        steps = range(self.step, self.config.schedule.steps)
        with (
            stop_signals() as stop,
            self._own_folder(),
            sharded(Shard(self.group.rank, self.group.size, self.group.start_mean)),
            self._log(title) as log,
            Prefetcher(self._make_batch, self.source.state_dict, steps) as batches,
        ):
            number = 0
            while self.step < self.config.schedule.steps and number == 0:
                self._advance(batches, log)
                number = self.group.highest(stop.signal or self._out_of_time())
            checkpoint = self.save()
            if self._averages.updates and number <= _OUT_OF_TIME:  # after a signal, --resume continues the interval
                self._report(log)
        reason = {0: "steps", _OUT_OF_TIME: "seconds"}.get(number, "signal")
        return Outcome(self.step, self._seconds, reason, checkpoint, number if reason == "signal" else 0)

    def save(self) -> Path:
        """Write checkpoints/step_N unless it exists, then delete old checkpoints except milestones."""
        path = checkpoint_folder(self.folder, self.step)
        pending = self._averages.state(self.group)
        require_finite(pending.get("sums", {}), self.step)
        if self.group.is_main and not path.exists():
            state = replace(
                self.start,
                step=self.step,
                metrics=self._metrics,
                pending=pending,
                sampler=self._sampler,
                q_ranges={},  # the old ones belong to the initial weights
            )
            save_checkpoint(path, self.algorithm, state)
            prune_checkpoints(self.folder, self.config.schedule.keep_checkpoints, self.config.schedule.is_milestone)
        return path

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _advance(self, batches: Prefetcher, log: RunLog | NoLog) -> None:
        """One update, then logging and saving if due."""
        schedule = self.config.schedule
        staged, self._sampler = batches.next()
        tensors = self._batches.wait_for(staged)
        try:
            self._averages.add(self.algorithm.update(tensors, self.step))
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"the GPU ran out of memory with batch_size {self.config.batch_size}; lower it"
            ) from error
        self.step += 1
        log.advance(self.step, self._seconds / schedule.seconds if schedule.seconds else None)
        if self.step % schedule.log_every == 0:
            self._report(log)
        if self.step % schedule.checkpoint_every == 0 or self.step == schedule.target_from:
            self.save()

    def _make_batch(self, step: int) -> Staged:
        """This process's rows of the batch after `step` updates. All processes draw the same batch, from one seed."""
        config, group = self.config, self.group
        share = config.batch_size // group.size
        rows = slice(group.rank * share, (group.rank + 1) * share)
        batch = self.source.sample(config.batch_size, step, rows)
        return self._batches.stage(batch, step)

    def _report(self, log: RunLog | NoLog) -> None:
        self._metrics = self._averages.compute_and_reset(self.group)
        require_finite(self._metrics, self.step)
        log.write(self.step, self._metrics, self._seconds)

    def _out_of_time(self) -> int:
        limit = self.config.schedule.seconds
        return _OUT_OF_TIME if limit and self._seconds >= limit else 0

    def _require_agreement(self) -> None:
        """Check that several processes agree before their first update."""
        if self.group.size == 1:
            return
        self.group.require_divisor(self.config.batch_size)
        self.group.require_equal(self.step, "the number of updates done")
        weights = sum(
            float(parameter.detach().double().sum())
            for module in self.algorithm.modules.values()
            for parameter in module.parameters()
        )
        self.group.require_equal(weights, "the sum of the weights")

    @contextmanager
    def _own_folder(self) -> Iterator[None]:
        """Lock the run folder for this process, and delete half-written files of a killed one."""
        if not self.group.is_main:
            yield
            return
        with locked(self.folder):
            remove_leftovers(self.folder)
            yield

    def _log(self, title: str) -> RunLog | NoLog:
        if not self.group.is_main:
            return NoLog()
        complete = self.step - self._averages.updates
        return RunLog(self.folder, self.config, self.step, complete, title)
