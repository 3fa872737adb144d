# SPDX-License-Identifier: Apache-2.0
"""Finds the best way of choosing actions for a checkpoint, with trials in scenes that no comparison uses.

Decoding is part of every method: the mode of a unimodal gripper may never close where a sample does. Each method gets
the decoding that succeeds most often in the same validation scenes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ptr_models.algorithms.config import CHOICES
from ptr_models.common.errors import PtrError
from ptr_models.common.plain_text import for_markup
from ptr_models.training.checkpoint import has_critic, read_checkpoint
from ptr_policy.bulk.evaluate import BulkTrial, evaluate
from ptr_policy.evaluation.statistics import wilson_interval

VALIDATION = "validation"
"""Purpose of the scenes; trials have other seeds."""


@dataclass(frozen=True)
class Decoding:
    """One way of choosing actions and its trials."""

    name: str
    trials: tuple[BulkTrial, ...]

    @property
    def successes(self) -> int:
        """Number of trials that succeeded."""
        return sum(trial.success for trial in self.trials)

    @property
    def steps(self) -> float | None:
        """Mean steps to success; None without any."""
        steps = [trial.steps for trial in self.trials if trial.success]
        return float(np.mean(steps)) if steps else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the success rate."""
        return wilson_interval(self.successes, len(self.trials))


def decodings_of(checkpoint: Any, wanted: Sequence[str] = ()) -> list[str]:
    """Names of the decodings that a checkpoint supports; those by Q need a Q-function.

    Args:
        checkpoint: folder.   wanted: names; empty: all.
    Raises:
        PtrError: a requested one is unknown, or needs a Q-function that the checkpoint lacks.
    """
    values = has_critic(read_checkpoint(checkpoint))
    known = [name for name in CHOICES if values or not name.endswith("_q")]
    for name in wanted:
        if name not in known:
            raise PtrError(f"decoding {name!r} is not possible with {checkpoint}; possible: {', '.join(known)}")
    return list(wanted) or known


def try_decodings(options: argparse.Namespace) -> list[Decoding]:
    """Run trials of every decoding in the same validation scenes."""
    found = []
    for name in decodings_of(options.checkpoint, options.decodings):
        settings = argparse.Namespace(**(vars(options) | {"choice": name}))
        found.append(Decoding(name, tuple(evaluate(settings, VALIDATION))))
    return found


def best_decoding(found: Sequence[Decoding]) -> Decoding:
    """The decoding with most successes; the first of equal ones."""
    return max(found, key=lambda item: item.successes)


def show(found: Sequence[Decoding]) -> None:
    """Print successes of each decoding with their intervals, and which one is the best."""
    table = Table("decoding", box=None, pad_edge=False)
    for heading in ("successes", "95 % interval", "steps"):
        table.add_column(heading, justify="right")
    for item in found:
        low, high = item.interval
        steps = "-" if item.steps is None else f"{item.steps:.1f}"
        share = f"{item.successes}/{len(item.trials)}"
        table.add_row(for_markup(item.name), share, f"{100 * low:.0f}-{100 * high:.0f} %", steps)
    Console().print(table)
    Console(highlight=False).print(f"best: {for_markup(best_decoding(found).name)}")


def report(checkpoint: Any, found: Sequence[Decoding]) -> dict[str, Any]:
    """All figures as JSON values."""
    entries = [
        {
            "decoding": item.name,
            "trials": len(item.trials),
            "successes": item.successes,
            "interval": list(item.interval),
            "steps": item.steps,
            "scenes": [trial.to_dict() for trial in item.trials],
        }
        for item in found
    ]
    return {"checkpoint": str(checkpoint), "best": best_decoding(found).name, "decodings": entries}
