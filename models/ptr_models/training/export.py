# SPDX-License-Identifier: Apache-2.0
"""Smaller copies of checkpoints, for shipping."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ptr_models.training.checkpoint import load_algorithm, read_checkpoint, save_checkpoint


def export(path: Path, destination: Path, *, inference: bool = False, card: dict[str, Any] | None = None) -> Path:
    """Write a smaller copy of a checkpoint for shipping.

    Args:
        inference: weights only. Otherwise Adam's moments are kept as bfloat16, for fine-tuning.
        card: facts about its origin, added to the existing ones.
    """
    checkpoint = read_checkpoint(path)
    algorithm = load_algorithm(checkpoint)
    described = replace(checkpoint, card={**checkpoint.card, **(card or {})})
    return save_checkpoint(destination, algorithm, described, optimizer=not inference, compact=True, random=False)
