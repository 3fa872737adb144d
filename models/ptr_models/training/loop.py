# SPDX-License-Identifier: Apache-2.0
"""The training loop: a batch, an update, a log entry, a checkpoint."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ptr_models.algorithms import Algorithm, Transitions
from ptr_models.replay.augment import Augmentation, augment
from ptr_models.training.checkpoint import Checkpoint, save_checkpoint
from ptr_models.training.logs import MetricLog


class BatchSource(Protocol):
    """Batches of the phase that an update belongs to."""

    def sample(self, size: int, step: int) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        step: updates done.  seconds: it took.  reason: steps, seconds or signal.  checkpoint: the last one.
    """

    step: int
    seconds: float
    reason: str
    checkpoint: Path


class Prefetcher:
    """Draws and augments batches in a thread, a few ahead; remembers the sampler's state after each."""

    def __init__(
        self, source: BatchSource, size: int, rule: Augmentation, seed: int, steps: range, ahead: int = 2
    ) -> None:
        self._source, self._size, self._rule, self._seed = source, size, rule, seed
        self._queue: queue.Queue[tuple[Any, dict[str, Any]] | BaseException] = queue.Queue(ahead)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(steps,), name="batches", daemon=True)
        self._thread.start()

    def next(self) -> tuple[Any, dict[str, Any]]:
        """The next batch and the state of the sampler after it."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self, steps: range) -> None:
        try:
            for step in steps:
                batch = augmented(self._source.sample(self._size, step), self._rule, self._seed, step)
                if not self._put((batch, self._source.state_dict())):
                    return
        except Exception as error:  # handed to the training thread, which raises it
            self._put(error)

    def _put(self, item: Any) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False


def augmented(batch: Any, rule: Augmentation, seed: int, step: int) -> Any:
    """A batch with randomly cropped and coloured images, s and s' independently, by seed and step."""
    generator = np.random.default_rng([seed, step])
    return replace(
        batch,
        image=augment(batch.image, generator, rule),
        next_image=augment(batch.next_image, generator, rule),
    )


class Trainer:
    """One run: from a state of the algorithm to a later one, with checkpoints on the way."""

    def __init__(self, algorithm: Algorithm, checkpoint: Checkpoint, source: BatchSource, folder: Path) -> None:
        """Args:
        algorithm: initialised or loaded.
        checkpoint: contract, tasks, configuration, and the step to go on from.
        source: batches.
        folder: of the run: metrics.jsonl, tensorboard/, checkpoints/.
        """
        self.algorithm, self.source, self.folder = algorithm, source, folder
        self._checkpoint = checkpoint
        self.step = checkpoint.step
        self._metrics: dict[str, float] = dict(checkpoint.metrics)
        self._sampler = checkpoint.sampler
        self._saved: Path | None = None

    def run(self, title: str = "training") -> Outcome:
        """Train until the schedule's steps or seconds are used up, or SIGINT or SIGTERM arrives; then save.

        Args:
            title: of the progress bar.
        """
        config = self._checkpoint.config
        schedule, start = config.schedule, time.monotonic()
        batches = Prefetcher(
            self.source, config.batch_size, config.data.augmentation, config.seed, range(self.step, schedule.steps)
        )
        reason = "steps"
        try:
            with _stop_signals() as stopped, MetricLog(self.folder, schedule.steps, self.step, title) as log:
                while self.step < schedule.steps:
                    metrics = self._update(batches)
                    seconds = time.monotonic() - start
                    log.add(metrics, self.step, seconds / schedule.seconds if schedule.seconds else None)
                    if self.step % schedule.log_every == 0:
                        self._metrics = log.write(self.step, seconds)
                    if self.step % schedule.checkpoint_every == 0:
                        self.save()
                    if stopped.is_set() or (schedule.seconds and seconds >= schedule.seconds):
                        reason = "signal" if stopped.is_set() else "seconds"
                        break
                if log.pending:
                    self._metrics = log.write(self.step, time.monotonic() - start)
        finally:
            batches.close()
        return Outcome(self.step, time.monotonic() - start, reason, self.save())

    def save(self) -> Path:
        """Write checkpoints/step_N unless it was written already."""
        path = self.folder / "checkpoints" / f"step_{self.step:08d}"
        if not path.exists():
            state = replace(self._checkpoint, step=self.step, metrics=self._metrics, sampler=self._sampler)
            save_checkpoint(path, self.algorithm, state)
        return path

    def _update(self, batches: Prefetcher) -> dict[str, torch.Tensor]:
        batch, self._sampler = batches.next()
        tensors = Transitions.from_arrays(batch, self._checkpoint.tasks.slots, self._checkpoint.config.device)
        metrics = self.algorithm.update(tensors, self.step)
        self.step += 1
        return metrics


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of ending the process; only in the main thread."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in previous:
        signal.signal(number, lambda *_: stopped.set())
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
