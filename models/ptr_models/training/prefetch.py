# SPDX-License-Identifier: Apache-2.0
"""Batches that are drawn and augmented in a thread during the previous update."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ptr_models.replay.augment import Augmentation, augment
from ptr_models.replay.batch import ALL_ROWS
from ptr_models.replay.windows import CLIP, Clips

AHEAD = 2
"""Number of batches prepared in advance; 1 would do if all took the same time."""


class BatchSource(Protocol):
    """Draws the batches of each update's phase."""

    def sample(self, size: int, step: int, rows: slice = ALL_ROWS) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...


class Prefetcher:
    """Prepares batches in order, a few updates ahead; a context manager."""

    def __init__(self, make: Callable[[int], Any], state: Callable[[], dict[str, Any]], steps: range) -> None:
        """Args:
        make: makes the batch for the update after a given number of updates.
        state: state of the draws; stored with each batch, since the thread is ahead of the training.
        steps: updates done before each batch.
        """
        self._make, self._state = make, state
        self._queue: queue.Queue[tuple[Any, dict[str, Any]] | BaseException] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(steps,), name="batches", daemon=True)

    def __enter__(self) -> Prefetcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def next(self) -> tuple[Any, dict[str, Any]]:
        """The next batch and the state of the draws after it. Errors of the thread are raised here."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def _run(self, steps: range) -> None:
        try:
            for step in steps:
                if not self._put((self._make(step), self._state())):
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


def augmented(batch: Any, rule: Augmentation, seed: int, step: int, part: tuple[int, int] = (0, 1)) -> Any:
    """A batch with random crops and colors, independently for s and s', determined by seed and step.

    The frames of a clip share their crop and colors, as in R3M, so that they differ only in time.

    Args:
        part: index of this part of a batch, and number of equal parts.
    """
    generator = np.random.default_rng([seed, step])
    return replace(
        batch,
        **{name: augment(getattr(batch, name), generator, rule, part, frames_of(batch)) for name in images_of(batch)},
    )


def frames_of(batch: Any) -> int:
    """How many consecutive images of a batch share their draws (the frames of a clip)."""
    return CLIP if isinstance(batch, Clips) else 1


def images_of(batch: Any) -> list[str]:
    """The names of a batch's image arrays, in the order of augmentation."""
    return [name for name in ("image", "next_image", "outcome", "intent") if hasattr(batch, name)]
