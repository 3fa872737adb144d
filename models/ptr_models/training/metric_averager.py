# SPDX-License-Identifier: Apache-2.0
"""Means of metrics over an interval of updates and over all processes; an interval survives an interruption."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ptr_models.common.errors import PtrError
from ptr_models.training.distributed import Group


class TrainingError(PtrError):
    """Training cannot continue."""


class MetricAverager:
    """Sums and counts since the last report. They stay on the device until the next one."""

    def __init__(self, state: Mapping[str, Mapping[str, float]] | None = None, device: str = "cpu") -> None:
        """Args: state: result of `state`, to continue from."""
        state = state or {}
        sums = state.get("sums", {})
        self._sums = {name: torch.tensor(value, device=device) for name, value in sums.items()}
        self._counts = {name: int(count) for name, count in state.get("counts", {}).items()}

    @property
    def updates(self) -> int:
        """Updates since the last report."""
        return max(self._counts.values(), default=0)

    def add(self, metrics: Mapping[str, Tensor]) -> None:
        """Add the metrics of one update: 0-d tensors without gradient. An update may lack some metrics."""
        for name, value in metrics.items():
            self._sums[name] = self._sums[name] + value.float() if name in self._sums else value.float()
            self._counts[name] = self._counts.get(name, 0) + 1

    def compute_and_reset(self, group: Group) -> dict[str, float]:
        """The mean of each metric over updates and processes. Then a new interval starts."""
        names = sorted(self._sums)
        sums = self._collect(names, group)
        means = {name: total / self._counts[name] for name, total in zip(names, sums, strict=True)}
        self._sums, self._counts = {}, {}
        return means

    def state(self, group: Group) -> dict[str, dict[str, float]]:
        """Sums (averaged over processes) and counts, for JSON, which stores float32 exactly."""
        names = sorted(self._sums)
        sums = self._collect(names, group)
        return {"sums": dict(zip(names, sums, strict=True)), "counts": dict(self._counts)} if names else {}

    def _collect(self, names: list[str], group: Group) -> list[float]:
        if not names:
            return []
        together = torch.stack([self._sums[name] for name in names]).cpu()
        return group.mean(together).tolist()


def require_finite(metrics: Mapping[str, float], step: int) -> None:
    """Refuse to continue or save a run that has diverged.

    Args:
        metrics: means or sums, including losses and errors.   step: updates done.
    Raises:
        TrainingError: a loss or error is not finite.
    """
    for name, value in metrics.items():
        if name.endswith(("_loss", "_error")) and not math.isfinite(value):
            raise TrainingError(
                f"{name} is {value} before update {step}: the run has diverged; lower the learning rates and "
                "continue from an earlier checkpoint"
            )
