# SPDX-License-Identifier: Apache-2.0
"""The four numbers to watch while a method trains, and how they look when all is well.

The ranges of PTR follow from rewards of -1 and 10 and a discount of 0.96: no return is below -25 or above 10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ptr_models.algorithms.config import ALGORITHMS


@dataclass(frozen=True)
class Watched:
    """A metric in the progress bar.

    Attributes:
        metric: its name in metrics.jsonl.   label: in the bar.
        healthy: what it does in a healthy run.
        low, high: a value outside is marked with an exclamation mark.
    """

    metric: str
    label: str
    healthy: str
    low: float = -math.inf
    high: float = math.inf

    def show(self, value: float) -> str:
        """`TD 0.52`, with a mark where the value is no healthy one."""
        return f"{self.label} {value:.3g}{'' if self.low <= value <= self.high else '!'}"


ERROR = Watched("actor_mse", "MSE", "error of the policy's mode to the data: falls, then levels off", 0.0, 0.5)
CRITIC = (
    Watched("bellman_error", "TD", "falls, then stays level; growing for thousands of updates: diverging", 0.0, 50.0),
    Watched(
        "cql_gap",
        "CQL",
        "begins between 6 and 7 from random weights, lower from a checkpoint; falls and may become negative",
        high=20.0,
    ),
    Watched("q_minus_return", "Q-R", "values minus returns of the data: near 0, never beyond 10", -10.0, 10.0),
)
WATCHED: dict[str, tuple[Watched, ...]] = {
    "ptr": (
        *CRITIC,
        Watched("entropy", "H", "settles at the target entropy: -7, or as many as there are dimensions that vary"),
        ERROR,
    ),
    "awr": (
        *CRITIC[1:],
        Watched("advantage_weight", "w", "settles; near its bound: raise algorithm.awr.beta"),
        ERROR,
    ),
    "bc": (Watched("actor_loss", "loss", "falls, then levels off"), ERROR),
    "autoregressive_bc": (
        Watched("actor_loss", "NLL", "begins at 7 log 100 = 32.2 nats and falls", high=40.0),
        Watched("bin_probability", "p", "mean probability of a demonstrated bin: rises from 0.01"),
        Watched("worst_dimension", "worst", "nats of the least certain dimension: falls"),
    ),
    "bet": (
        Watched("class_loss", "class", "focal loss: begins below log 24 = 3.2 and falls", high=4.0),
        Watched("class_accuracy", "acc", "rises; its limit is how predictable the demonstrators were"),
        Watched("offset_mse", "offset", "falls below the spread of the clusters"),
        ERROR,
    ),
    "time_contrastive": (
        Watched("contrastive_loss", "NCE", "falls, fast at first"),
        Watched("ordered", "ordered", "share of clips whose features lie in the order of time: rises towards 1"),
        Watched("feature_norm", "norm", "settles; growing without end: raise algorithm.contrastive.l2"),
    ),
    "masked_autoencoder": (
        Watched("reconstruction_loss", "pixels", "begins near 1, the variance of its targets, and falls", high=2.0),
    ),
    "icvf": (
        Watched("td_error", "TD", "rises with the values at first, then falls and stays level"),
        Watched("value", "V", "falls from about 0 and settles; never below -1 / (1 - discount)", low=-100.0, high=10.0),
        Watched("value_reached", "V at s+", "stays near 0, since nothing is left to do", low=-100.0, high=10.0),
        Watched("serves_intent", "A>=0", "share of steps that lead to their intent: between 0 and 1, not at an end"),
    ),
}
"""By algorithm: the first four that a run has are shown. Those of other packages have them in their class's `watched`,
or show the first four metrics that they report."""


def watched(algorithm: str, metrics: Mapping[str, float]) -> list[Watched]:
    """The numbers to show of a method, at most four, of those that it reports now."""
    known = WATCHED.get(algorithm) or _own_of(algorithm) or tuple(Watched(name, name, "falls") for name in metrics)
    return [item for item in known if item.metric in metrics][:4]


def _own_of(algorithm: str) -> tuple[Watched, ...]:
    """What the class of an algorithm of another package names."""
    return tuple(getattr(ALGORITHMS[algorithm], "watched", ())) if algorithm in ALGORITHMS else ()
