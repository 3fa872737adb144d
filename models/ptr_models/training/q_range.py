# SPDX-License-Identifier: Apache-2.0
"""The range of Q at each step of a task's demonstrations: the reference for the policy server's alarm.

A checkpoint keeps it in `q_range.json`, one entry per task. `ptr_models.analysis.q_range` computes it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_models.json_input import parse_object


class QRangeError(PtrError, ValueError):
    """A range of Q is malformed."""


@dataclass(frozen=True)
class QRange:
    """Bounds of Q at each control step of a task.

    Attributes:
        low, high: (T,) bounds of the value of the actor's mode by the smallest critic; later steps use the last ones.
        demonstrations: number of demonstrations behind it.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    demonstrations: int

    def __post_init__(self) -> None:
        if not self.low or len(self.low) != len(self.high):
            raise QRangeError(f"a range of Q has {len(self.low)} lower and {len(self.high)} upper bounds; give pairs")
        pairs = zip(self.low, self.high, strict=True)
        if not all(-math.inf < low <= high < math.inf for low, high in pairs):
            raise QRangeError("a range of Q has bounds that are not finite, or a lower one above its upper one")

    def at(self, step: int) -> tuple[float, float]:
        """Lower and upper bound at a step, counted from 0."""
        place = min(max(step, 0), len(self.low) - 1)
        return self.low[place], self.high[place]


def to_json(ranges: Mapping[str, QRange]) -> str:
    """The content of `q_range.json`."""
    entries = {
        task: {"demonstrations": item.demonstrations, "low": item.low, "high": item.high}
        for task, item in sorted(ranges.items())
    }
    return json.dumps(entries, separators=(",", ":"))


def from_json(text: str) -> dict[str, QRange]:
    """Ranges by task.

    Raises:
        QRangeError: the text is not what `to_json` writes.
    """
    try:
        entries: dict[str, dict[str, Any]] = parse_object(text, "q_range.json", QRangeError)
        return {
            task: QRange(
                tuple(map(float, entry["low"])), tuple(map(float, entry["high"])), int(entry["demonstrations"])
            )
            for task, entry in entries.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise QRangeError(f"q_range.json is malformed ({error}); compute it again with ptr train q-range") from error
