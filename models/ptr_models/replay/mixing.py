# SPDX-License-Identifier: Apache-2.0
"""Batches of prior and target data in a fixed proportion, as in PTR's second phase."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ptr_models.episodes.errors import EpisodeError
from ptr_models.replay.batch import ALL_ROWS


class AnySampler(Protocol):
    """A `Sampler`, `WindowSampler`, `ClipSampler` or `IntentSampler`; each returns its own kind of batch."""

    def sample(self, size: int, rows: slice = ALL_ROWS) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class MixingSampler:
    """Draws the prior rows, then the target rows, each from its own sampler."""

    def __init__(self, prior: AnySampler | None, target: AnySampler | None, fraction: float) -> None:
        """Args: fraction: share of prior rows in [0, 1], rounded down; the rest of a batch is target data."""
        if not 0.0 <= fraction <= 1.0:
            raise EpisodeError(f"the mixing fraction is {fraction}; it must be in [0, 1]")
        if (fraction > 0.0 and prior is None) or (fraction < 1.0 and target is None):
            raise EpisodeError(f"a mixing fraction of {fraction} needs {'prior' if prior is None else 'target'} data")
        self.prior = prior
        self.target = target
        self.fraction = fraction

    def split(self, size: int) -> tuple[int, int]:
        """Rows of prior and of target data in a batch of `size`."""
        rows = math.floor(size * self.fraction + 1e-9)
        return rows, size - rows

    def sample(self, size: int, rows: slice = ALL_ROWS) -> Any:
        """Draw a batch (prior rows, then target rows) and read the given rows."""
        prior, target = self.split(size)
        start, stop, _ = rows.indices(size)
        parts = [
            sampler.sample(count, slice(*np.clip([start - offset, stop - offset], 0, count)))
            for sampler, count, offset in ((self.prior, prior, 0), (self.target, target, prior))
            if sampler is not None and count
        ]
        return parts[0] if len(parts) == 1 else type(parts[0]).concatenate(*parts)

    def state_dict(self) -> dict[str, Any]:
        """States of both samplers, for JSON."""
        pairs = (("prior", self.prior), ("target", self.target))
        return {name: sampler.state_dict() for name, sampler in pairs if sampler is not None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of `state_dict`."""
        for name, sampler in (("prior", self.prior), ("target", self.target)):
            if sampler is not None and name in state:
                sampler.load_state_dict(state[name])
