# SPDX-License-Identifier: Apache-2.0
"""Put a run together: bags, task table, algorithm, phases."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ptr_models.algorithms import make_algorithm
from ptr_models.contract import Contract
from ptr_models.episodes.labels import Labelling
from ptr_models.episodes.reader import find_episodes, read_metadata
from ptr_models.errors import PtrError
from ptr_models.replay import Batch, Dataset, MixingSampler, Sampler, open_episodes
from ptr_models.training.checkpoint import (
    Checkpoint,
    latest_checkpoint,
    load_algorithm,
    read_checkpoint,
    restore_random_state,
    save_checkpoint,
)
from ptr_models.training.config import TrainingConfig
from ptr_models.training.loop import Trainer
from ptr_models.training.tasks import TaskTable

LOGGER = logging.getLogger(__name__)


FINETUNING_AVERAGE = 0.99
"""Slowest running average of the actor in fine-tuning, which is short: 0.999 would still act as before it."""


@dataclass(frozen=True)
class Bags:
    """Where the data of a run lie.

    Attributes:
        prior: folders with pre-training episodes.   target: folders with demonstrations of the new task.
        cache: folder of replay caches, None: the user's.
    """

    prior: Sequence[Path] = ()
    target: Sequence[Path] = ()
    cache: Path | None = None


class PhasedSource:
    """PTR's two phases: prior data alone, then the mixture; the phase follows from the step."""

    def __init__(self, prior: Sampler | None, target: Sampler | None, target_from: int, mix: float) -> None:
        """Args: target_from: updates before the target data enter; without target data there is one phase."""
        if prior is None:
            target_from, mix = 0, 0.0
        first = MixingSampler(prior, target, 1.0) if prior is not None else None
        self._phases = (first, first if target is None else MixingSampler(prior, target, mix))
        self._target_from = target_from

    def phase(self, step: int) -> int:
        """Phase (0 or 1) of the update after `step` updates are done."""
        return int(step >= self._target_from)

    def sample(self, size: int, step: int) -> Batch:
        """A batch for the update after `step` updates are done."""
        source = self._phases[self.phase(step)]
        assert source is not None  # without prior data phase 0 is empty
        return source.sample(size)

    def state_dict(self) -> dict[str, Any]:
        """State of the draws; the phases share their samplers."""
        assert self._phases[1] is not None
        return self._phases[1].state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        assert self._phases[1] is not None
        self._phases[1].load_state_dict(state)


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
    contract = _contract_of(bags)
    prior, target = _open(bags, contract)
    names = {name for data in (prior, target) if data is not None for name in data.tasks}
    table = TaskTable.from_names([*names, *tasks], config.data.spare_tasks, config.data.aliases)
    config = replace(config, networks=_fit_networks(config, contract))
    _prepare_torch(config)
    algorithm = make_algorithm(config.algorithm, config.networks, table.slots, config.device)
    start = Checkpoint(Path(), contract, table, config, 0)
    return Trainer(algorithm, start, _source(config, table, prior, target), _write_config(folder, config))


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
    prior, target = _open(bags, base.contract)
    names = {name for data in (prior, target) if data is not None for name in data.tasks}
    table = base.tasks.extended(names)
    start = replace(base, tasks=table, config=config, sampler={})
    _prepare_torch(config)
    algorithm = load_algorithm(start, config)
    return Trainer(algorithm, start, _source(config, table, prior, target), _write_config(folder, config))


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
    prior, target = _open(bags, base.contract)
    _prepare_torch(config)
    start = replace(base, config=config)
    algorithm = load_algorithm(start, config)
    source = _source(config, base.tasks, prior, target)
    if base.sampler:
        source.load_state_dict(base.sampler)
    restore_random_state(base)
    return Trainer(algorithm, start, source, _write_config(folder, config))


def export(path: Path, destination: Path, *, inference: bool = False, card: dict[str, Any] | None = None) -> Path:
    """Write a smaller copy of a checkpoint for shipping.

    Args:
        inference: weights only; otherwise Adam's moments stay, as bfloat16, so that fine-tuning carries them
        over. card: facts about where it comes from, added to those it has.
    """
    checkpoint = read_checkpoint(path)
    algorithm = load_algorithm(checkpoint)
    described = replace(checkpoint, card={**checkpoint.card, **(card or {})})
    return save_checkpoint(destination, algorithm, described, optimiser=not inference, compact=True, random=False)


def limited(dataset: Dataset, episodes: int, seed: int) -> Dataset:
    """At most that many episodes, chosen by the seed; -1: all."""
    if episodes < 0 or episodes >= len(dataset):
        return dataset
    keep = np.zeros(len(dataset), dtype=bool)
    keep[np.random.default_rng(seed).permutation(len(dataset))[:episodes]] = True
    return dataset.select(keep)


def _contract_of(bags: Bags) -> Contract:
    """The contract of the first episode; the others must follow it."""
    if not bags.prior and not bags.target:
        raise PtrError("training needs episodes; name their folders with --data")
    return read_metadata(find_episodes([*bags.prior, *bags.target])[0]).contract


def _open(bags: Bags, contract: Contract) -> tuple[Dataset | None, Dataset | None]:
    opened = [
        open_episodes(folders, contract, root=bags.cache) if folders else None for folders in (bags.prior, bags.target)
    ]
    for name, data in zip(("pre-training", "target"), opened, strict=True):
        if data is not None:
            LOGGER.info(
                "%s data: %d episodes, %d transitions, %d tasks, %d episodes left out",
                name,
                len(data),
                data.transitions,
                len(data.task_names),
                len(data.left_out),
            )
            for item in data.left_out[:10]:
                LOGGER.warning("left out: %s: %s", item.path, item.reason)
    return opened[0], opened[1]


def _source(config: TrainingConfig, table: TaskTable, prior: Dataset | None, target: Dataset | None) -> PhasedSource:
    labelling: Labelling = replace(config.data.labelling, discount=config.algorithm.discount)

    def sampler(data: Dataset | None, seed: int) -> Sampler | None:
        return None if data is None else Sampler(data, table.ids(data.task_names), seed, labelling)

    if target is not None:
        target = limited(target, config.data.target_episodes, config.seed)
    schedule = config.schedule
    return PhasedSource(
        sampler(prior, config.seed), sampler(target, config.seed + 1), schedule.target_from, schedule.mix
    )


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
