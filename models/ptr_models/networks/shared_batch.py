# SPDX-License-Identifier: Apache-2.0
"""A batch that several processes share, each with its equal part of the rows: what its mathematics must know of it.

Noise: each process draws that of the whole batch from a generator of the same state and keeps its own rows, so that
the generators stay in step and the number of processes does not change what is learned. Gradients: losses are means
over rows, so the gradient of the whole batch is the mean over the processes. It is taken here, between backward and
step, and not by DistributedDataParallel, which wraps one module with one backward pass: actor, critics and
temperature have losses of their own that run through each other's networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Share:
    """The part of this process: its index, how many parts there are, and the mean of a tensor over them."""

    index: int
    parts: int
    mean: Callable[[Tensor], Tensor]


_share = Share(0, 1, lambda values: values)


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """While it lasts, each batch is a part of a larger one."""
    global _share
    before, _share = _share, share
    try:
        yield
    finally:
        _share = before


def normal(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Standard normal numbers (B, ...), from PyTorch's global generator; the first axis is the batch."""
    return _own_rows(torch.randn(_whole(shape), device=device), shape[0])


def uniform(*shape: int, device: torch.device | str = "cpu") -> Tensor:
    """Numbers (B, ...) uniform in [0, 1), from PyTorch's global generator; the first axis is the batch."""
    return _own_rows(torch.rand(_whole(shape), device=device), shape[0])


def average_gradients(optimisers: Iterable[torch.optim.Optimizer]) -> None:
    """Replace the gradients of these parameters by their means over the processes, in one exchange."""
    if _share.parts == 1:
        return
    groups = (group["params"] for optimiser in optimisers for group in optimiser.param_groups)
    gradients = [item.grad for group in groups for item in group if item.grad is not None]
    together = _share.mean(torch.cat([gradient.reshape(-1) for gradient in gradients]))
    parts = together.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def whole_rows(own: int) -> int:
    """Rows of the whole batch, of which this process has `own`."""
    return own * _share.parts


def _whole(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (whole_rows(shape[0]), *shape[1:])


def _own_rows(noise: Tensor, rows: int) -> Tensor:
    return noise[_share.index * rows : (_share.index + 1) * rows]
