# SPDX-License-Identifier: Apache-2.0
"""Bags for the tests of the exchange with LeRobot, and a data set of v2.1 as LeRobot 0.3 laid it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq

from ptr_models.common.rotations import DEFAULT_ROTATION, matrix_from_rpy
from ptr_models.contract import Camera, Contract
from ptr_models.episodes.bag import decode
from ptr_models.episodes.mcap_scan import scan
from ptr_models.episodes.messages import image_topic
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_models.exchange.lerobot.exporting import Options
from ptr_models.exchange.lerobot.importing import Options as ImportOptions
from ptr_models.exchange.lerobot.importing import import_lerobot

START = 1_700_000_000 * 10**9
SIZE = (96, 128)


def smooth_images(seed: int, count: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Colors that drift, (N, H, W, 3) uint8, which a codec keeps well."""
    coarse = np.random.default_rng(seed).integers(20, 236, (4, 5, 3), dtype=np.uint8)
    image = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.stack([np.roll(image, step, axis=1) for step in range(count)])


def write_bag(
    root: Path,
    seed: int = 0,
    steps: int = 8,
    cameras: tuple[str, ...] = ("over_shoulder",),
    size: tuple[int, int] = SIZE,
    **metadata: Any,
) -> Path:
    """A bag of random motion in the action box, seen by some cameras."""
    contract = metadata.get("contract", Contract())
    generator = np.random.default_rng(seed)
    actions = generator.uniform(contract.action_low, contract.action_high, (steps, 7))
    trajectory = Trajectory.from_actions(
        actions,
        images={name: smooth_images(seed + number, steps + 1, size) for number, name in enumerate(cameras)},
        measured_position=np.array([0.3, 0, 0.15]) + generator.normal(0, 0.02, (steps + 1, 3)),
        measured_rotation=matrix_from_rpy(generator.normal(0, 0.2, (steps + 1, 3))) @ DEFAULT_ROTATION,
        gripper=generator.uniform(0, 1, steps + 1),
        joint_positions=generator.normal(0, 0.5, (steps + 1, 6)),
        start_ns=START + seed * 10**12,
    )
    values = {"task": "put_carrot_in_pot", "outcome": "success"} | metadata
    name = values.pop("episode_id", f"episode_{seed:04d}")
    return write_episode(root, EpisodeMetadata(name, **values), trajectory)


def write_old(root: Path, episodes: int = 2, steps: int = 6, **info: Any) -> Path:
    """A data set of v2.1 of the Bridge kind: x ... yaw, pad, gripper under `motors`, image_0 as a video."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ptr_models.exchange.lerobot import video

    axes = ["x", "y", "z", "roll", "pitch", "yaw"]
    (root / "meta").mkdir(parents=True)
    features = {
        "observation.state": {"dtype": "float32", "shape": [8], "names": {"motors": [*axes, "pad", "gripper"]}},
        "action": {"dtype": "float32", "shape": [7], "names": {"motors": [*axes, "gripper"]}},
        "observation.images.image_0": {"dtype": "video", "shape": [64, 64, 3], "names": ["height", "width", "rgb"]},
    }
    told = {
        "codebase_version": "v2.1",
        "robot_type": "widowx",
        "total_episodes": episodes,
        "fps": 5,
        "chunks_size": 1000,
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        "features": features,
    } | info
    (root / "meta" / "info.json").write_text(json.dumps(told))
    (root / "meta" / "tasks.jsonl").write_text(json.dumps({"task_index": 0, "task": "Put the pot on the stove"}) + "\n")
    lines = []
    for number in range(episodes):
        rows = old_rows(number, steps)
        data = root / f"data/chunk-000/episode_{number:06d}.parquet"
        data.parent.mkdir(parents=True, exist_ok=True)
        table = {name: list(values) for name, values in rows.items()}
        pq.write_table(pa.table(table), data)
        path = root / f"videos/chunk-000/observation.images.image_0/episode_{number:06d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        video.encode(path, smooth_images(number, steps, (64, 64)), (64, 64), 5, video.Encoding())
        lines.append({"episode_index": number, "tasks": ["Put the pot on the stove"], "length": steps})
    (root / "meta" / "episodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return root


def old_rows(number: int, steps: int = 6) -> dict[str, np.ndarray]:
    """What stands in the rows of such an episode."""
    generator = np.random.default_rng(number)
    state = np.zeros((steps, 8), np.float32)
    state[:, :3] = [0.3, 0.0, 0.15]
    state[:, 3:6] = generator.normal(0, 0.1, (steps, 3))
    state[:, 7] = generator.uniform(0, 1, steps)
    action = generator.uniform(-0.04, 0.04, (steps, 7)).astype(np.float32)
    action[:, 6] = generator.integers(0, 2, steps)
    return {
        "observation.state": state,
        "action": action,
        "timestamp": (np.arange(steps) / 5).astype(np.float32),
        "frame_index": np.arange(steps),
        "episode_index": np.full(steps, number),
        "index": np.arange(steps) + number * steps,
        "task_index": np.zeros(steps, np.int64),
    }


TWO = Contract(cameras=(Camera("over_shoulder"), Camera("wrist")))
ALONE = Options(workers=1)
POSE = ["x", "y", "z", "roll", "pitch", "yaw", "gripper"]
DISPLACEMENTS = ["dx", "dy", "dz", "droll", "dpitch", "dyaw", "gripper"]
CODEC_ERROR = 4.0
"""Mean difference of a smooth image after video and JPEG."""


def info_of(dataset: Path) -> dict:
    return json.loads((dataset / "meta" / "info.json").read_text())


def episodes_of(dataset: Path) -> list[dict]:
    paths = sorted((dataset / "meta" / "episodes").glob("*/*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def rows_in(dataset: Path) -> dict[str, list]:
    return pq.read_table(sorted((dataset / "data").glob("*/*.parquet"))).to_pydict()


def jpegs(bag: Path, camera: str) -> list[bytes]:
    kind, raws = scan(bag, [image_topic(camera)])[image_topic(camera)]
    return [decode(raw.data, kind).data.tobytes() for raw in raws]


def import_alone(source: Path, out: Path, **options: object):
    return import_lerobot(source, out, ImportOptions(workers=1, **options))


def feature(names: list[str] | None, size: int = 7) -> dict:
    return {"dtype": "float32", "shape": [size], "names": names}
