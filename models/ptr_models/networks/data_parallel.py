# SPDX-License-Identifier: Apache-2.0
"""Data-parallel training: several processes share a batch, each with an equal part of the rows.

Noise: each process draws the noise of the whole batch from a generator with the same state and keeps its own rows. So
the generators stay in sync, and the number of processes does not change what is learned.

Gradients: losses are means over rows, so the gradient of the whole batch is the mean over the processes. It is averaged
in buckets that are exchanged during the backward pass. DistributedDataParallel is not used: it wraps one module with
one backward pass, but actor, critics and temperature have separate losses that run through each other's networks.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Shard:
    """The part of each batch that this process works on.

    Attributes:
        index, num_shards: number of this process, and how many there are.
        start_mean: starts averaging a tensor over the processes; returns a function that waits for the result.
    """

    index: int
    num_shards: int
    start_mean: Callable[[Tensor], Callable[[], Tensor]]


BUCKET_BYTES = 8 << 20
"""Bytes of gradients per exchange: large enough for an efficient transfer, small enough to start early."""
_shard = Shard(0, 1, lambda values: lambda: values)


@contextmanager
def sharded(shard: Shard) -> Iterator[None]:
    """Within it, each batch is this process's part of a larger one."""
    global _shard
    before, _shard = _shard, shard
    try:
        yield
    finally:
        _shard = before


def normal(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers (B, ...), from PyTorch's global generator; the first axis is the batch."""
    return _own_rows(torch.randn(_global_shape(shape), device=device), shape[0])


def uniform(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Numbers (B, ...) uniform in [0, 1), from PyTorch's global generator; the first axis is the batch."""
    return _own_rows(torch.rand(_global_shape(shape), device=device), shape[0])


@contextmanager
def averaging_gradients(optimizers: Iterable[torch.optim.Optimizer]) -> Iterator[None]:
    """Run one backward pass inside; afterward these parameters' gradients are averaged over the processes."""
    if _shard.num_shards == 1:
        yield
        return
    groups = (group["params"] for optimizer in optimizers for group in optimizer.param_groups)
    exchange = _GradientExchange([parameter for group in groups for parameter in group], _shard.start_mean)
    try:
        yield
        exchange.finish()
    finally:
        exchange.close()


class _GradientExchange:
    """Buckets of parameters in the order in which a backward pass reaches them, last layers first.

    A bucket's exchange starts when all its gradients are ready and all previous exchanges have started, so that all
    processes use the same order.
    """

    def __init__(self, parameters: list[nn.Parameter], start_mean: Callable[[Tensor], Callable[[], Tensor]]) -> None:
        self._buckets = _buckets([parameter for parameter in reversed(parameters) if parameter.requires_grad])
        self._start_mean = start_mean
        self._missing = [len(bucket) for bucket in self._buckets]
        self._started: list[tuple[list[Tensor], Callable[[], Tensor]]] = []
        self._next = 0
        self._hooks = [
            parameter.register_post_accumulate_grad_hook(functools.partial(self._on_gradient, number))
            for number, bucket in enumerate(self._buckets)
            for parameter in bucket
        ]

    def finish(self) -> None:
        """Exchange the rest (buckets with parameters that the loss does not reach), and wait for all."""
        while self._next < len(self._buckets):
            self._start()
        for gradients, wait in self._started:
            parts = wait().split([gradient.numel() for gradient in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def close(self) -> None:
        """Remove the hooks."""
        for hook in self._hooks:
            hook.remove()

    def _on_gradient(self, bucket: int, _: Tensor) -> None:
        self._missing[bucket] -= 1
        while self._next < len(self._buckets) and self._missing[self._next] == 0:
            self._start()

    def _start(self) -> None:
        gradients = [parameter.grad for parameter in self._buckets[self._next] if parameter.grad is not None]
        self._next += 1
        if gradients:
            together = torch.cat([gradient.reshape(-1) for gradient in gradients])
            self._started.append((gradients, self._start_mean(together)))


def _buckets(parameters: list[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Consecutive parameters of one type: up to BUCKET_BYTES in total, or a single larger one."""
    buckets: list[list[nn.Parameter]] = []
    room = 0
    for parameter in parameters:
        size = parameter.numel() * parameter.element_size()
        if not buckets or size > room or buckets[-1][0].dtype != parameter.dtype:
            buckets.append([])
            room = BUCKET_BYTES
        buckets[-1].append(parameter)
        room -= size
    return buckets


def global_batch_size(own: int) -> int:
    """Rows of the whole batch, if this process has `own` of them."""
    return own * _shard.num_shards


def _global_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (global_batch_size(shape[0]), *shape[1:])


def _own_rows(noise: Tensor, rows: int) -> Tensor:
    return noise[_shard.index * rows : (_shard.index + 1) * rows]
