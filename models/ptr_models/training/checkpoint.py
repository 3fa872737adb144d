# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: a folder with safetensors and JSON, written whole or not at all, verified when read.

checkpoint.json          contract, tasks, configuration, step, metrics, versions, SHA-256 of the other files
model.safetensors        float32 weights: actor.*, critic.*, target_critic.*, average_actor.*, log_temperature
optimiser.safetensors    first and second moments of Adam; absent in a checkpoint for inference only
random.safetensors       states of PyTorch's generators; with the samplers' in checkpoint.json a resumed run
                         goes on as if it had not stopped; absent in a shipped checkpoint
q_range.json             where Q was along demonstrations (`q_range`); absent until it was computed
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ptr_models.algorithms import Algorithm, make_algorithm
from ptr_models.contract import Contract
from ptr_models.training.config import TrainingConfig, without_retired
from ptr_models.training.environment import software_versions
from ptr_models.training.q_range import QRange, from_json, to_json
from ptr_models.training.runs import INDEX, CheckpointError, resolve_checkpoint
from ptr_models.training.tasks import TaskTable
from ptr_models.training.weights import load_moments, model_tensors, moments

FORMAT = 1
MODEL, OPTIMISER, RANDOM = "model.safetensors", "optimiser.safetensors", "random.safetensors"
Q_RANGE = "q_range.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds beside the weights.

    Attributes:
        path: the folder.
        contract, tasks, config: of the run that wrote it.
        step: updates done since the beginning of pre-training.
        metrics: of the last log entry.
        pending: sums and counts of the metrics since then.
        sampler: state of the batch sampler, {} when it was not kept.
        versions: of the software that wrote it.
        card: free facts about where it comes from (data, commands, figures).
        q_ranges: range of Q along demonstrations by task, for these weights.
    """

    path: Path
    contract: Contract
    tasks: TaskTable
    config: TrainingConfig
    step: int
    metrics: dict[str, float] = field(default_factory=dict)
    pending: dict[str, dict[str, float]] = field(default_factory=dict)
    sampler: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    card: dict[str, Any] = field(default_factory=dict)
    q_ranges: dict[str, QRange] = field(default_factory=dict)


def save_checkpoint(
    path: Path | str,
    algorithm: Algorithm,
    checkpoint: Checkpoint,
    *,
    optimiser: bool = True,
    compact: bool = False,
    random: bool = True,
) -> Path:
    """Write a checkpoint folder; it appears under its name only when it is complete.

    Args:
        path: the folder, which must not exist.
        algorithm: weights and optimisers.
        checkpoint: the rest; its `path` and `versions` are set here.
        optimiser: keep Adam's moments, which fine-tuning carries over.
        compact: moments as bfloat16 (for shipping).
        random: keep the states of PyTorch's generators and of the sampler, for exact resumption.
    Raises:
        CheckpointError: it exists already, or the disk is full or not writable; nothing is left behind.
    """
    path = Path(path)
    if path.exists():
        raise CheckpointError(f"the checkpoint {path} exists already; choose another name")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        save_file(model_tensors(algorithm), temporary / MODEL)
        if optimiser:
            save_file(moments(algorithm, torch.bfloat16 if compact else torch.float32), temporary / OPTIMISER)
        if random:
            save_file(_random_state(), temporary / RANDOM)
        if checkpoint.q_ranges:
            (temporary / Q_RANGE).write_text(to_json(checkpoint.q_ranges), encoding="utf-8")
        _write_index(temporary, checkpoint, checkpoint.sampler if random else {})
        for place in (*temporary.iterdir(), temporary):
            _flush(place)
        temporary.rename(path)
        _flush(path.parent)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(_write_problem(path, error)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def read_checkpoint(path: Path | str) -> Checkpoint:
    """Read the JSON of a checkpoint and verify the SHA-256 of every file.

    Args:
        path: checkpoint folder, or the folder of a run: its chosen checkpoint, or else its newest.
    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = resolve_checkpoint(path)
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path / INDEX} cannot be read ({error}); use another checkpoint") from error
    try:
        if index["format"] != FORMAT:
            raise CheckpointError(f"{path} has checkpoint format {index['format']!r}; this software reads {FORMAT}")
        _verify_files(path, index["files"])
        tasks = index["tasks"]
        return Checkpoint(
            path=path,
            contract=Contract.from_dict(index["contract"]),
            tasks=TaskTable(tuple(tasks["names"]), int(tasks["slots"]), tasks["aliases"]),
            config=TrainingConfig.from_dict(without_retired(index["config"])),
            step=int(index["step"]),
            metrics=index["metrics"],
            pending=index.get("pending", {}),
            sampler=index["sampler"],
            versions=index["versions"],
            card=index["card"],
            q_ranges=from_json((path / Q_RANGE).read_text(encoding="utf-8")) if Q_RANGE in index["files"] else {},
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path / INDEX} is malformed ({error!r}); use another checkpoint") from error


def load_algorithm(checkpoint: Checkpoint, config: TrainingConfig | None = None) -> Algorithm:
    """The algorithm with a checkpoint's weights and, where it has them and the algorithm is the same, Adam's moments.

    Args:
        config: instead of the checkpoint's, e.g. with other learning rates; the networks must be the same.
            Without it the algorithm is on the CPU, wherever it was trained.
    Raises:
        CheckpointError: weights are missing or of another shape.
    """
    config = config or replace(checkpoint.config, device="cpu")
    algorithm = make_algorithm(config.algorithm, config.networks, checkpoint.tasks.slots, config.device)
    tensors = _load(checkpoint.path / MODEL)
    modules = algorithm.modules
    if "average_actor" in modules and not any(name.startswith("average_actor.") for name in tensors):
        tensors |= {f"average_{name}": value for name, value in tensors.items() if name.startswith("actor.")}
    try:
        for name, module in modules.items():
            own = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
            module.load_state_dict(own)
        algorithm.log_temperature.data.copy_(tensors["log_temperature"])
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(
            f"the weights in {checkpoint.path} do not fit the configuration: {_last_line(error)}"
        ) from error
    if (checkpoint.path / OPTIMISER).exists() and config.algorithm.name == checkpoint.config.algorithm.name:
        load_moments(algorithm, _load(checkpoint.path / OPTIMISER))
    return algorithm


def write_q_ranges(path: Path, ranges: Mapping[str, QRange]) -> None:
    """Add the ranges of Q to a checkpoint that is there, or replace them; the checkpoint is whole at every moment.

    Raises:
        CheckpointError: it cannot be read or written.
    """
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
        if index["files"].pop(Q_RANGE, None) is not None:
            _replace(path / INDEX, json.dumps(index, indent=1))
        _replace(path / Q_RANGE, to_json(ranges))
        index["files"][Q_RANGE] = _facts(path / Q_RANGE)
        _replace(path / INDEX, json.dumps(index, indent=1))
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"the ranges of Q cannot be added to {path}: {error}") from error


def restore_random_state(checkpoint: Checkpoint) -> None:
    """Set PyTorch's generators to their states when the checkpoint was written, where they were kept."""
    if not (checkpoint.path / RANDOM).exists():
        return
    states = _load(checkpoint.path / RANDOM)
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def has_critic(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint holds a Q-function."""
    with safe_open(checkpoint.path / MODEL, "pt") as file:
        return any(name.startswith("critic.") for name in file.keys())


def _random_state() -> dict[str, Tensor]:
    states = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _write_index(folder: Path, checkpoint: Checkpoint, sampler: Mapping[str, Any]) -> None:
    files = {file.name: _facts(file) for file in sorted(folder.iterdir())}
    tasks = checkpoint.tasks
    index = {
        "format": FORMAT,
        "step": checkpoint.step,
        "contract": json.loads(checkpoint.contract.to_json()),
        "tasks": {"names": list(tasks.names), "slots": tasks.slots, "aliases": dict(tasks.aliases)},
        "config": checkpoint.config.to_dict(),
        "metrics": checkpoint.metrics,
        "pending": checkpoint.pending,
        "sampler": sampler,
        "versions": software_versions(),
        "card": checkpoint.card,
        "files": files,
    }
    (folder / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")


def _facts(file: Path) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "bytes": file.stat().st_size}


def _replace(file: Path, text: str) -> None:
    """Put a text on the disk under a name, the old one or the new one at any moment."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    _flush(temporary)
    temporary.replace(file)
    _flush(file.parent)


def _verify_files(path: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    for name in (MODEL, *files):
        if name not in files or not (path / name).is_file():
            raise CheckpointError(f"{path} lacks {name}; the checkpoint is incomplete, use another one")
    for name, facts in files.items():
        if hashlib.sha256((path / name).read_bytes()).hexdigest() != facts["sha256"]:
            raise CheckpointError(f"{path / name} is damaged (its SHA-256 differs); use another checkpoint")


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); use another checkpoint") from error


def _flush(place: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_problem(path: Path, error: Exception) -> str:
    if getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error):
        return f"the disk is full: the checkpoint {path} was not written; earlier ones are kept"
    return f"the checkpoint {path} cannot be written: {error}"


def _last_line(error: Exception) -> str:
    return str(error).splitlines()[-1].strip()
