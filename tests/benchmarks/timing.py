# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of the networks share: interleaved timing, the machine, random batches."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ptr_models.algorithms import Transitions


@dataclass(frozen=True)
class Cost:
    """Medians of what one call costs, s.

    Attributes:
        wall: time that passed.   cpu: time of all threads of this process (what others take away is not in it).
    """

    wall: float
    cpu: float


def interleaved(calls: Mapping[str, Callable[[], Any]], repetitions: int, device: str) -> dict[str, Cost]:
    """Call them in turn, `repetitions` times after two rounds of warming up, so that drifts hit all alike."""
    wait = torch.cuda.synchronize if device.startswith("cuda") else (lambda: None)
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for repetition in range(repetitions + 2):
        for name, call in calls.items():
            wait()
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            wait()
            if repetition >= 2:
                spent[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    return {
        name: Cost(*(statistics.median(values) for values in zip(*pairs, strict=True))) for name, pairs in spent.items()
    }


def operations(call: Callable[[], Any]) -> int:
    """Multiplications and additions of the matrix products and convolutions of one call, backward passes included."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def machine(device: str) -> dict[str, Any]:
    """Processor or GPU, load, threads and versions, for the record."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else _processor()
    return {
        "machine": name,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def random_transitions(batch: int, size: int, tasks: int, device: str) -> Transitions:
    """Noise in the shape of a batch."""
    rng = np.random.default_rng(0)

    def pixels() -> torch.Tensor:
        return torch.from_numpy(rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8)).to(device)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.uniform(-0.9, 0.9, shape).astype(np.float32)).to(device)

    return Transitions(
        image=pixels(),
        next_image=pixels(),
        state=numbers(batch, 7),
        next_state=numbers(batch, 7),
        action=numbers(batch, 7),
        reward=-torch.ones(batch, device=device),
        mask=torch.ones(batch, device=device),
        mc_return=numbers(batch),
        task=torch.eye(tasks, device=device)[torch.arange(batch, device=device) % tasks],
    )
