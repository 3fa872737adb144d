# SPDX-License-Identifier: Apache-2.0
"""The four metrics to watch while a method trains, and their values in a healthy run.

The ranges of PTR follow from rewards of -1 and 10 and a discount of 0.96: no return is below -25 or above 10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ptr_models.algorithms.config import ALGORITHMS


@dataclass(frozen=True)
class ProgressMetric:
    """A metric in the progress bar.

    Attributes:
        metric: its name in metrics.jsonl.   label: in the bar.
        healthy: how it behaves in a healthy run.
        low, high: a value outside is marked with an exclamation mark.
    """

    metric: str
    label: str
    healthy: str
    low: float = -math.inf
    high: float = math.inf

    def show(self, value: float) -> str:
        """`TD 0.52`, marked if the value is not healthy."""
        return f"{self.label} {value:.3g}{'' if self.low <= value <= self.high else '!'}"


ERROR = ProgressMetric("actor_mse", "MSE", "error of the policy's mode to the data: falls, then levels off", 0.0, 0.5)
CRITIC = (
    ProgressMetric(
        "bellman_error",
        "TD",
        "falls, then stays level; if it grows for thousands of updates, the run diverges",
        0.0,
        50.0,
    ),
    ProgressMetric(
        "cql_gap",
        "CQL",
        "starts between 6 and 7 from random weights, lower from a checkpoint; falls and may become negative",
        high=20.0,
    ),
    ProgressMetric("q_minus_return", "Q-R", "values minus returns of the data: near 0, never beyond 10", -10.0, 10.0),
)
PROGRESS_METRICS: dict[str, tuple[ProgressMetric, ...]] = {
    "ptr": (
        *CRITIC,
        ProgressMetric(
            "entropy", "H", "settles at the target entropy: -7, or minus the number of dimensions that vary"
        ),
        ERROR,
    ),
    "awr": (
        *CRITIC[1:],
        ProgressMetric("advantage_weight", "w", "settles; near its bound: raise algorithm.awr.beta"),
        ERROR,
    ),
    "bc": (ProgressMetric("actor_loss", "loss", "falls, then levels off"), ERROR),
    "autoregressive_bc": (
        ProgressMetric("actor_loss", "NLL", "starts at 7 log 100 = 32.2 nats and falls", high=40.0),
        ProgressMetric("bin_probability", "p", "mean probability of a demonstrated bin: rises from 0.01"),
        ProgressMetric("worst_dimension", "worst", "nats of the least certain dimension: falls"),
    ),
    "bet": (
        ProgressMetric("class_loss", "class", "focal loss: starts below log 24 = 3.2 and falls", high=4.0),
        ProgressMetric("class_accuracy", "acc", "rises; limited by how predictable the demonstrators were"),
        ProgressMetric("offset_mse", "offset", "falls below the spread of the clusters"),
        ERROR,
    ),
    "time_contrastive": (
        ProgressMetric("contrastive_loss", "NCE", "falls, fast at first"),
        ProgressMetric("ordered", "ordered", "share of clips whose features are in temporal order: rises toward 1"),
        ProgressMetric("feature_norm", "norm", "settles; if it keeps growing: raise algorithm.contrastive.l2"),
    ),
    "masked_autoencoder": (
        ProgressMetric(
            "reconstruction_loss", "pixels", "starts near 1, the variance of its targets, and falls", high=2.0
        ),
    ),
    "icvf": (
        ProgressMetric("td_error", "TD", "rises with the values at first, then falls and stays level"),
        ProgressMetric(
            "value", "V", "falls from about 0 and settles; never below -1 / (1 - discount)", low=-100.0, high=10.0
        ),
        ProgressMetric("value_reached", "V at s+", "stays near 0, since nothing is left to do", low=-100.0, high=10.0),
        ProgressMetric(
            "serves_intent", "A>=0", "share of steps that lead to their intent: between 0 and 1, at neither end"
        ),
    ),
}
"""By algorithm. The progress bar shows the first four that a run reports. An algorithm of another package names its own
in the class attribute `progress_metrics`; without it, the first four metrics that it reports are shown."""


def progress_metrics(algorithm: str, metrics: Mapping[str, float]) -> list[ProgressMetric]:
    """The metrics to show for a method: at most four, among those that it reports now."""
    known = (
        PROGRESS_METRICS.get(algorithm)
        or _own_of(algorithm)
        or tuple(ProgressMetric(name, name, "falls") for name in metrics)
    )
    return [item for item in known if item.metric in metrics][:4]


def _own_of(algorithm: str) -> tuple[ProgressMetric, ...]:
    """The attribute `progress_metrics` of an algorithm from another package."""
    return tuple(getattr(ALGORITHMS[algorithm], "progress_metrics", ())) if algorithm in ALGORITHMS else ()
