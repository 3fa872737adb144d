# SPDX-License-Identifier: Apache-2.0
"""torch.compile for the image encoders, which are where the time of an update goes."""

from __future__ import annotations

from typing import Any

from ptr_models.algorithms import Algorithm
from ptr_models.networks.encoder import Encoder


def compile_encoders(algorithm: Algorithm, mode: str, **options: Any) -> int:
    """Compile all image encoders of an algorithm in place; weights, names and checkpoints stay as they are.

    Args:
        mode: of torch.compile; `reduce-overhead` replays CUDA graphs.
        options: further ones of torch.compile, e.g. its backend.
    Returns:
        how many there are; each is compiled by its first call.
    """
    encoders = [item for module in algorithm.modules.values() for item in module.modules() if isinstance(item, Encoder)]
    for encoder in encoders:
        encoder.compile(**({} if mode == "default" else {"mode": mode}), **options)
    return len(encoders)
