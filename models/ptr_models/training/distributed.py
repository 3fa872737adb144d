# SPDX-License-Identifier: Apache-2.0
"""Data-parallel training by several processes, started by torchrun: gloo on CPUs, NCCL on GPUs.

All processes draw the same batch, and each trains on its part of the rows. Gradients are averaged during each backward
pass (`ptr_models.networks.data_parallel`), so all keep the same weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from ptr_models.common.errors import PtrError
from ptr_models.training.devices import resolve_device

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others, which may be reading bags or writing a checkpoint."""
Result = TypeVar("Result")


class GroupError(PtrError):
    """Processes that train together lost contact, or differ where they must not."""


@dataclass(frozen=True)
class Group:
    """This process among those that train together; by default a group of one.

    Attributes:
        rank: its number; rank 0 writes the files.   size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes checkpoints and reports."""
        return self.rank == 0

    def require_divisor(self, batch_size: int) -> None:
        """Refuse a batch that cannot be divided into equal parts.

        Raises:
            GroupError: names both numbers.
        """
        if batch_size % self.size:
            raise GroupError(f"batch_size {batch_size} is not a multiple of {self.size} processes; change one of them")

    def highest(self, value: int) -> int:
        """The largest value of all processes."""
        return int(self._reduced(torch.tensor(value), dist.ReduceOp.MAX))

    def mean(self, values: Tensor) -> Tensor:
        """Element-wise mean over the processes."""
        return self._reduced(values.clone(), dist.ReduceOp.SUM) / self.size

    def start_mean(self, values: Tensor) -> Callable[[], Tensor]:
        """Start averaging element-wise over the processes; the returned function waits for the result.

        Args:
            values: overwritten.
        """
        if self.size == 1:
            return lambda: values
        work = self._talk(lambda: dist.all_reduce(values, async_op=True))

        def wait() -> Tensor:
            self._talk(work.wait)
            return values.div_(self.size)

        return wait

    def require_equal(self, value: float, what: str) -> None:
        """Refuse to continue if a number differs between the processes.

        Raises:
            GroupError: names the number and both values.
        """
        own = torch.tensor(value, dtype=torch.float64)
        low, high = (float(self._reduced(own.clone(), op)) for op in (dist.ReduceOp.MIN, dist.ReduceOp.MAX))
        if low != high:
            raise GroupError(
                f"{what} differs between the processes ({low:g} and {high:g}); give all of them the same command, "
                "data and run folder"
            )

    def _reduced(self, values: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        if self.size > 1:
            self._talk(lambda: dist.all_reduce(values, operation))
        return values

    def _talk(self, exchange: Callable[[], Result]) -> Result:
        try:
            return exchange()
        except RuntimeError as error:
            raise GroupError(
                f"process {self.rank} of {self.size} has lost another process ({_reason(error)}); see the message of "
                "that process, then continue from the newest checkpoint with --resume"
            ) from error


ALONE = Group()


@contextmanager
def joined(device: str) -> Iterator[Group]:
    """The group of processes described by torchrun's environment; without it, this process alone.

    Args:
        device: as in the configuration; on a machine with several GPUs each process uses one.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]) == os.environ["WORLD_SIZE"]:
        for backend in ("GLOO", "NCCL"):  # all on one machine: not reachable from elsewhere
            os.environ.setdefault(f"{backend}_SOCKET_IFNAME", "lo")
    on_gpus = torch.device(resolve_device(device)).type == "cuda"
    if on_gpus:
        _take_gpu(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo", timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        raise GroupError(f"the processes cannot find each other ({_reason(error)}); use torchrun") from error
    try:
        yield Group(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


def _take_gpu(index: int) -> None:
    if index >= torch.cuda.device_count():
        raise GroupError(
            f"process {index} of this machine has no GPU of its own ({torch.cuda.device_count()} found); "
            "start at most as many processes as there are GPUs"
        )
    torch.cuda.set_device(index)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
