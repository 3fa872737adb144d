# SPDX-License-Identifier: Apache-2.0
"""Execute policies that predict several actions at once, one step at a time.

A chunk is requested `lead` steps before it is needed, in a thread, so that no step waits for it. Its actions for steps
that have passed by then are dropped. Overlapping chunks are averaged with the weights of ACT's temporal ensembling
(Zhao et al. 2023, algorithm 2): exp(-m i), where the oldest has i = 0.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.actions import scale
from ptr_models.inference.acting import BatchPolicy, Decision
from ptr_models.training.q_range import QRange
from ptr_models.typed_values import require_types

Image = NDArray[np.uint8]
Vector = NDArray[np.float32]
FIRST = "mode"
RANKED = "argmax_q"


class ChunkPredictor(Protocol):
    """Predicts chunks of actions; may be slow."""

    @property
    def contract(self) -> Contract:
        """Its observations, and the units of its actions."""

    def predict(self, image: Image | None, state: Vector, task: str) -> NDArray[np.float32]:
        """Actions (h, 7) in the contract's units, for this step and the following ones; a new sample on each call."""

    def reset(self) -> None:
        """Forget the history; call it when a new episode starts."""

    def close(self) -> None:
        """Release its resources."""


@dataclass(frozen=True)
class ChunkOptions:
    """How chunks become actions.

    Attributes:
        execute: steps of a chunk to execute before the next one takes over.
        lead: the next chunk is requested this many steps earlier, which is the time the policy may need.
        ensemble: m of ACT's weights; None: each chunk replaces the previous one.
        candidates: number of chunks among which a critic chooses, by their first actions.
    """

    execute: int = 8
    lead: int = 0
    ensemble: float | None = None
    candidates: int = 1

    def __post_init__(self) -> None:
        require_types(self, PtrError)
        if self.execute < 1 or self.candidates < 1:
            raise PtrError(f"execute is {self.execute} and candidates {self.candidates}; each must be 1 or more")
        if not 0 <= self.lead < self.execute:
            raise PtrError(f"lead is {self.lead}; it must be from 0 to {self.execute - 1}, below execute")
        if self.ensemble is not None and not (math.isfinite(self.ensemble) and self.ensemble >= 0.0):
            raise PtrError(f"ensemble is {self.ensemble}; it must be 0 or more, or omitted")


@dataclass(frozen=True)
class Chunk:
    """Actions predicted from one observation.

    Attributes:
        actions: (h, 7) in the contract's units.
        q, q_spread: value of the whole chunk, see `Decision`; NaN without a critic.
    """

    actions: NDArray[np.float32]
    q: float = math.nan
    q_spread: float = math.nan


@dataclass(frozen=True)
class _Placed:
    begin: int  # the step whose observation it was predicted from
    chunk: Chunk

    def covers(self, step: int) -> bool:
        return self.begin <= step < self.begin + len(self.chunk.actions)

    def at(self, step: int) -> Vector:
        return self.chunk.actions[step - self.begin]


class ChunkExecutor:
    """Executes chunks step by step.

    Args:
        predict: predicts a chunk from the inputs of a step; runs in its own thread.
    """

    def __init__(self, options: ChunkOptions, predict: Callable[..., Chunk]) -> None:
        self._options, self._predict = options, predict
        self._worker = ThreadPoolExecutor(1, "policy")
        self._chunks: list[_Placed] = []
        self._pending: Future[_Placed] | None = None
        self._step = 0
        self._next = 0  # the step at which the next chunk takes over

    def reset(self) -> None:
        """Drop all predictions; waits for one in progress."""
        if self._pending is not None:
            self._pending.exception()
        self._pending, self._chunks, self._step, self._next = None, [], 0, 0

    def next(self, *question: Any) -> tuple[Vector, Chunk]:
        """The action of this step (7,), and the newest chunk behind it.

        Args:
            question: inputs of `predict`, if a chunk is due.
        Raises:
            PtrError: the chunk is too short, or `predict` failed.
        """
        if self._pending is None and self._step >= self._next - self._options.lead:
            self._pending = self._worker.submit(self._place, self._step, *question)
        if self._pending is not None and self._step >= self._next:
            self._switch_to(self._pending)
        action = self._action()
        self._step += 1
        return action, self._chunks[-1].chunk

    def close(self) -> None:
        """Stop the thread."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _place(self, step: int, *question: Any) -> _Placed:
        return _Placed(step, self._predict(*question))

    def _switch_to(self, pending: Future[_Placed]) -> None:
        """Wait for the requested chunk and switch to it."""
        self._pending = None
        placed, needed = pending.result(), self._options.execute + self._options.lead
        steps = len(placed.chunk.actions)
        if steps < needed:
            raise PtrError(
                f"the policy predicts {steps} steps; execute {self._options.execute} and lead "
                f"{self._options.lead} need {needed}"
            )
        kept = [one for one in self._chunks if one.covers(self._step)] if self._options.ensemble is not None else []
        self._chunks = [*kept, placed]
        self._next = self._step + self._options.execute

    def _action(self) -> Vector:
        now = [placed.at(self._step) for placed in self._chunks if placed.covers(self._step)]
        weights = np.exp(-(self._options.ensemble or 0.0) * np.arange(len(now)))
        return np.average(now, axis=0, weights=weights).astype(np.float32)


class ChunkedPolicy:
    """Acts step by step on the chunks of an external policy.

    Args:
        predictor: predicts the chunks.
        critic: judges actions, and chooses among `candidates` chunks; None: no values.
        tasks: known by the critic; empty: any.
        stepwise: the predictor keeps a history and must be called exactly once per step (`execute` is 1).
    """

    def __init__(
        self,
        predictor: ChunkPredictor,
        options: ChunkOptions,
        critic: BatchPolicy | None = None,
        tasks: tuple[str, ...] = (),
        stepwise: bool = False,
    ) -> None:
        if options.candidates > 1 and critic is None:
            raise PtrError(f"{options.candidates} candidates need a critic that chooses among them")
        self._predictor, self._options, self._critic, self._stepwise = predictor, options, critic, stepwise
        self.tasks = tasks
        self._executor = ChunkExecutor(options, self._predict)

    @property
    def contract(self) -> Contract:
        """The policy's observations, and the units of its actions."""
        return self._predictor.contract

    @property
    def has_values(self) -> bool:
        """Whether a critic judges the actions."""
        return self._critic is not None

    def q_range(self, task: str) -> QRange | None:
        """None: the demonstrations are not available."""
        return None

    def reset(self) -> None:
        """Drop all predictions; waits for one in progress."""
        self._executor.reset()
        self._predictor.reset()

    def act(self, image: Image | None, state: Vector, task: str, choice: str = "", candidates: int = 0) -> Decision:
        """The action of this step; see `ActingPolicy.act`.

        Args:
            choice: `mode` or empty: the first predicted chunk; `argmax_q`: the chunk with the highest value.
            candidates: chunks to choose among; 0: as in the options.
        Raises:
            PtrError: the policy failed, or the choice is unknown.
        """
        began = time.perf_counter()
        action, _ = self._executor.next(image, state, task, self._count(choice, candidates))
        return self._decision(action, image, state, task, time.perf_counter() - began)

    def close(self) -> None:
        """Stop the thread and release the policy's resources."""
        self._executor.close()
        self._predictor.close()

    def _count(self, choice: str, candidates: int) -> int:
        if choice not in ("", FIRST, RANKED):
            raise PtrError(f"a policy that predicts chunks has no choice {choice!r}; use {FIRST} or {RANKED}")
        if choice == RANKED and self._critic is None:
            raise PtrError(f"choice {RANKED!r} needs a critic; name one in the policy's file")
        count = 1 if choice == FIRST else candidates or self._options.candidates
        if count > 1 and self._stepwise:
            raise PtrError(f"this policy gives one action per step, not {count} candidates; use choice {FIRST}")
        return count

    def _predict(self, image: Image | None, state: Vector, task: str, count: int) -> Chunk:
        found = [self._checked(self._predictor.predict(image, state, task)) for _ in range(count)]
        if count == 1 or self._critic is None:
            return Chunk(found[0])
        firsts = np.stack([scale(chunk[0], self.contract) for chunk in found])
        values = self._critic.values(_batch(image), state[None], firsts[None], task)[:, 0].min(axis=0)
        return Chunk(found[int(values.argmax())])

    def _checked(self, actions: NDArray[np.float32]) -> NDArray[np.float32]:
        width = len(self.contract.action)
        if actions.ndim != 2 or len(actions) == 0 or actions.shape[1] != width:
            raise PtrError(f"the policy's actions have shape {actions.shape}; required: (steps, {width})")
        if not np.isfinite(actions).all():
            raise PtrError("the policy's actions contain NaN or infinity")
        return actions

    def _decision(self, action: Vector, image: Image | None, state: Vector, task: str, took: float) -> Decision:
        scaled = scale(action, self.contract)
        if self._critic is None:
            return Decision(action, scaled, math.nan, math.nan, math.nan, took)
        values = self._critic.values(_batch(image), state[None], scaled[None], task)[:, 0]
        low = float(values.min())
        return Decision(action, scaled, low, float(values.max()) - low, low, took)


def _batch(image: Image | None) -> NDArray[np.uint8]:
    return np.empty((1, 0, 0, 0), np.uint8) if image is None else image[None]
