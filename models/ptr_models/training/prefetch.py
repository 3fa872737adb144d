# SPDX-License-Identifier: Apache-2.0
"""Batches that are drawn and augmented in a thread while the update before them computes."""

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
"""Batches that wait; one would do if all took the same time."""


class BatchSource(Protocol):
    """Batches of the phase that an update belongs to."""

    def sample(self, size: int, step: int, rows: slice = ALL_ROWS) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...


class Prefetcher:
    """Makes the batches of some updates, in order and a few ahead; a context manager."""

    def __init__(self, make: Callable[[int], Any], state: Callable[[], dict[str, Any]], steps: range) -> None:
        """Args:
        make: the batch of the update after so many updates.
        state: of the draws; it is kept with each batch, since the thread is ahead of the training.
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
        """The next batch and the state of the draws after it; what went wrong in the thread is raised here."""
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
    """A batch with randomly cropped and colored images, s and s' independently, by seed and step.

    The frames of a clip share their crop and colors, as in R3M: what sets them apart is time alone.

    Args:
        part: index and number of the equal parts of a batch of which this is one.
    """
    generator = np.random.default_rng([seed, step])
    return replace(
        batch,
        **{name: augment(getattr(batch, name), generator, rule, part, frames_of(batch)) for name in images_of(batch)},
    )


def frames_of(batch: Any) -> int:
    """How many consecutive images of a batch share their draws: those of a clip."""
    return CLIP if isinstance(batch, Clips) else 1


def images_of(batch: Any) -> list[str]:
    """The names of a batch's images, in the order in which they are augmented."""
    return [name for name in ("image", "next_image", "outcome", "intent") if hasattr(batch, name)]
