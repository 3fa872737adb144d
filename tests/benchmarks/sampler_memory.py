# SPDX-License-Identifier: Apache-2.0
"""Memory and time of drawing batches from caches of 1 000 to 2 300 000 frames, sparse on disk.

For each size one process opens a cache through its index, builds the sampler and draws. Memory is RssAnon, which
leaves mapped pages of the cache out; what Python and the libraries take is measured before. Prints one JSON line.

    python tests/benchmarks/sampler_memory.py
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ptr_models.contract import Camera, Contract
from ptr_models.replay import Sampler
from ptr_models.replay.cache import OUTCOMES, dataset_of
from ptr_models.replay.store import Entry, Stamp, Store, row_kinds

STEPS = 38
"""Mean length of an episode of Bridge."""
TASKS = 70


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[1_000, 100_000, 2_300_000])
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, contract_of(options.pixels), options.batch, options.draws)))
        return
    results = []
    for frames in options.frames:
        with tempfile.TemporaryDirectory() as scratch:
            episodes = write_sparse(Path(scratch), contract_of(options.pixels), frames)
            words = [sys.executable, __file__, "--one", scratch, "--pixels", str(options.pixels)]
            words += ["--batch", str(options.batch), "--draws", str(options.draws)]
            output = subprocess.run(words, check=True, capture_output=True, text=True).stdout
            results.append({"frames": frames, "episodes": episodes} | json.loads(output))
    print(
        json.dumps(
            {
                "benchmark": "sampler_memory",
                "batch": options.batch,
                "pixels": options.pixels,
                "per_episode_bytes": per_episode(results),
                "results": results,
            }
        )
    )


def contract_of(pixels: int) -> Contract:
    """One camera of that size."""
    return Contract(cameras=(Camera(height=pixels, width=pixels),))


def write_sparse(root: Path, contract: Contract, frames: int) -> int:
    """A cache of episodes of 38 steps whose arrays are holes; returns the number of episodes."""
    store, episodes = Store(root, contract), max(1, frames // (STEPS + 1))
    store.folder.mkdir(parents=True)
    for name, (kind, shape) in row_kinds(contract).items():
        with (store.folder / f"{name}.bin").open("wb") as file:
            file.truncate(episodes * (STEPS + 1) * int(np.prod(shape)) * np.dtype(kind).itemsize)
    with store.writer() as writer:
        writer.commit(
            [
                Entry(
                    f"/data/bridge/kitchen_{index % 10}/episode_{index:06d}",
                    Stamp(10**6, index, 10**3, index),
                    f"task_{index % TASKS}",
                    "demonstration",
                    "success",
                    start=index * (STEPS + 1),
                    steps=STEPS,
                )
                for index in range(episodes)
            ]
        )
    return episodes


def measure(root: Path, contract: Contract, batch: int, draws: int) -> dict[str, float]:
    """Figures of this process."""
    before = anonymous_bytes()
    begun = time.perf_counter()
    store = Store(root, contract)
    dataset = dataset_of(store, list(store.entries().values()), OUTCOMES)
    opened = time.perf_counter() - begun
    sampler = Sampler(dataset, {name: index for index, name in enumerate(dataset.task_names)})
    kept = anonymous_bytes() - before
    times, most = [], 0
    for _ in range(draws):
        begun = time.perf_counter()
        sampler.sample(batch)
        times.append(time.perf_counter() - begun)
        most = max(most, anonymous_bytes() - before)
    return {
        "open_seconds": round(opened, 3),
        "kept_megabytes": round(kept / 1e6, 1),
        "peak_megabytes": round(most / 1e6, 1),
        "draw_milliseconds": round(1e3 * float(np.median(times)), 3),
    }


def per_episode(results: list[dict[str, float]]) -> float:
    """Bytes by which memory grows with each episode, from the smallest to the largest cache."""
    first, last = results[0], results[-1]
    grown = (last["kept_megabytes"] - first["kept_megabytes"]) * 1e6
    return round(grown / max(1, last["episodes"] - first["episodes"]))


def anonymous_bytes() -> int:
    """Memory of this process that is no mapped file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])


if __name__ == "__main__":
    main()
