# SPDX-License-Identifier: Apache-2.0
"""Random numbers for the rows of a batch, the same whether one process trains on it or several share it.

Each process draws the noise of the whole batch from a generator of the same state and keeps its own rows, so that
the generators stay in step and the number of processes does not change what is learned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_share = (0, 1)


@contextmanager
def shared_among(processes: int, rank: int) -> Iterator[None]:
    """While it lasts, batches are the `rank`-th of `processes` equal parts of a larger one."""
    global _share
    before, _share = _share, (rank, processes)
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


def _whole(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[0] * _share[1], *shape[1:])


def _own_rows(noise: Tensor, rows: int) -> Tensor:
    return noise[_share[0] * rows : (_share[0] + 1) * rows]
