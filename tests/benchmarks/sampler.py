# SPDX-License-Identifier: Apache-2.0
"""Frames per second that the sampler with augmentation delivers, and that one PTR update of this machine consumes.

Batches are drawn and augmented as the training loop's prefetcher does it, in one thread, from a cache in memory;
updates run on one batch, with critic, actor and temperature (after any imitation-only warm-up). The two take turns. A
frame is an image of s or of s'. On a CPU seconds are those of the processor, which other processes disturb less; on a
GPU those of the clock. Prints one JSON line.

    python tests/benchmarks/sampler.py --pixels 64
    python tests/benchmarks/sampler.py --pixels 128
    python tests/benchmarks/sampler.py --pixels 128 --preset ptr_paper --rounds 1
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import torch

from ptr_models.algorithms import Transitions, make_algorithm
from ptr_models.contract import Camera, Contract
from ptr_models.replay import Dataset, Sampler
from ptr_models.training.allocator import keep_freed_memory
from ptr_models.training.prefetch import augmented
from ptr_models.training.presets import preset

STEPS, TASKS = 38, 35


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="ptr_small")
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1, help="of PyTorch")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    keep_freed_memory()
    print(json.dumps(measure(options)))


def measure(options: argparse.Namespace) -> dict[str, object]:
    """The figures, and what they were measured on."""
    config = preset(options.preset)
    networks = replace(config.networks, image_size=options.pixels)
    algorithm = make_algorithm(config.algorithm, networks, TASKS, options.device)
    sampler = Sampler(random_data(options.episodes, options.pixels), {f"task_{index}": index for index in range(TASKS)})
    steps = iter(range(10**9))

    def deliver() -> object:
        return augmented(sampler.sample(options.batch), config.data.augmentation, 0, next(steps))

    batch = Transitions.from_arrays(deliver(), TASKS, options.device)

    def consume() -> None:
        algorithm.update(batch, config.algorithm.bc_steps)  # the first update that trains everything
        if options.device != "cpu":
            torch.cuda.synchronize()

    clock = time.process_time if options.device == "cpu" else time.perf_counter
    delivered, consumed = [], []
    for number in range(options.rounds + 1):
        times = [seconds_of(work, clock) for work in (deliver, deliver, deliver, consume)]
        if number:
            delivered.append(2 * options.batch / statistics.median(times[:3]))
            consumed.append(2 * options.batch / times[3])
    return {
        "benchmark": "sampler",
        "preset": options.preset,
        "pixels": options.pixels,
        "batch": options.batch,
        "threads": options.threads,
        "device": torch.cuda.get_device_name() if options.device != "cpu" else "cpu",
        "frames_delivered_per_second": round(statistics.median(delivered)),
        "frames_consumed_per_second": round(statistics.median(consumed), 1),
        "ratio": round(statistics.median(d / c for d, c in zip(delivered, consumed, strict=True)), 1),
    }


def random_data(episodes: int, pixels: int) -> Dataset:
    """Episodes of smooth random pictures, in memory."""
    generator = np.random.default_rng(0)
    rows = episodes * (STEPS + 1)
    coarse = generator.integers(0, 256, (rows, pixels // 8, pixels // 8, 3), dtype=np.uint8)
    return Dataset(
        contract=Contract(cameras=(Camera(height=pixels, width=pixels),)),
        frames=coarse.repeat(8, axis=1).repeat(8, axis=2),
        states=generator.normal(size=(rows, 7)).astype(np.float32),
        actions=generator.uniform(-0.05, 0.05, (rows, 7)).astype(np.float32),
        starts=np.arange(episodes) * (STEPS + 1),
        lengths=np.full(episodes, STEPS),
        tasks=tuple(f"task_{index % TASKS}" for index in range(episodes)),
        successes=np.ones(episodes, bool),
        paths=tuple(f"episode_{index}" for index in range(episodes)),
    )


def seconds_of(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """How long a call takes by this clock."""
    begun = clock()
    work()
    return clock() - begun


if __name__ == "__main__":
    main()
