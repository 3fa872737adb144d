# SPDX-License-Identifier: Apache-2.0
"""Select episodes for a set, by their metadata or at random."""

from __future__ import annotations

import argparse
import operator
import random
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata

Item = TypeVar("Item")
PARTS = ("episode", "task")
"""What a split keeps together."""
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_SCORE = re.compile(rf"({'|'.join(_COMPARISONS)})\s*(\d+\.?\d*|\.\d+)")


@dataclass(frozen=True)
class ScoreRule:
    """A comparison with an episode's score, such as >0.5. An episode without a score never matches."""

    comparison: str
    value: float

    @classmethod
    def parse(cls, text: str) -> ScoreRule:
        """Type of an argument."""
        found = _SCORE.fullmatch(text.strip())
        if found is None or not 0.0 <= float(found[2]) <= 1.0:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a comparison with a score from 0 to 1; write e.g. '>0.5' or '<=0.9', in quotes"
            )
        return cls(found[1], float(found[2]))

    def fits(self, score: float | None) -> bool:
        """Whether a score passes."""
        return score is not None and _COMPARISONS[self.comparison](score, self.value)


def day(text: str) -> datetime:
    """Type of an argument: a date, or a date with a time, in this computer's time zone unless it names one."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a date; write 2026-03-31, or 2026-03-31T14:00 with a time"
        ) from None


def last_moment(text: str) -> datetime:
    """As `day`, but a date alone means the end of its day."""
    return day(text) + (timedelta(days=1, microseconds=-1) if re.fullmatch(r"[\d-]+", text) else timedelta())


@dataclass(frozen=True)
class Criteria:
    """Requirements for an episode; an empty field requires nothing."""

    tasks: Sequence[str] = ()
    outcomes: Sequence[str] = ()
    operators: Sequence[str] = ()
    kitchens: Sequence[str] = ()
    kinds: Sequence[str] = ()
    score: ScoreRule | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, episode: EpisodeMetadata) -> bool:
        """Whether an episode meets all of them."""
        named = (
            (self.tasks, episode.task),
            (self.outcomes, episode.outcome),
            (self.operators, episode.operator),
            (self.kitchens, episode.kitchen),
            (self.kinds, episode.kind),
        )
        if any(wanted and value not in wanted for wanted, value in named):
            return False
        if self.score is not None and not self.score.fits(episode.score):
            return False
        return self._begun_in_time(episode)

    def _begun_in_time(self, episode: EpisodeMetadata) -> bool:
        if self.since is None and self.until is None:
            return True
        begun = episode.begun_ns * 1e-9
        after = self.since is None or begun >= self.since.timestamp()
        return episode.begun_ns > 0 and after and (self.until is None or begun <= self.until.timestamp())


def split(
    items: Sequence[Item], share: float, seed: int, by: str, task_of: Callable[[Item], Hashable]
) -> tuple[list[Item], list[Item]]:
    """Split episodes at random, keeping their order. The same seed gives the same split.

    Args:
        share: of the first part.
        by: one of `PARTS`. episode: this share of each task's episodes goes into the first part. task: this share of
            the tasks does, each with all its episodes.
    Raises:
        EpisodeError: one part would be empty.
    """
    tasks = sorted({str(task_of(item)) for item in items})
    chance = random.Random(seed)
    first = set[int]()
    if by == "task":
        chosen = set(chance.sample(tasks, round(share * len(tasks))))
        first = {place for place, item in enumerate(items) if str(task_of(item)) in chosen}
    else:
        for task in tasks:
            places = [place for place, item in enumerate(items) if str(task_of(item)) == task]
            first |= set(chance.sample(places, round(share * len(places))))
    parts = (
        [item for place, item in enumerate(items) if place in first],
        [item for place, item in enumerate(items) if place not in first],
    )
    if not all(parts):
        of = f"{len(tasks)} tasks" if by == "task" else f"{len(items)} episodes of {len(tasks)} tasks"
        raise EpisodeError(f"a share of {share:g} of {of} leaves one part empty; give another --share or more episodes")
    return parts
