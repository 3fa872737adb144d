# SPDX-License-Identifier: Apache-2.0
"""What exports of all formats share: which bags are exported, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_metadata

KINDS = ("demonstration", "trial")
"""Of the bags that are exported by default."""


@dataclass
class Exported:
    """What became of the bags: episodes and control steps in the data set, and why the other bags are left out."""

    episodes: int = 0
    steps: int = 0
    left_out: list[tuple[Path, str]] = field(default_factory=list)

    def account(self, limit: int = 20) -> str:
        """Counts, and the first reasons."""
        lines = [f"{self.episodes} episodes, {self.steps} steps, {len(self.left_out)} bags left out"]
        lines += [f"  {path.name}: {reason}" for path, reason in self.left_out[:limit]]
        if len(self.left_out) > limit:
            lines.append(f"  and {len(self.left_out) - limit} more")
        return "\n".join(lines)


def first_contract(bags: Iterable[Path | str]) -> tuple[Path, Contract]:
    """The first bag that can be read, and its contract without latencies, which all bags must share.

    Args:
        bags: at least one.
    Raises:
        PtrError: none can be read; the error of the first.
    """
    problem: PtrError | None = None
    for path in map(Path, bags):
        try:
            return path, read_metadata(path).contract.without_latencies()
        except PtrError as error:
            problem = problem or error
    assert problem is not None
    raise problem


def refusal_of(metadata: EpisodeMetadata, outcomes: Sequence[str], kinds: Sequence[str] = KINDS) -> str:
    """Why a bag is not exported; empty if it is."""
    if metadata.outcome not in outcomes:
        return f"its outcome is {metadata.outcome}; required: {', '.join(outcomes)}"
    if metadata.kind not in kinds:
        return f"it is {metadata.kind}; required: {', '.join(kinds)}"
    return ""


def size_refusal(sizes: object, first: object) -> str:
    """Why a bag with images of these sizes can't be combined with the first one; empty if it can."""
    return "" if sizes == first else f"its images have the sizes {sizes}, those of the first one {first}"
