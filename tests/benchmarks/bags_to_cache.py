# SPDX-License-Identifier: Apache-2.0
"""Frames per second from bags into a cache, beside bare JPEG decoding of the same pictures by as many threads.

Both run in turns, so that a load that changes meets both; rates are medians. `ratio` is by the clock; `cpu_ratio` by
processor time, which other processes disturb less, but in which threads that wait for each other do not show.
Prints one JSON line.

    python tests/benchmarks/bags_to_cache.py                          recorded bags: 640 x 480 at 30 Hz, to 128 px
    python tests/benchmarks/bags_to_cache.py --bags data/pretraining  bags that exist, with their own contract
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from recorded_bags import write_bags

from ptr_models.contract import Contract
from ptr_models.episodes.episode_discovery import find_bags
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.sampling import choose
from ptr_models.episodes.streams import control_grid, read_streams
from ptr_models.replay import open_episodes


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bags", type=Path, help="folder of bags that exist")
    parser.add_argument("--episodes", type=int, default=40, help="bags to write, or to take of those that exist")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a written bag")
    parser.add_argument("--picture", type=int, nargs=2, default=(480, 640), help="height and width of written pictures")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side in the cache, of written bags")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(options, Path(scratch))))


def measure(options: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """The figures, and what they were measured on."""
    bags = scratch / "bags"
    if options.bags is None:
        write_bags(bags, options.episodes, options.seconds, tuple(options.picture), 30.0, options.size)
    else:
        copy_some(options.bags, bags, options.episodes)
    folders = list(find_bags([bags]))
    contract = read_metadata(folders[0]).contract
    pictures = [used_pictures(folder, contract) for folder in folders]
    frames = sum(map(len, pictures))
    rates: dict[str, list[float]] = {"decoding": [], "caching": [], "cpu_ratio": []}
    for number in range(options.rounds + 1):
        decoding, decoding_cpu = seconds_of(lambda: decode_all(pictures, options.workers))
        caching, caching_cpu = seconds_of(
            lambda number=number: open_episodes(
                [bags], contract, root=scratch / f"cache{number}", workers=options.workers, progress=False
            )
        )
        if number:  # the first round brings the bags into memory
            rates["decoding"].append(frames / decoding)
            rates["caching"].append(frames / caching)
            rates["cpu_ratio"].append(decoding_cpu / caching_cpu)
    decoded = cv2.imdecode(pictures[0][0], cv2.IMREAD_COLOR)
    return {
        "benchmark": "bags_to_cache",
        "frames_per_second": round(statistics.median(rates["caching"])),
        "bare_decoding": round(statistics.median(rates["decoding"])),
        "ratio": round(statistics.median(c / d for c, d in zip(rates["caching"], rates["decoding"], strict=True)), 3),
        "cpu_ratio": round(statistics.median(rates["cpu_ratio"]), 3),
        "workers": options.workers,
        "bags": len(folders),
        "frames": frames,
        "picture": f"{decoded.shape[1]}x{decoded.shape[0]}",
        "jpeg_bytes": round(float(np.mean([len(data) for group in pictures for data in group]))),
        "cached_pixels": contract.cameras[0].height,
        "bag_megabytes": round(sum(stamp.bag_bytes for stamp in find_bags([bags]).values()) / 1e6),
    }


def copy_some(source: Path, destination: Path, count: int) -> None:
    """Copies of evenly spaced bags."""
    folders = list(find_bags([source]))
    for folder in folders[:: max(1, len(folders) // count)][:count]:
        shutil.copytree(folder, destination / Path(folder).name)


def used_pictures(folder: str, contract: Contract) -> list[np.ndarray]:
    """The encoded pictures of a bag that control steps use, of all cameras."""
    streams = read_streams(folder, contract)
    instants = control_grid(streams, contract)
    choices = [choose(contract, streams.images, streams.arm, int(instant)) for instant in instants]
    return [np.array(data) for choice in choices for _, data in choice.images]


def decode_all(pictures: Sequence[Sequence[np.ndarray]], workers: int) -> None:
    """Nothing but decoding, a bag's pictures per call."""
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda group: [cv2.imdecode(data, cv2.IMREAD_COLOR) is None for data in group], pictures))


def seconds_of(work: Callable[[], object]) -> tuple[float, float]:
    """How long a call takes, by the clock and of the processor."""
    begun, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - begun, time.process_time() - used


if __name__ == "__main__":
    main()
