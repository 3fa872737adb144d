# SPDX-License-Identifier: Apache-2.0
"""Frames per second of exporting to LeRobot and importing from it, beside bare decoding and encoding of the images.

Everything runs in one process on one core, in turns; figures are medians of processor time, which other processes
disturb less. `export_ratio` compares with decoding JPEG and encoding video, `import_ratio` with decoding video and
encoding JPEG. Prints one JSON line. Needs the extra `lerobot` of models.

    python tests/benchmarks/lerobot_exchange.py
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
from recorded_bags import write_bags

from ptr_models.episodes.episode_discovery import find_bags
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.sampling import choose
from ptr_models.episodes.streams import control_grid, read_streams
from ptr_models.exchange.lerobot import video
from ptr_models.exchange.lerobot.exporting import Options, export_lerobot
from ptr_models.exchange.lerobot.importing import Options as ImportOptions
from ptr_models.exchange.lerobot.importing import import_lerobot


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a bag")
    parser.add_argument("--picture", type=int, nargs=2, default=(480, 640), help="height and width of the images")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(measure(options, Path(scratch))))


def measure(options: argparse.Namespace, scratch: Path) -> dict[str, object]:
    """The figures, and what they were measured on."""
    size = tuple(options.picture)
    write_bags(scratch / "bags", options.episodes, options.seconds, size, 30.0, 128)
    images = [used_images(Path(folder)) for folder in find_bags([scratch / "bags"])]
    frames = sum(map(len, images))
    fps = round(read_metadata(next(iter(find_bags([scratch / "bags"])))).contract.control_rate)
    seconds: dict[str, list[float]] = {name: [] for name in ("bare_out", "export", "bare_in", "import")}
    for number in range(options.rounds):
        dataset, bags = scratch / f"set{number}", scratch / f"back{number}"
        seconds["bare_out"].append(cpu(lambda: bare_out(images, scratch, size, fps)))
        seconds["export"].append(
            cpu(lambda dataset=dataset: export_lerobot([scratch / "bags"], dataset, Options(workers=1)))
        )
        seconds["bare_in"].append(cpu(lambda: bare_in([len(part) for part in images], scratch, fps)))
        seconds["import"].append(
            cpu(lambda dataset=dataset, bags=bags: import_lerobot(dataset, bags, ImportOptions(workers=1)))
        )
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "benchmark": "lerobot_exchange",
        "frames": frames,
        "picture": list(size),
        "export_frames_per_second": round(frames / median["export"]),
        "import_frames_per_second": round(frames / median["import"]),
        "export_ratio": round(median["bare_out"] / median["export"], 2),
        "import_ratio": round(median["bare_in"] / median["import"], 2),
        "load": round(os.getloadavg()[0], 1),
    }


def used_images(folder: Path) -> list[np.ndarray]:
    """The encoded images that the control steps of a bag use."""
    contract = read_metadata(folder).contract
    streams = read_streams(folder, contract)
    stamps = control_grid(streams, contract)[:-1]
    chosen = [choose(contract, streams.images, streams.arm, int(stamp)) for stamp in stamps]
    return [np.frombuffer(choice.images[0][1], np.uint8).copy() for choice in chosen]


def bare_out(images: list[list[np.ndarray]], scratch: Path, size: tuple[int, int], fps: int) -> None:
    """Decode JPEG and encode video, and nothing else."""
    for number, part in enumerate(images):
        frames = (cv2.imdecode(data, cv2.IMREAD_COLOR) for data in part)
        video.encode(scratch / f"bare{number}.mp4", frames, size, fps, video.Encoding())


def bare_in(lengths: list[int], scratch: Path, fps: int) -> None:
    """Decode video and encode JPEG, and nothing else."""
    for number, length in enumerate(lengths):
        for image in video.decode(scratch / f"bare{number}.mp4", 0.0, np.arange(length) / fps, fps):
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])


def cpu(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
