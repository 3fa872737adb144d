# SPDX-License-Identifier: Apache-2.0
"""Opening an episode for training beside the least that it takes. One JSON line.

    python tests/benchmarks/open_episode.py --seconds 40 --cameras 2

An episode as the recorder writes it (640x480 JPEG at 30 Hz, joints 100 Hz, arm 50 Hz) is opened by `read_episode`.
The bare way is to go through all messages of the file with the `mcap` package and to decode, at full size, as many
JPEGs as the control grid has instants (cv2.imdecode), and nothing else: no sampling, no resizing, no states, no
actions. Both are repeated in turn; `ratio` is that of the medians (limit 1.15). `bare_all_s` decodes every JPEG of
the bag, which is what opening would cost without the control grid.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from mcap.reader import make_reader
from recorded_bags import write_bags

from ptr_models.contract import Contract
from ptr_models.episodes.bag import find_bag
from ptr_models.episodes.reader import read_episode


def bare(bag: Path, instants: int | None) -> int:
    """Iterate, and decode evenly spaced JPEGs of each camera; None: all. Returns how many were decoded."""
    images: dict[str, list[bytes]] = {}
    with bag.open("rb") as file:
        for _, channel, message in make_reader(file).iter_messages():
            if channel.topic.endswith("/compressed"):
                images.setdefault(channel.topic, []).append(message.data)
    decoded = 0
    for frames in images.values():
        chosen = np.linspace(0, len(frames) - 1, instants or len(frames)).round().astype(int)
        for index in chosen:
            data = np.frombuffer(frames[index], np.uint8)
            start = frames[index].index(b"\xff\xd8\xff")
            decoded += cv2.imdecode(data[start:], cv2.IMREAD_COLOR) is not None
    return decoded


def seconds_of(function: Callable[[], object]) -> float:
    """How long one call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def benchmark(folder: Path, contract: Contract, repetitions: int) -> dict[str, object]:
    """Time both ways in turn."""
    bag = find_bag(folder)
    instants = len(read_episode(folder, contract)) + 1
    opened, least, every = [], [], []
    for _ in range(repetitions):
        opened.append(seconds_of(lambda: read_episode(folder, contract)))
        least.append(seconds_of(lambda: bare(bag, instants)))
        every.append(seconds_of(lambda: bare(bag, None)))
    medians = [statistics.median(times) for times in (opened, least, every)]
    return {
        "open_s": round(medians[0], 3),
        "bare_s": round(medians[1], 3),
        "bare_all_s": round(medians[2], 3),
        "ratio": round(medians[0] / medians[1], 3),
        "instants": instants,
        "mb": round(bag.stat().st_size / 1e6, 1),
    }


def main() -> None:
    """Parse the options and print the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0, help="length of the episode (default: 40)")
    parser.add_argument("--cameras", type=int, default=2, help="cameras (default: 2)")
    parser.add_argument("--size", type=int, default=128, help="pixels of a side of what training sees (default: 128)")
    parser.add_argument("--repetitions", type=int, default=9, help="of both ways (default: 9)")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as root:
        contract = write_bags(Path(root), 1, options.seconds, (480, 640), 30.0, options.size, options.cameras)
        result = benchmark(next(Path(root).iterdir()), contract, options.repetitions)
    result |= {"benchmark": "open_episode", "seconds": options.seconds, "cameras": options.cameras}
    result |= {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
