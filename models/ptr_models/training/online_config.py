# SPDX-License-Identifier: Apache-2.0
"""Options of online improvement, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OnlineConfig:
    """How `ptr train online` uses new trials. The defaults are those of the original PTR code.

    Attributes:
        mix: fraction of online transitions in a batch; the rest is drawn as in fine-tuning.
        updates_per_transition: updates for each step of a new trial.
        min_transitions: updates start when there are more online transitions than this.
        capacity: online transitions; older trials are no longer sampled.
        only_success: sample only successful trials.
        keep: number of newest checkpoints to keep, at least 1.
    """

    mix: float = 0.5
    updates_per_transition: float = 1.0
    min_transitions: int = 1000
    capacity: int = 500_000
    only_success: bool = False
    keep: int = 3

    def __post_init__(self) -> None:
        if not 0.0 < self.mix <= 1.0:
            raise ValueError(f"mix is {self.mix}; it must be above 0 and at most 1")
        if self.updates_per_transition < 0 or self.capacity < 1 or self.keep < 1 or self.min_transitions < 0:
            raise ValueError("updates_per_transition and min_transitions must not be negative, capacity and keep not 0")
