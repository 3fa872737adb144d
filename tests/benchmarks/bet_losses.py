# SPDX-License-Identifier: Apache-2.0
"""The two losses of the Behavior Transformer on real batches: offset loss, with its weight, over class loss.

First with what the clusters alone say (all classes equally likely, no offset predicted), then while it trains. Prints
one JSON line each.

    python tests/benchmarks/bet_losses.py --data data/sim --set networks.transformer.modes=64
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ptr_models.algorithms import BehaviorTransformerCloning, make_algorithm, to_tensors
from ptr_models.algorithms.bet import CLUSTERED, kmeans
from ptr_models.replay import open_episodes
from ptr_models.replay.windows import WindowSampler, sample_actions
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import Bags, contract_of
from ptr_models.training.prefetch import augmented
from ptr_models.training.presets import preset
from ptr_models.training.tasks import TaskTable

MEAN_OF = 20
"""Updates over which losses are averaged."""


def main() -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--preset", default="bet_small")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--updates", type=int, default=400)
    parser.add_argument("--cache", type=Path)
    options = parser.parse_args()
    measure(options, preset(options.preset).replaced(options.set))


def measure(options: argparse.Namespace, config: TrainingConfig) -> None:
    """Print the losses before the first update and after each hundredth."""
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    contract = contract_of(Bags(options.data))
    data = open_episodes(options.data, contract, root=options.cache, progress=False)
    modes, weight = config.networks.transformer.modes, config.algorithm.bet.offset_weight
    actions = sample_actions(data, CLUSTERED, config.seed)
    distances = np.square(actions[:, None] - kmeans(actions, modes, config.seed)).mean(axis=-1).min(axis=1)
    uniform = (1.0 - 1.0 / modes) ** config.algorithm.bet.focal_gamma * math.log(modes)
    _report(0, uniform, float(distances.mean()), weight)

    table = TaskTable.from_names(data.task_names, config.data.spare_tasks)
    networks = replace(config.networks, image_size=contract.cameras[0].height)
    algorithm = make_algorithm(config.algorithm, networks, table.slots)
    assert isinstance(algorithm, BehaviorTransformerCloning)
    algorithm.fit_centers(actions, config.seed)
    sampler = WindowSampler(data, table.ids(data.task_names), config.seed, networks.transformer.window)
    losses = []
    for step in range(options.updates):
        batch = augmented(sampler.sample(config.batch_size), config.data.augmentation, config.seed, step)
        metrics = algorithm.update(to_tensors(batch, table.slots, "cpu"), step)
        losses.append((float(metrics["class_loss"]), float(metrics["offset_mse"])))
        if (step + 1) % 100 == 0:
            _report(step + 1, *np.mean(losses[-MEAN_OF:], axis=0).tolist(), weight)


def _report(updates: int, class_loss: float, offset_mse: float, weight: float) -> None:
    values = {"class_loss": class_loss, "offset_mse": offset_mse, "ratio": weight * offset_mse / class_loss}
    print(json.dumps({"updates": updates} | {name: round(value, 5) for name, value in values.items()}), flush=True)


if __name__ == "__main__":
    main()
