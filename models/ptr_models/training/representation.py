# SPDX-License-Identifier: Apache-2.0
"""Where the visual features of a run come from: published weights, or pre-training on its own videos.

Methods of this kind have two objectives: `algorithm.name` trains the backbone, `algorithm.then` the policy on
top of it. Published weights take the place of the first.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ptr_models.algorithms import Algorithm
from ptr_models.networks.encoder import Encoder
from ptr_models.networks.pixels import PublishedInput
from ptr_models.networks.published import load_published
from ptr_models.training.config import TrainingConfig

LOGGER = logging.getLogger(__name__)
CARD = "representation"
"""Key of a checkpoint's card."""


def second_objective(config: TrainingConfig) -> TrainingConfig:
    """The configuration of fine-tuning: `algorithm.then` in the place of `algorithm.name`, where there is one."""
    if not config.algorithm.then:
        return config
    return replace(config, algorithm=replace(config.algorithm, name=config.algorithm.then, then=""))


def first_objective(config: TrainingConfig) -> TrainingConfig:
    """The configuration of pre-training; with published weights it is that of fine-tuning, from the first update.

    The learning rate of a masked autoencoder gets the length of its schedule: all updates of the run, and at most those
    before the target data enter.
    """
    if config.networks.weights and config.algorithm.then:
        return replace(second_objective(config), schedule=replace(config.schedule, target_from=0))
    if config.algorithm.name == "masked_autoencoder" and not config.algorithm.masked.updates:
        schedule = config.schedule
        updates = min(schedule.steps, schedule.target_from or schedule.steps)
        masked = replace(config.algorithm.masked, updates=updates)
        return replace(config, algorithm=replace(config.algorithm, masked=masked))
    return config


def begin(algorithm: Algorithm, config: TrainingConfig) -> dict[str, Any]:
    """Load published weights where the configuration names a file, and say where the features come from.

    Backbones with published weights resize images to what they were trained on, 224 pixels; smaller ones lack detail.

    Returns:
        an entry for the checkpoint's card; empty for methods that learn features with the policy.
    Raises:
        WeightsError: the file cannot be read or does not fit the backbone.
    """
    if not config.networks.weights:
        return {CARD: {"source": "videos", "objective": config.algorithm.name}} if config.algorithm.then else {}
    found = (getattr(module, "encoder", None) for module in algorithm.modules.values())
    encoders = [encoder for encoder in found if isinstance(encoder, Encoder)]
    loaded = [load_published(encoder.backbone, config.networks.weights) for encoder in encoders]
    given, prepare = config.networks.image_size, getattr(encoders[0].backbone, "prepare", None)
    if isinstance(prepare, PublishedInput) and given < (wanted := prepare.size):
        LOGGER.warning(
            "images of %d pixels are enlarged to the %d of the published weights and lack their detail; for a fair "
            "comparison take bags whose contract has images of %d pixels",
            given,
            wanted,
            wanted,
        )
    return {CARD: {"source": "published weights", "pixels": given, **dataclasses.asdict(loaded[0])}}


def describe(card: Mapping[str, Any]) -> str:
    """One sentence about a checkpoint's features; empty where the method learns them with the policy."""
    entry = card.get(CARD)
    if entry is None:
        return ""
    if entry["source"] == "videos":
        return f"Visual features: trained on the pre-training videos of this project ({entry['objective']})."
    pixels = f", on images of {entry['pixels']} pixels" if "pixels" in entry else ""
    weights = f"{entry['layout']}'s published weights, {entry['file']}, SHA-256 {entry['sha256']}"
    return f"Visual features: {weights}{pixels}."
