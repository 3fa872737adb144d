# SPDX-License-Identifier: Apache-2.0
"""Time-contrastive pre-training: the loss by hand, its negatives, and the order that it learns."""

from __future__ import annotations

import math

import pytest
import torch

from ptr_models.algorithms import AlgorithmConfig, make_algorithm
from ptr_models.algorithms.method_configs import ContrastiveConfig
from ptr_models.algorithms.sequences import ClipTensors
from ptr_models.algorithms.time_contrastive import info_nce, similarity, sparsity, time_contrastive_loss
from ptr_models.networks import NetworkConfig

NETWORKS = NetworkConfig(encoder="tiny", image_size=32, latent=8, hidden=(8,))


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values).unsqueeze(1)


def test_similarity_is_the_negative_distance_with_a_finite_slope_everywhere() -> None:
    assert similarity(torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])).item() == pytest.approx(-5.0)
    same = torch.ones(2, requires_grad=True)
    similarity(same, same.detach()).backward()
    assert torch.isfinite(same.grad).all()


def test_the_loss_of_two_videos_by_hand() -> None:
    """Features 0, 1, 3 of one video and 10, 11, 13 of another: distances 1, 2, 3 within, 10 between."""
    early, middle, late = column(0.0, 10.0), column(1.0, 11.0), column(3.0, 13.0)
    video = torch.tensor([0, 1])
    forward = -math.log(math.exp(-1) / (math.exp(-1) + math.exp(-3) + math.exp(-10)))
    backward = -math.log(math.exp(-2) / (math.exp(-2) + math.exp(-3) + math.exp(-10)))
    assert info_nce(early, middle, late, video).tolist() == pytest.approx([forward, forward], abs=1e-5)
    loss = time_contrastive_loss(early, middle, late, video)
    assert loss.item() == pytest.approx((forward + backward) / 2, abs=1e-5)


def test_clips_of_the_same_video_are_no_negatives_of_each_other() -> None:
    early, middle, late = column(0.0, 0.5), column(1.0, 1.5), column(3.0, 3.5)
    together = info_nce(early, middle, late, torch.tensor([4, 4]))
    apart = info_nce(early, middle, late, torch.tensor([4, 5]))
    alone = torch.cat([info_nce(early[i : i + 1], middle[i : i + 1], late[i : i + 1], torch.zeros(1)) for i in (0, 1)])
    torch.testing.assert_close(together, alone)
    assert (apart > together).all()


def test_the_penalty_adds_both_norms() -> None:
    features = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    assert sparsity(features, 0.1, 0.01).item() == pytest.approx(0.1 * 3.5 + 0.01 * 2.5)


def moving_square(videos: int, frames: int) -> torch.Tensor:
    """(videos, frames, 32, 32, 3): a white square crosses each video from left to right at its own height."""
    image = torch.zeros(videos, frames, 32, 32, 3, dtype=torch.uint8)
    for v in range(videos):
        for t in range(frames):
            image[v, t, 5 * v : 5 * v + 5, 3 * t : 3 * t + 5] = 255
    return image


def test_features_learn_the_order_of_time() -> None:
    torch.manual_seed(0)
    config = AlgorithmConfig(name="time_contrastive", next_algorithm="bc", contrastive=ContrastiveConfig(lr=1e-3))
    algorithm = make_algorithm(config, NETWORKS, tasks=1)
    images = moving_square(6, 9)
    generator = torch.Generator().manual_seed(1)
    history = []
    for step in range(60):
        video = torch.randint(6, (8,), generator=generator)
        times = torch.stack([torch.randperm(9, generator=generator)[:3].sort().values for _ in range(8)])
        image = images[video.unsqueeze(1), times].flatten(0, 1)
        history.append(algorithm.update(ClipTensors(image, video), step))

    def mean(name: str, part: slice) -> float:
        return sum(float(metrics[name]) for metrics in history[part]) / 5

    first, last = slice(0, 5), slice(-5, None)
    assert mean("contrastive_loss", last) < 0.6 * mean("contrastive_loss", first)
    assert mean("ordered", last) > 0.85 > 0.7 > mean("ordered", first)


def test_only_the_backbone_is_trained() -> None:
    torch.manual_seed(0)
    algorithm = make_algorithm(AlgorithmConfig(name="time_contrastive", next_algorithm="bc"), NETWORKS, tasks=1)
    before = {name: value.clone() for name, value in algorithm.actor.named_parameters()}
    algorithm.update(ClipTensors(moving_square(2, 3).flatten(0, 1), torch.tensor([0, 1])), 0)
    changed = {name for name, value in algorithm.actor.named_parameters() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("encoder.backbone.") for name in changed)
