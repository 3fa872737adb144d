# SPDX-License-Identifier: Apache-2.0
"""A policy trained with LeRobot's own classes on an exported data set, as its training script does it.

python tests/lerobot_training.py DATASET OUT [STEPS]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import av
import lerobot.datasets.lerobot_dataset as lerobot_dataset
import numpy as np
import torch
from lerobot.configs.types import FeatureType
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset, LeRobotDatasetMetadata
from lerobot.datasets.utils import dataset_to_policy_features
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

NAME = "lab/set"


def decoded(path: Path, timestamps: list[float], tolerance: float, backend: str | None = None) -> torch.Tensor:
    """Frames (N, 3, H, W) in [0, 1]; LeRobot's own decoder needs torchcodec and FFmpeg's libraries."""
    with av.open(str(path)) as container:
        frames = [
            (float(frame.pts * frame.time_base), frame.to_ndarray(format="rgb24"))
            for frame in container.decode(video=0)
        ]
    times = np.array([seconds for seconds, _ in frames])
    places = [int(np.abs(times - wanted).argmin()) for wanted in timestamps]
    assert all(abs(times[place] - wanted) < tolerance for place, wanted in zip(places, timestamps, strict=True))
    return torch.from_numpy(np.stack([frames[place][1] for place in places])).permute(0, 3, 1, 2).float() / 255.0


def tiny_act(**values: Any) -> ACTConfig:
    """An ACT policy that a processor trains in seconds; its backbone begins without weights from elsewhere."""
    sizes = {"dim_model": 64, "n_heads": 4, "dim_feedforward": 128, "n_encoder_layers": 1, "n_vae_encoder_layers": 1}
    rates = {"optimizer_lr": 5e-4, "optimizer_lr_backbone": 1e-4, "latent_dim": 8}
    chunks = {"chunk_size": 8, "n_action_steps": 8}
    return ACTConfig(device="cpu", pretrained_backbone_weights=None, **(sizes | rates | chunks | values))


def train(root: Path, out: Path, config: Any, steps: int, batch: int = 8, workers: int = 0) -> list[float]:
    """Train, save policy and processors, and return the loss of each step."""
    lerobot_dataset.decode_video_frames = decoded
    meta = LeRobotDatasetMetadata(NAME, root=root)
    features = dataset_to_policy_features(meta.features)
    config.output_features = {key: item for key, item in features.items() if item.type is FeatureType.ACTION}
    config.input_features = {key: item for key, item in features.items() if key not in config.output_features}
    delta = resolve_delta_timestamps(config, meta)
    dataset = LeRobotDataset(NAME, root=root, delta_timestamps=delta, video_backend="pyav")
    policy = get_policy_class(config.type)(config)
    before, after = make_pre_post_processors(config, dataset_stats=meta.stats)
    optimizer = config.get_optimizer_preset().build(policy.get_optim_params())
    loader = torch.utils.data.DataLoader(dataset, batch, shuffle=True, num_workers=workers, drop_last=True)
    losses: list[float] = []
    policy.train()
    while len(losses) < steps:
        for rows in loader:
            loss, _ = policy.forward(before(rows))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), 10.0)
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == steps:
                break
    for part in (policy, before, after):
        part.save_pretrained(out)
    return losses


if __name__ == "__main__":
    torch.set_num_threads(1)
    begin = time.monotonic()
    found = train(Path(sys.argv[1]), Path(sys.argv[2]), tiny_act(), int((sys.argv[3:] or ["100"])[0]))
    took = time.monotonic() - begin
    print(f"{len(found)} steps in {took:.0f} s; loss {found[0]:.3f}, at the end {np.mean(found[-20:]):.3f}")
