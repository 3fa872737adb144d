# SPDX-License-Identifier: Apache-2.0
"""Put a run together: bags, task table, algorithm, phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ptr_models.algorithms import make_algorithm
from ptr_models.contract import Contract
from ptr_models.errors import PtrError
from ptr_models.training.checkpoint import (
    Checkpoint,
    load_algorithm,
    read_checkpoint,
    restore_random_state,
)
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import Bags, contract_of, limited, open_bags
from ptr_models.training.loop import Trainer
from ptr_models.training.phases import PhasedSource, make_source
from ptr_models.training.runs import latest_checkpoint
from ptr_models.training.shipping import export
from ptr_models.training.tasks import TaskTable

__all__ = [
    "Bags",
    "PhasedSource",
    "export",
    "limited",
    "resume",
    "start_finetuning",
    "start_pretraining",
]

FINETUNING_AVERAGE = 0.99
"""Slowest running average of the actor in fine-tuning, which is short: 0.999 would still act as before it."""


def start_pretraining(config: TrainingConfig, bags: Bags, folder: Path, tasks: Sequence[str] = ()) -> Trainer:
    """A run from fresh networks.

    Args:
        config: size of the images is taken from the bags' contract.
        bags: prior data; with target data, those enter at `schedule.target_from`.
        folder: of the run; must not hold checkpoints yet.
        tasks: further names that get a slot from the start.
    """
    if latest_checkpoint(folder) is not None:
        raise PtrError(f"{folder} holds checkpoints of a run already; choose another --out, or continue with --resume")
    contract = contract_of(bags)
    prior, target = open_bags(bags, contract)
    names = {name for data in (prior, target) if data is not None for name in data.tasks}
    table = TaskTable.from_names([*names, *tasks], config.data.spare_tasks, config.data.aliases)
    config = replace(config, networks=_fit_networks(config, contract))
    _prepare_torch(config)
    algorithm = make_algorithm(config.algorithm, config.networks, table.slots, config.device)
    start = Checkpoint(Path(), contract, table, config, 0)
    return Trainer(algorithm, start, make_source(config, table, prior, target), _write_config(folder, config))


def start_finetuning(path: Path, bags: Bags, folder: Path, adjust: Sequence[str] = (), **overrides: Any) -> Trainer:
    """A run that goes on from a checkpoint with the target data mixed in from its first update.

    Networks, Adam's moments, temperature and targets carry over; new tasks take spare slots.

    Args:
        path: checkpoint folder.
        bags: target data and, to mix them with, prior data.
        adjust: `section.key=value` changes of the checkpoint's configuration.
        overrides: changes of top-level values, e.g. seed, threads, device.
    """
    if latest_checkpoint(folder) is not None:
        raise PtrError(f"{folder} holds checkpoints of a run already; choose another --out, or continue with --resume")
    if not bags.target:
        raise PtrError("fine-tuning needs demonstrations of the target task; name their folder with --target")
    base = read_checkpoint(path)
    config = _for_finetuning(replace(base.config, **overrides), base.step).replaced(list(adjust))
    prior, target = open_bags(bags, base.contract)
    names = {name for data in (prior, target) if data is not None for name in data.tasks}
    table = base.tasks.extended(names)
    start = replace(base, tasks=table, config=config, sampler={})
    _prepare_torch(config)
    algorithm = load_algorithm(start, config)
    return Trainer(algorithm, start, make_source(config, table, prior, target), _write_config(folder, config))


def _for_finetuning(config: TrainingConfig, begin: int) -> TrainingConfig:
    """Target data from the first update, and an average of the actor that follows within hundreds of updates."""
    average = min(config.algorithm.actor_average, FINETUNING_AVERAGE)
    return replace(
        config,
        schedule=replace(config.schedule, target_from=begin),
        algorithm=replace(config.algorithm, actor_average=average),
    )


def resume(bags: Bags, folder: Path, adjust: Sequence[str] = (), **overrides: Any) -> Trainer:
    """Continue a run from its newest checkpoint, exactly as if it had not been interrupted."""
    path = latest_checkpoint(folder)
    if path is None:
        raise PtrError(f"there is no checkpoint to resume in {folder}")
    base = read_checkpoint(path)
    config = replace(base.config, **overrides).replaced(list(adjust))
    prior, target = open_bags(bags, base.contract)
    _prepare_torch(config)
    start = replace(base, config=config)
    algorithm = load_algorithm(start, config)
    source = make_source(config, base.tasks, prior, target)
    if base.sampler:
        source.load_state_dict(base.sampler)
    restore_random_state(base)
    return Trainer(algorithm, start, source, _write_config(folder, config))


def _fit_networks(config: TrainingConfig, contract: Contract) -> Any:
    sizes = {(camera.height, camera.width) for camera in contract.cameras}
    if len(sizes) != 1 or len(set(next(iter(sizes)))) != 1:
        raise PtrError(f"the networks need square images of one size; the contract has {sorted(sizes)}")
    return replace(config.networks, image_size=contract.cameras[0].height, cameras=len(contract.cameras))


def _prepare_torch(config: TrainingConfig) -> None:
    if config.threads > 0:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)


def _write_config(folder: Path, config: TrainingConfig) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    return folder
