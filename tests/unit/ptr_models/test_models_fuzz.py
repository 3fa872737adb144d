# SPDX-License-Identifier: Apache-2.0
"""Every reader of files against damaged ones, with a fixed seed: the suite's own errors, bounded memory and time.

PTR_FUZZ_SECONDS says for how long bags are read (s of processor time, 20 by default; by the clock three times that at
most); models and images take a quarter of that in addition.
"""

from __future__ import annotations

import os
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ptr_models.common.assets import checkpoint_path
from ptr_models.common.errors import PtrError
from ptr_models.common.video import Encoding, encode
from ptr_models.contract import Camera, Contract
from ptr_models.episodes.importing.tfrecord import masked_crc, parse_example, read_records
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_episode, read_metadata
from ptr_models.episodes.recovery import recover
from ptr_models.episodes.sampling import decode_image
from ptr_models.episodes.trajectory import write_episode
from ptr_models.latency_file import with_measured_latencies
from ptr_models.networks.published import _read
from ptr_models.replay.videos import frames_at
from ptr_models.training.checkpoint import load_algorithm, read_checkpoint
from ptr_models.training.config import TrainingConfig

SECONDS = float(os.environ.get("PTR_FUZZ_SECONDS", "20"))
MOST_SECONDS, MOST_MEMORY = 10.0, 10**9
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
WORDS = (b"NaN", b"1e999", b"-1", b"null", b"[" * 5000, b"9" * 5000, b'"\\ud800"', b"true", b"\x1b[2J", b"\xff", b"{}")


def mutated(content: bytes, dice: random.Random) -> bytes:
    """Some bits, numbers, words and pieces of a file changed."""
    data = bytearray(content)
    for _ in range(dice.choice((1, 1, 2, 5, 20))):
        place = dice.randrange(len(data)) if data else 0
        match dice.randrange(6):
            case 0 if data:
                data[place] ^= 1 << dice.randrange(8)
            case 1:
                size = dice.choice((1, 2, 4, 8))
                data[place : place + size] = (dice.choice(NUMBERS) & (256**size - 1)).to_bytes(size, "little")
            case 2:
                data[place : place + dice.randrange(8)] = dice.choice(WORDS)
            case 3:
                del data[place : place + dice.choice((1, 7, 100, 10_000))]
            case 4:
                other = dice.randrange(len(data)) if data else 0
                data[place:place] = data[other : other + dice.randrange(200)]
            case 5 if dice.random() < 0.1:
                del data[place:]
    return bytes(data)


Sample = tuple[str, bytes, Callable[[Path], Any]]


@pytest.fixture
def samples(tmp_path: Path, make_trajectory: Callable[..., Any]) -> list[Sample]:
    """Name, content and reader of a good file of each kind; a reader gets the folder that holds the file."""
    folder = write_episode(tmp_path, EpisodeMetadata("e", "t", outcome="success"), make_trajectory(steps=6)[0])
    bag, label = (folder / "e.mcap").read_bytes(), (folder / "episode.json").read_bytes()
    encode(
        tmp_path / "v.mp4", np.random.default_rng(0).integers(0, 255, (8, 32, 32, 3), np.uint8), (32, 32), 5, Encoding()
    )
    length = (8).to_bytes(8, "little")
    record = length + masked_crc(length).to_bytes(4, "little") + bytes(8) + masked_crc(bytes(8)).to_bytes(4, "little")

    latencies = b"cameras: {over_shoulder: 0.08}\ncommand: 0.05\n"

    def latin(place: Path) -> str:
        return place.read_text(encoding="latin-1")

    def recover_it(place: Path) -> None:
        recover(place, place / "out")

    return [
        ("e.mcap", bag, read_episode),
        ("e.mcap", bag, inspect),
        ("e.mcap", bag, recover_it),
        ("episode.json", label, read_metadata),
        ("c.json", Contract().to_json().encode(), lambda place: Contract.from_json(latin(place / "c.json"))),
        ("l.yaml", latencies, lambda place: with_measured_latencies(Contract(), str(place / "l.yaml"))),
        ("v.mp4", (tmp_path / "v.mp4").read_bytes(), lambda place: list(frames_at(place / "v.mp4", 5.0))),
        ("r.tfrecord", record * 3, lambda place: [parse_example(item) for item in read_records(place / "r.tfrecord")]),
    ]


@pytest.fixture
def models_and_images(tmp_path: Path) -> list[Sample]:
    """The same of weights, a checkpoint's index, a configuration and single images."""
    shipped = checkpoint_path("ptr_small")
    save_file({"a": torch.arange(10.0), "b": torch.ones(2, 3)}, tmp_path / "w.safetensors")
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    png, jpeg = (cv2.imencode(ending, image)[1].tobytes() for ending in (".png", ".jpg"))

    def checkpoint(place: Path) -> None:
        for file in shipped.iterdir():
            if file.name != "checkpoint.json":
                (place / file.name).symlink_to(file)
        load_algorithm(read_checkpoint(place))

    return [
        ("w.safetensors", (tmp_path / "w.safetensors").read_bytes(), lambda place: _read(place / "w.safetensors")),
        ("checkpoint.json", (shipped / "checkpoint.json").read_bytes(), checkpoint),
        ("s.yaml", TrainingConfig().to_yaml().encode(), lambda place: TrainingConfig.from_yaml(place / "s.yaml")),
        ("i.png", png, lambda place: decode_image((place / "i.png").read_bytes(), Camera())),
        ("i.jpg", jpeg, lambda place: decode_image((place / "i.jpg").read_bytes(), Camera())),
    ]


@pytest.mark.timeout(3 * SECONDS + 240)
def test_damaged_files_give_the_suites_own_errors_in_bounded_time_and_memory(
    samples: list[Sample], tmp_path: Path
) -> None:
    beside = {"e.mcap": samples[0][1], "episode.json": samples[3][1]}
    read_damaged(samples, beside, tmp_path, SECONDS)


@pytest.mark.timeout(3 * SECONDS + 240)
def test_damaged_models_and_images_do_so_too(models_and_images: list[Sample], tmp_path: Path) -> None:
    read_damaged(models_and_images, {}, tmp_path, SECONDS / 4)


def read_damaged(samples: list[Sample], beside: dict[str, bytes], tmp_path: Path, seconds: float) -> None:
    """Read one damaged sample after the other, each in a folder with intact files beside it."""
    dice, began, latest = random.Random(13), time.process_time(), time.monotonic() + 3 * seconds
    before, rounds = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, 0
    while rounds <= 2 * len(samples) or (time.process_time() - began < seconds and time.monotonic() < latest):
        name, content, read = samples[rounds % len(samples)]
        place = tmp_path / f"case_{rounds}"
        place.mkdir()
        for other, intact in beside.items():
            (place / other).write_bytes(intact)
        data = mutated(content, dice)
        (place / name).write_bytes(data)
        started = time.process_time()
        try:
            read(place)
        except PtrError as error:
            assert len(str(error)) < 20_000, (rounds, name)
        assert time.process_time() - started < MOST_SECONDS, (rounds, name)
        rounds += 1
        for file in place.rglob("*"):
            if file.is_file():
                file.unlink()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_MEMORY
