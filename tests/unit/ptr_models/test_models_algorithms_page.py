# SPDX-License-Identifier: Apache-2.0
"""The reference page of the algorithms: each method's table of metrics is what the method logs, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from ptr_models.algorithms import (
    ALGORITHMS,
    AlgorithmConfig,
    ClipTensors,
    IntentTensors,
    Transitions,
    WindowTensors,
    make_algorithm,
)
from ptr_models.networks import NetworkConfig
from ptr_models.networks.method_configs import MaskedDecoderConfig, TransformerConfig
from ptr_models.training.progress_metrics import PROGRESS_METRICS

PAGE = (Path(__file__).parents[3] / "docs/reference/algorithms.md").read_text(encoding="utf-8")
BEGINNINGS = {
    "ptr": "## PTR\n",
    "awr": "## Advantage-weighted regression\n",
    "bc": "## Behavior cloning\n",
    "autoregressive_bc": "## Autoregressive BC\n",
    "bet": "## Behavior Transformer\n",
    "time_contrastive": "**Time-contrastive**",
    "masked_autoencoder": "**Masked autoencoder**",
    "icvf": "## V-PTR\n",
}
ROWS, TASKS, SIDE = 4, 2, 32


def documented(name: str) -> set[str]:
    """Metrics in the first table of metrics behind the beginning of a method's text."""
    _, _, behind = PAGE.partition(BEGINNINGS[name])
    table = re.search(r"\| metric \|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", behind)
    assert table is not None, f"{name} has no table of metrics"
    return {metric for row in table[1].splitlines() for metric in re.findall(r"`(\w+)`", row.split("|")[1])}


def logged(name: str, **options: object) -> set[str]:
    """Metrics that one update returns."""
    torch.manual_seed(0)
    networks = NetworkConfig(
        encoder="vit_tiny" if name == "masked_autoencoder" else "tiny",
        image_size=SIDE,
        latent=8,
        hidden=(8,),
        transformer=TransformerConfig(window=2, modes=3, layers=1, heads=1, width=8),
        masked_decoder=MaskedDecoderConfig(layers=1, heads=1, width=8),
    )
    algorithm = make_algorithm(AlgorithmConfig(name=name, **options), networks, TASKS)
    return set(algorithm.update(batch_for(algorithm.batches), step=0))


def batch_for(kind: str) -> Transitions | WindowTensors | ClipTensors | IntentTensors:
    image = torch.randint(0, 256, (ROWS, SIDE, SIDE, 3), dtype=torch.uint8)
    state, action = torch.zeros(ROWS, 7), torch.rand(ROWS, 7) - 0.5
    task, ones = torch.eye(TASKS).repeat(ROWS // TASKS, 1), torch.ones(ROWS)
    if kind == "windows":
        return WindowTensors(image, state, action, ones, task, length=2)
    if kind == "clips":
        return ClipTensors(torch.cat([image, image.flip(0), image.roll(1, 0)]), torch.arange(ROWS))
    if kind == "intents":
        return IntentTensors(image, image.flip(0), image.roll(1, 0), image.roll(2, 0), ones, ones)
    return Transitions(image, image.flip(0), state, state, action, -ones, ones, -25 * ones, task)


@pytest.mark.parametrize("name", ALGORITHMS.names)
def test_the_page_names_exactly_the_metrics_that_a_method_logs(name: str) -> None:
    assert documented(name) == logged(name)
    assert {item.metric for item in PROGRESS_METRICS[name]} <= documented(name)


def test_a_warm_up_logs_a_part_of_them() -> None:
    assert logged("ptr", bc_steps=1, critic_in_bc_steps=False) == {"actor_loss", "actor_mse"}
    assert logged("ptr", bc_steps=1) < documented("ptr")
