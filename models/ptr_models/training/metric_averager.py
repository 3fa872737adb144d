# SPDX-License-Identifier: Apache-2.0
"""Means of metrics over an interval of updates, over all processes, and across an interruption."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ptr_models.common.errors import PtrError
from ptr_models.training.distributed import Group


class TrainingError(PtrError):
    """Training cannot go on."""


class MetricAverager:
    """Sums and counts since the last report; nothing leaves the device until then."""

    def __init__(self, state: Mapping[str, Mapping[str, float]] | None = None, device: str = "cpu") -> None:
        """Args: state: of `state`, to go on from."""
        state = state or {}
        sums = state.get("sums", {})
        self._sums = {name: torch.tensor(value, device=device) for name, value in sums.items()}
        self._counts = {name: int(count) for name, count in state.get("counts", {}).items()}

    @property
    def updates(self) -> int:
        """Updates since the last report."""
        return max(self._counts.values(), default=0)

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Take the metrics of one update, 0-d tensors without gradient; not each update need have all."""
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value.float() if name in self._sums else value.float()
            self._counts[name] = self._counts.get(name, 0) + 1

    def compute_and_reset(self, group: Group) -> dict[str, float]:
        """The mean of each metric over updates and processes; what is added from now on is a new interval."""
        names = sorted(self._sums)
        sums = self._collect(names, group)
        means = {name: total / self._counts[name] for name, total in zip(names, sums, strict=True)}
        self._sums, self._counts = {}, {}
        return means

    def state(self, group: Group) -> dict[str, dict[str, float]]:
        """Sums (their mean over processes) and counts, for JSON: float32 survives it to the bit."""
        names = sorted(self._sums)
        sums = self._collect(names, group)
        return {"sums": dict(zip(names, sums, strict=True)), "counts": dict(self._counts)} if names else {}

    def _collect(self, names: list[str], group: Group) -> list[float]:
        if not names:
            return []
        together = torch.stack([self._sums[name] for name in names]).cpu()
        return group.mean(together).tolist()


def require_finite(metrics: Mapping[str, float], step: int) -> None:
    """Refuse to go on with, or to save, what has diverged.

    Args:
        metrics: means or sums of losses and errors, among others.   step: updates done.
    Raises:
        TrainingError: one of the losses or errors is not finite.
    """
    for name, value in metrics.items():
        if name.endswith(("_loss", "_error")) and not math.isfinite(value):
            raise TrainingError(
                f"{name} is {value} before update {step}: the run has diverged; lower the learning rates and "
                "go on from an earlier checkpoint"
            )
