# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: folders with safetensors and JSON, written atomically and verified when read.

checkpoint.json          contract, tasks, configuration, step, metrics, versions, SHA-256 of the other files
model.safetensors        float32 weights: actor.*, critic.*, target_critic.*, average_actor.*, log_temperature
optimiser.safetensors    first and second moments of Adam; absent in a checkpoint for inference only
random.safetensors       states of PyTorch's generators; with the sampler states in checkpoint.json, a resumed run
                         continues as if it had not stopped; absent in a shipped checkpoint
q_range.json             the range of Q along demonstrations (`q_range`); absent until computed
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from ptr_models.algorithms import Algorithm, make_algorithm
from ptr_models.common.files import write_atomically
from ptr_models.contract import Contract
from ptr_models.input_limits import MAX_IMAGE_SIDE, MAX_TASK_SLOTS
from ptr_models.json_input import read_object
from ptr_models.training.config import TrainingConfig, without_retired
from ptr_models.training.environment import software_versions
from ptr_models.training.q_range import QRange, from_json, to_json
from ptr_models.training.runs import INDEX, CheckpointError, resolve_checkpoint
from ptr_models.training.tasks import GOAL_IMAGE, GoalImageTable, LanguageTable, TaskTable
from ptr_models.training.text_encoders import HASHING, TextEncoderError, text_encoder
from ptr_models.training.weights import load_moments, model_tensors, moments
from ptr_models.typed_values import require_range, require_type, require_types

FORMAT = 1
TEXT_ENCODER = "PTR_TEXT_ENCODER"
"""Environment variable: folder of the text encoder, if it is no longer the one that a checkpoint names."""
MODEL, OPTIMIZER, RANDOM = "model.safetensors", "optimiser.safetensors", "random.safetensors"
Q_RANGE = "q_range.json"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint folder holds apart from the weights.

    Attributes:
        path: the folder.
        contract, tasks, config: of the run that wrote it.
        step: updates done since the start of pre-training.
        metrics: of the last log entry.
        pending: sums and counts of the metrics since then.
        sampler: state of the batch sampler, {} if it was not stored.
        versions: of the software that wrote it.
        card: facts about its origin in free form (data, commands, figures).
        q_ranges: range of Q along demonstrations by task, for these weights.
        files: names of the verified files; no others are read.
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
    files: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Index:
    """The fields of checkpoint.json and their types."""

    step: int
    contract: dict[str, Any]
    tasks: dict[str, Any]
    config: dict[str, Any]
    metrics: dict[str, Any]
    sampler: dict[str, Any]
    versions: dict[str, str]
    card: dict[str, Any]
    files: dict[str, dict[str, Any]]
    pending: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    path: Path | str,
    algorithm: Algorithm,
    checkpoint: Checkpoint,
    *,
    optimizer: bool = True,
    compact: bool = False,
    random: bool = True,
) -> Path:
    """Write a checkpoint folder. It gets its final name only when it is complete.

    Args:
        path: the folder, which must not exist.
        algorithm: weights and optimizers.
        checkpoint: the rest; its `path` and `versions` are set here.
        optimizer: store Adam's moments, which fine-tuning continues with.
        compact: moments as bfloat16 (for shipping).
        random: store the states of PyTorch's generators and of the sampler, for exact resumption.
    Raises:
        CheckpointError: it already exists, or the disk is full or not writable; nothing is left behind.
    """
    path = Path(path)
    if path.exists():
        raise CheckpointError(f"the checkpoint {path} already exists; choose another name")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        save_file(model_tensors(algorithm), temporary / MODEL)
        if optimizer:
            save_file(moments(algorithm, torch.bfloat16 if compact else torch.float32), temporary / OPTIMIZER)
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
        path: checkpoint folder, or run folder: then its chosen checkpoint, or else its newest.
    Raises:
        CheckpointError: it is missing or damaged.
    """
    path = resolve_checkpoint(path)
    values = read_object(path / INDEX, CheckpointError, advice="use another checkpoint", finite=False)
    try:
        if values["format"] != FORMAT:
            raise CheckpointError(f"{path} has checkpoint format {values['format']!r}; this software reads {FORMAT}")
        index = _Index(**{item.name: values[item.name] for item in fields(_Index) if item.name in values})
        require_types(index, CheckpointError, f"{path / INDEX}: ")
        _verify_files(path, index.files)
        config = TrainingConfig.from_dict(without_retired(index.config))
        tasks = _tasks(index.tasks, f"{path / INDEX}: ")
        require_range(f"{path / INDEX}: step", index.step, 0, 10**12, CheckpointError)
        _require_room(config, tasks.slots, (path / MODEL).stat().st_size)
        return Checkpoint(
            path=path,
            contract=Contract.from_dict(index.contract),
            tasks=tasks,
            config=config,
            step=index.step,
            metrics=index.metrics,
            pending=index.pending,
            sampler=index.sampler,
            versions=index.versions,
            card=index.card,
            q_ranges=from_json((path / Q_RANGE).read_text(encoding="utf-8")) if Q_RANGE in index.files else {},
            files=frozenset(index.files),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{path / INDEX} is malformed ({error!r}); use another checkpoint") from error


def _tasks(values: Mapping[str, Any], where: str) -> TaskTable:
    """The table of tasks, validated."""
    for name, kind in (("names", tuple[str, ...]), ("slots", int), ("aliases", dict[str, str])):
        require_type(kind, values[name], f"{where}tasks.{name}", CheckpointError)
    names, slots, aliases = tuple(values["names"]), values["slots"], values["aliases"]
    if "text_encoder" in values:
        return _language_table(names, slots, aliases, values["text_encoder"], where)
    if values.get(GOAL_IMAGE, False):
        require_range(f"{where}tasks.slots", slots, 0, 0, CheckpointError)
        return GoalImageTable(names, slots, aliases)
    require_range(f"{where}tasks.slots", slots, len(names), MAX_TASK_SLOTS, CheckpointError)
    return TaskTable(names, slots, aliases)


def _language_table(
    names: tuple[str, ...], slots: int, aliases: dict[str, str], described: Any, where: str
) -> LanguageTable:
    """A table of instructions with its original text encoder."""
    require_type(dict[str, str], described, f"{where}tasks.text_encoder", CheckpointError)
    require_range(f"{where}len(tasks.names)", len(names), 0, MAX_TASK_SLOTS, CheckpointError)
    name = os.environ.get(TEXT_ENCODER, "") if described["name"] != HASHING else ""
    try:
        encoder = text_encoder(name or described["name"])
    except TextEncoderError as error:
        raise CheckpointError(f"{error}; if it has moved, set {TEXT_ENCODER} to its folder") from error
    if (encoder.width, encoder.fingerprint) != (slots, described["fingerprint"]):
        raise CheckpointError(
            f"the checkpoint was trained with another text encoder than {encoder.name}: fingerprint "
            f"{described['fingerprint']}, not {encoder.fingerprint}; set {TEXT_ENCODER} to the folder of that encoder"
        )
    return LanguageTable(names, slots, aliases, encoder=encoder)


def _require_room(config: TrainingConfig, slots: int, size: int) -> None:
    """Refuse networks with a layer too wide for the file of weights, before creating them.

    Args:
        size: of the weights, bytes; 4 per weight.
    """
    networks = config.networks
    require_range("networks.image_size", networks.image_size, 1, MAX_IMAGE_SIDE, CheckpointError)
    widths = {"latent": (networks.latent,), "hidden": networks.hidden, "num_critics": (networks.num_critics,)}
    widths |= {"embeddings": (networks.embeddings,), "cameras": (networks.cameras,), "slots": (slots,)}
    values = networks.multilinear_value
    widths |= {"multilinear_value.hidden": values.hidden, "multilinear_value.members": (values.members,)}
    for name, sizes in widths.items():
        if any(not 0 <= 4 * width <= size for width in sizes):
            raise CheckpointError(
                f"networks.{name} is {max(sizes)}, but {MODEL} has {size} bytes and cannot hold that; "
                "use another checkpoint"
            )


def load_algorithm(checkpoint: Checkpoint, config: TrainingConfig | None = None) -> Algorithm:
    """The algorithm with a checkpoint's weights and, if it has them and the algorithm is the same, Adam's moments.

    Args:
        config: replaces the checkpoint's, e.g. with other learning rates; the networks must be the same.
            Without it the algorithm is on the CPU, wherever it was trained.
    Raises:
        CheckpointError: weights are missing or have another shape.
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
    if OPTIMIZER in checkpoint.files and config.algorithm.name == checkpoint.config.algorithm.name:
        load_moments(algorithm, _load(checkpoint.path / OPTIMIZER))
    return algorithm


def encoder_weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights of the actor's image encoder, under the encoder's own names.

    Raises:
        CheckpointError: they cannot be read, or there is no image encoder.
    """
    prefix = "actor.encoder."
    tensors = _load(checkpoint.path / MODEL)
    found = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    if not found:
        raise CheckpointError(f"{checkpoint.path} has no image encoder; use another checkpoint")
    return found


def write_q_ranges(path: Path, ranges: Mapping[str, QRange]) -> None:
    """Add ranges of Q to an existing checkpoint, or replace them. The checkpoint is valid at all times.

    Raises:
        CheckpointError: it cannot be read or written.
    """
    try:
        index = read_object(path / INDEX, CheckpointError, finite=False)
        if index["files"].pop(Q_RANGE, None) is not None:
            write_atomically(path / INDEX, json.dumps(index, indent=1))
        write_atomically(path / Q_RANGE, to_json(ranges))
        index["files"][Q_RANGE] = _facts(path / Q_RANGE)
        write_atomically(path / INDEX, json.dumps(index, indent=1))
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"the ranges of Q cannot be added to {path}: {error}") from error


def restore_random_state(checkpoint: Checkpoint) -> None:
    """Restore the states of PyTorch's generators, if the checkpoint has them."""
    if RANDOM not in checkpoint.files:
        return
    states = _load(checkpoint.path / RANDOM)
    torch.set_rng_state(states["torch"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


def has_critic(checkpoint: Checkpoint) -> bool:
    """Whether a checkpoint holds a Q-function."""
    try:
        with safe_open(checkpoint.path / MODEL, "pt") as file:
            return any(name.startswith("critic.") for name in file.keys())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint.path / MODEL} cannot be read ({error}); use another checkpoint") from error


def _random_state() -> dict[str, Tensor]:
    states = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _write_index(folder: Path, checkpoint: Checkpoint, sampler: Mapping[str, Any]) -> None:
    files = {file.name: _facts(file) for file in sorted(folder.iterdir())}
    tasks = checkpoint.tasks
    table: dict[str, Any] = {"names": list(tasks.names), "slots": tasks.slots, "aliases": dict(tasks.aliases)}
    if isinstance(tasks, LanguageTable):
        table["text_encoder"] = {"name": tasks.encoder.name, "fingerprint": tasks.encoder.fingerprint}
    if isinstance(tasks, GoalImageTable):
        table[GOAL_IMAGE] = True
    index = {
        "format": FORMAT,
        "step": checkpoint.step,
        "contract": json.loads(checkpoint.contract.to_json()),
        "tasks": table,
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


def _verify_files(path: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    for name in (MODEL, *files):
        if Path(name).name != name:
            raise CheckpointError(f"{path / INDEX} names the file {name!r}, which is outside its folder")
        if name not in files or not (path / name).is_file():
            raise CheckpointError(f"{path} has no {name}; the checkpoint is incomplete, use another one")
    for name, facts in files.items():
        if hashlib.sha256((path / name).read_bytes()).hexdigest() != facts["sha256"]:
            raise CheckpointError(f"{path / name} is damaged (its SHA-256 differs); use another checkpoint")


def _load(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); use another checkpoint") from error


def _flush(place: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
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
