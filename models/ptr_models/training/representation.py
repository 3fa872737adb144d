# SPDX-License-Identifier: Apache-2.0
"""The source of a run's visual features: published weights, or pre-training on its own videos.

Such methods have two objectives: `algorithm.name` trains the backbone, `algorithm.next_algorithm` the policy on top of
it. Published weights, or a run that trained the same encoder, can replace the first objective. V-PTR uses such a run:
it learns values of videos, pre-trains PTR from their encoder, then fine-tunes.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ptr_models.algorithms import Algorithm, batches_of
from ptr_models.common.errors import PtrError
from ptr_models.networks.encoder import Encoder
from ptr_models.networks.pixels import PublishedInput
from ptr_models.networks.published import load_published
from ptr_models.training.checkpoint import Checkpoint, encoder_weights, read_checkpoint
from ptr_models.training.config import TrainingConfig

LOGGER = logging.getLogger(__name__)
CARD = "representation"
"""Key in a checkpoint's card."""
BEFORE_PRETRAINING = ("icvf",)
"""First objectives after which the second starts with its own pre-training, not with fine-tuning."""
FRAMES_ALONE = ("clips", "intents")
"""Kinds of batches that videos without actions can provide."""
_ENCODER = ("encoder", "image_size", "pooling", "embeddings", "latent")
"""Keys of `networks` in which two runs must agree so that one can start from the encoder of the other."""


def second_objective(config: TrainingConfig) -> TrainingConfig:
    """The configuration of the second objective: `next_algorithm`, if set, becomes the algorithm's name."""
    following = config.algorithm.next_algorithm
    if not following:
        return config
    return replace(config, algorithm=replace(config.algorithm, name=following, next_algorithm=""))


def first_objective(config: TrainingConfig) -> TrainingConfig:
    """The configuration of pre-training. With existing weights, it is that of the second objective.

    Imitation then uses the target data from the first update; V-PTR still has both phases of PTR ahead.

    The learning-rate schedule of a masked autoencoder gets its length: all updates of the run, but at most those before
    the target data enter.
    """
    if config.networks.weights and config.algorithm.next_algorithm:
        target_from = config.schedule.target_from if config.algorithm.name in BEFORE_PRETRAINING else 0
        return replace(second_objective(config), schedule=replace(config.schedule, target_from=target_from))
    if config.algorithm.name == "masked_autoencoder" and not config.algorithm.masked.updates:
        schedule = config.schedule
        updates = min(schedule.steps, schedule.target_from or schedule.steps)
        masked = replace(config.algorithm.masked, updates=updates)
        return replace(config, algorithm=replace(config.algorithm, masked=masked))
    return config


def require_frames_alone(config: TrainingConfig) -> None:
    """Raise PtrError if a run learns from more than frames and can't use videos without actions."""
    kind = batches_of(config.algorithm.name)
    if kind not in FRAMES_ALONE:
        raise PtrError(
            f"videos have no actions, but {config.algorithm.name} learns from {kind}; omit --videos, or choose a "
            "preset that learns from frames alone, e.g. v_ptr_small"
        )


def require_finetunable(checkpoint: Checkpoint) -> None:
    """Raise PtrError for values of videos, from which a policy must be pre-trained first."""
    if is_before_pretraining(checkpoint.config):
        raise PtrError(f"{checkpoint.path} holds values of videos; {next_of_features(checkpoint.config)}")


def is_before_pretraining(config: TrainingConfig) -> bool:
    """Whether the pre-training of the second objective follows."""
    return bool(config.algorithm.next_algorithm) and config.algorithm.name in BEFORE_PRETRAINING


def next_of_features(config: TrainingConfig) -> str:
    """How to train a policy on the features that the first objective of a run has learned."""
    if not is_before_pretraining(config):
        return "train one on top of them with ptr train finetune"
    return f"pre-train a policy from them with ptr train pretrain --preset {config.preset} --set networks.weights=RUN"


def load_features(algorithm: Algorithm, config: TrainingConfig, videos: int = 0, bags: bool = True) -> dict[str, Any]:
    """Load the weights named in the configuration (published, or of a run), and describe the features' source.

    Backbones with published weights resize images to their training size, 224 pixels. Smaller images lack detail.

    Args:
        videos: number of files without actions that train the features.   bags: whether images of bags train them too.
    Returns:
        an entry for the checkpoint's card; empty for methods that learn features together with the policy.
    Raises:
        WeightsError: the file cannot be read or does not fit the backbone.
        PtrError: the run has another encoder, or its checkpoint is missing or damaged.
    """
    if not config.networks.weights:
        files = {"files": videos, "bags": bags} if videos else {}
        if not config.algorithm.next_algorithm:
            return {}
        return {CARD: {"source": "videos", "objective": config.algorithm.name, **files}}
    found = (getattr(module, "encoder", None) for module in algorithm.modules.values())
    encoders = [encoder for encoder in found if isinstance(encoder, Encoder)]
    if Path(config.networks.weights).is_dir():
        return {CARD: _load_run(encoders, config, Path(config.networks.weights))}
    loaded = [load_published(encoder.backbone, config.networks.weights) for encoder in encoders]
    given, prepare = config.networks.image_size, getattr(encoders[0].backbone, "prepare", None)
    if isinstance(prepare, PublishedInput) and given < (wanted := prepare.size):
        LOGGER.warning(
            "images of %d pixels are enlarged to the %d pixels of the published weights and lack detail; for a fair "
            "comparison use bags whose contract has images of %d pixels",
            given,
            wanted,
            wanted,
        )
    return {CARD: {"source": "published weights", "pixels": given, **dataclasses.asdict(loaded[0])}}


def _load_run(encoders: Sequence[Encoder], config: TrainingConfig, path: Path) -> dict[str, Any]:
    """Load a run's encoder weights (backbone, pooling and bottleneck) into encoders."""
    source = read_checkpoint(path)
    for name in _ENCODER:
        theirs, own = getattr(source.config.networks, name), getattr(config.networks, name)
        if theirs != own:
            raise PtrError(f"{path} has networks.{name} {theirs}, not {own}; give both runs the same")
    weights = encoder_weights(source)
    for encoder in encoders:
        encoder.load_state_dict(weights)
    objective, before = source.config.algorithm.name, source.card.get(CARD, {})
    files = {name: before[name] for name in ("files", "bags") if name in before}
    return {"source": "run", "objective": objective, "run": path.name, "updates": source.step, **files}


def describe(card: Mapping[str, Any]) -> str:
    """One sentence about the source of a checkpoint's features; empty if they are learned together with the policy."""
    entry = card.get(CARD)
    if entry is None:
        return ""
    if entry["source"] == "videos":
        return f"Visual features: trained on {_videos(entry)} ({entry['objective']})."
    if entry["source"] == "run":
        run = f"{entry['run']} after {entry['updates']} updates of {entry['objective']}"
        return f"Visual features: started from the run {run} on {_videos(entry)}."
    pixels = f", on images of {entry['pixels']} pixels" if "pixels" in entry else ""
    weights = f"{entry['layout']}'s published weights, {entry['file']}, SHA-256 {entry['sha256']}"
    return f"Visual features: {weights}{pixels}."


def _videos(entry: Mapping[str, Any]) -> str:
    """What features were trained on: images of bags, MP4 files, or both."""
    bags = ["the pre-training videos of this project"] if entry.get("bags", True) else []
    return " and ".join(bags + ([f"{entry['files']} video files"] if "files" in entry else []))
