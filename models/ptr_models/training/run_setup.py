# SPDX-License-Identifier: Apache-2.0
"""Set up a training run: bags, task table, algorithm, phases."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ptr_models.algorithms import Algorithm, BehaviorTransformerCloning, make_algorithm
from ptr_models.algorithms.bet import CLUSTERED
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_atomically
from ptr_models.common.output_folder import locked
from ptr_models.contract import Contract
from ptr_models.networks import NetworkConfig
from ptr_models.replay import Dataset
from ptr_models.replay.videos import ENDING
from ptr_models.replay.windows import sample_actions
from ptr_models.training.action_dimensions import with_target_entropy
from ptr_models.training.allocator import keep_freed_memory
from ptr_models.training.checkpoint import (
    Checkpoint,
    load_algorithm,
    read_checkpoint,
    restore_random_state,
)
from ptr_models.training.config import DataConfig, TrainingConfig
from ptr_models.training.data import (
    DATA,
    Bags,
    bags_of_run,
    contract_of,
    data_report,
    limited,
    open_bags,
    open_frames,
    warn_of_changes,
)
from ptr_models.training.devices import resolve_device
from ptr_models.training.distributed import ALONE, Group
from ptr_models.training.environment import environment
from ptr_models.training.jsonlines import JsonLines, read_lines
from ptr_models.training.loop import Trainer
from ptr_models.training.phases import PhasedSource, make_source
from ptr_models.training.representation import (
    first_objective,
    load_features,
    require_finetunable,
    require_frames_alone,
    second_objective,
)
from ptr_models.training.runs import CHOICE, CONFIG, CheckpointError, RunError, checkpoints_of, latest_checkpoint
from ptr_models.training.tasks import GoalImageTable, LanguageTable, TaskTable
from ptr_models.training.text_encoders import text_encoder

__all__ = [
    "Bags",
    "PhasedSource",
    "limited",
    "resume",
    "start_finetuning",
    "start_pretraining",
]

LOGGER = logging.getLogger(__name__)
Adjustments = Sequence[str | Path]
"""Changes of a configuration: assignments, and YAML files."""

FINETUNING_AVERAGE = 0.99
"""Slowest moving average of the actor in fine-tuning, which is short: with 0.999 the policy would hardly change."""


def start_pretraining(
    config: TrainingConfig, bags: Bags, folder: Path, tasks: Sequence[str] = (), group: Group = ALONE
) -> Trainer:
    """Start a run with new networks.

    Args:
        config: the bags' full images are resized to its image size. Without an encoder, objects are observed.
        bags: prior data; target data enters at `schedule.target_from`. Target data alone makes a single phase. Video
            frames are prior data for methods that learn from frames alone.
        folder: of the run; must not hold checkpoints yet.
        tasks: further names that get a slot from the start.
        group: processes that train together.
    """
    if latest_checkpoint(folder) is not None:
        raise PtrError(f"{folder} already holds checkpoints of a run; choose another --out, or continue with --resume")
    config = first_objective(config)
    if bags.videos:
        require_frames_alone(config)
    low_dim = config.networks.encoder == "none"
    size, cameras = (None, ()) if low_dim else (config.networks.image_size, config.data.cameras)
    contract = contract_of(bags, low_dim, size, cameras)
    config = replace(config, networks=_fit_networks(config, contract))
    prior, target = open_bags(bags, contract, config.data.max_idle_steps, config.data.task_conditioning)
    if prior is not None and target is not None and config.schedule.target_from <= 0 and config.schedule.mix == 0:
        LOGGER.warning("schedule.mix is 0: no pre-training episode will be drawn; omit --data, or change schedule.mix")
    frames = open_frames(bags, contract, config.data)
    names = {name for data in (prior, target) if data is not None for name in data.tasks}
    table = _table([*names, *tasks], config.data)
    if table.warning:
        LOGGER.warning(table.warning)
    config = _prepare_torch(with_target_entropy(config, (prior, target)))
    algorithm = make_algorithm(config.algorithm, config.networks, table.slots, config.device)
    _fit_to_actions(algorithm, target if prior is None else prior, config.seed)
    files = 0 if frames is None else _files(frames)
    card = load_features(algorithm, config, files, bags=prior is not None or target is not None)
    start = Checkpoint(Path(), contract, table, config, 0, card=card)
    _prepare_folder(folder, start, data_report(bags, prior, target, frames), group)
    return Trainer(algorithm, start, make_source(config, table, _with(prior, frames), target), folder, group)


def start_finetuning(
    path: Path, bags: Bags, folder: Path, adjust: Adjustments = (), group: Group = ALONE, **overrides: Any
) -> Trainer:
    """Start a run from a checkpoint, with the target data mixed in from its first update.

    Networks, Adam's moments, temperature and targets carry over. New tasks use spare slots.

    Args:
        path: checkpoint folder, or the folder of a run.
        bags: target data, and prior data to mix with it.
        adjust: changes of the checkpoint's configuration: `section.key=value`, or paths of YAML files.
        group: processes that train together.
        overrides: changes of top-level values, e.g. seed, threads, device.
    """
    if latest_checkpoint(folder) is not None:
        raise PtrError(f"{folder} already holds checkpoints of a run; choose another --out, or continue with --resume")
    if not bags.target:
        raise PtrError("fine-tuning needs demonstrations of the target task; name their folder with --target")
    base = read_checkpoint(path)
    require_finetunable(base)
    config = adjusted(_for_finetuning(_overridden(base.config, overrides), base.step), adjust)
    before, after = (one.task_conditioning for one in (base.config.data, config.data))
    if before != after:
        raise PtrError(f"the checkpoint was trained with task_conditioning {before}, which can't become {after}")
    steps, wanted = base.config.algorithm.chunk, config.algorithm.chunk
    if steps != wanted:
        raise PtrError(f"the checkpoint was trained with algorithm.chunk {steps}, which can't become {wanted}")
    if config.networks.image_size != base.config.networks.image_size:
        sizes = f"{base.config.networks.image_size} pixels a side, not of {config.networks.image_size}"
        raise PtrError(f"the checkpoint sees images of {sizes}; omit networks.image_size, or pre-train with it")
    if config.networks.weights != base.config.networks.weights:
        raise PtrError(
            "networks.weights is only used when a run starts with new networks; give it to ptr train pretrain"
        )
    if config.data.cameras != base.config.data.cameras:
        seen = ", ".join(camera.name for camera in base.contract.cameras) or "none"
        raise PtrError(f"data.cameras can only be chosen for new networks; this checkpoint uses {seen}")
    if base.step < config.algorithm.bc_steps:
        LOGGER.warning(
            "the checkpoint has %d updates, but the actor only imitates until %d; algorithm.bc_steps=0 changes that",
            base.step,
            config.algorithm.bc_steps,
        )
    prior, target = open_bags(bags, base.contract, config.data.max_idle_steps, config.data.task_conditioning)
    names = {name for data in (prior, target) if data is not None for name in data.tasks}
    table = base.tasks.with_aliases(config.data.aliases).extended(names)
    config = _prepare_torch(with_target_entropy(config, (prior, target)))
    start = replace(base, tasks=table, config=config, sampler={}, pending={})
    algorithm = load_algorithm(replace(start, config=base.config), config)
    _prepare_folder(folder, start, data_report(bags, prior, target), group)
    return Trainer(algorithm, start, make_source(config, table, prior, target), folder, group)


def _table(names: Sequence[str], data: DataConfig) -> TaskTable:
    """The task table of a new run."""
    if data.by_instruction:
        return LanguageTable.of(names, text_encoder(data.text_encoder), data.aliases)
    if data.by_goal_image:
        return GoalImageTable.of(names, data.aliases)
    return TaskTable.from_names(names, data.spare_tasks, data.aliases)


def _for_finetuning(config: TrainingConfig, begin: int) -> TrainingConfig:
    """Use target data from the first update, the second objective, and a moving average over hundreds of updates."""
    config = second_objective(config)
    average = min(config.algorithm.ema_decay, FINETUNING_AVERAGE)
    return replace(
        config,
        schedule=replace(config.schedule, target_from=begin),
        algorithm=replace(config.algorithm, ema_decay=average),
    )


def _newest_readable(folder: Path, newest: Path) -> Checkpoint:
    """The newest checkpoint of a run.

    Raises:
        CheckpointError: it is damaged; the message names the newest intact one. Nothing is deleted.
    """
    try:
        return read_checkpoint(newest)
    except CheckpointError as error:
        intact = next((path for path in reversed(checkpoints_of(folder)[:-1]) if _is_intact(path)), None)
        if intact is None:
            raise
        raise CheckpointError(
            f"{error}. {intact.name} is intact: move {newest} away to continue from it with --resume"
        ) from error


def _is_intact(path: Path) -> bool:
    try:
        read_checkpoint(path)
    except CheckpointError:
        return False
    return True


def resume(
    bags: Bags | None,
    folder: Path,
    adjust: Adjustments = (),
    group: Group = ALONE,
    *,
    cache: Path | None = None,
    **overrides: Any,
) -> Trainer:
    """Continue a run from its newest checkpoint, exactly as if it had not been interrupted.

    Args:
        bags: the run's data; None: the folders that it started with, whose cache is at `cache`.
        folder, adjust, group, overrides: as in `start_finetuning`.
    """
    path = latest_checkpoint(folder)
    if path is None:
        raise PtrError(f"there is no checkpoint to resume in {folder}; start the run again, without --resume")
    base = _newest_readable(folder, path)
    bags = bags if bags is not None else bags_of_run(folder, cache)
    config = adjusted(_overridden(base.config, overrides), adjust)
    prior, target = open_bags(bags, base.contract, config.data.max_idle_steps, config.data.task_conditioning)
    config = _prepare_torch(with_target_entropy(config, (prior, target)))
    start = replace(base, config=config)
    algorithm = load_algorithm(start, config)
    frames = open_frames(bags, base.contract, config.data)
    source = make_source(config, base.tasks, _with(prior, frames), target)
    if base.sampler:
        source.load_state_dict(base.sampler)
    restore_random_state(base)
    _prepare_folder(folder, start, data_report(bags, prior, target, frames), group, resumed=True)
    return Trainer(algorithm, start, source, folder, group)


def _with(prior: Dataset | None, frames: Dataset | None) -> Dataset | None:
    """Pre-training data, followed by the frames of videos, if any."""
    if prior is None or frames is None:
        return frames if prior is None else prior
    return prior.followed_by(frames)


def _files(frames: Dataset) -> int:
    """Number of video files in a data set."""
    return sum(path.lower().endswith(ENDING) for path in frames.paths)


def first_step(folder: Path) -> int:
    """Updates done before a run started: 0, or those of the checkpoint that it fine-tunes."""
    entries = read_lines(folder / "environment.jsonl")
    return int(entries[0].get("step", 0)) if entries else 0


def adjusted(config: TrainingConfig, adjust: Adjustments) -> TrainingConfig:
    """A configuration with YAML files and `section.key=value` assignments applied, in the order of the list."""
    for item in adjust:
        config = TrainingConfig.from_yaml(item, config) if isinstance(item, Path) else config.replaced([item])
    return config


def _overridden(config: TrainingConfig, overrides: dict[str, Any]) -> TrainingConfig:
    """A checkpoint's configuration for this machine; its device may be that of another one."""
    return replace(config, **({"device": "auto"} | overrides))


def _fit_networks(config: TrainingConfig, contract: Contract) -> NetworkConfig:
    """The networks for a contract.

    Raises:
        PtrError: the networks and the contract don't match.
    """
    if config.networks.encoder != "none" and not contract.cameras:
        raise PtrError("the bags have no images; choose a preset that observes objects, e.g. ptr_low_dim")
    numbers = len(config.networks.state_center)
    if numbers != len(contract.state):
        raise PtrError(
            f"networks.state_center has {numbers} numbers, but the state of the bags' contract has "
            f"{len(contract.state)} ({', '.join(contract.state)}); choose a preset for it, or give as many numbers"
        )
    if config.networks.encoder == "none":
        return config.networks
    return replace(config.networks, cameras=len(contract.cameras) * (2 if config.data.by_goal_image else 1))


def _fit_to_actions(algorithm: Algorithm, data: Dataset | None, seed: int) -> None:
    """Fit a Behavior Transformer's typical actions to its data."""
    if isinstance(algorithm, BehaviorTransformerCloning) and data is not None:
        algorithm.fit_centers(sample_actions(data, CLUSTERED, seed), seed)


def _prepare_torch(config: TrainingConfig) -> TrainingConfig:
    """Set threads, memory and seed of PyTorch; returns the configuration with the device that was found."""
    if config.threads > 0:
        torch.set_num_threads(config.threads)
    keep_freed_memory()
    torch.backends.cudnn.benchmark = True  # all batches have one size: it searches only once
    torch.manual_seed(config.seed)
    return replace(config, device=resolve_device(config.device))


def _prepare_folder(
    folder: Path, start: Checkpoint, data: dict[str, Any], group: Group, *, resumed: bool = False
) -> None:
    """Record the run's inputs, and delete an earlier choice, which would miss its new checkpoints."""
    if not group.is_main:
        return
    with locked(folder):
        if resumed:
            warn_of_changes(folder, data)
        try:
            (folder / CHOICE).unlink(missing_ok=True)
            write_atomically(folder / CONFIG, start.config.to_yaml())
            write_atomically(folder / DATA, json.dumps(data, indent=1))
            log = JsonLines(folder / "environment.jsonl", keep=lambda _: resumed)
        except OSError as error:
            raise RunError(f"the run folder {folder} cannot be written: {error}") from error
        log.append({"step": start.step, **environment()})
