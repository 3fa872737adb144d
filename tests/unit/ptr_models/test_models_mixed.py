# SPDX-License-Identifier: Apache-2.0
"""Bags that two robots of one ROS domain were recorded into: found by the numbers of their publishers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.messages import METADATA_TOPIC
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.quality import DISCARD
from ptr_models.episodes.reader import read_episode, read_metadata
from ptr_models.episodes.recovery import Salvaged, salvage
from ptr_models.episodes.writer import BagWriter
from ptr_models.replay.cache import open_episodes

SHARED = ("/episode/event", "/teleop/command")
Numbered = tuple[Salvaged, int]


@pytest.fixture
def written(make_episode: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A bag with the messages of an episode of 40 steps (8 s), numbered by a function of theirs."""

    def make(numbered: Callable[[list[Salvaged]], Iterator[Numbered]]) -> Path:
        source = make_episode(root=tmp_path / "source", steps=40)
        found = salvage((source / f"{source.name}.mcap").read_bytes())
        items = sorted((item for item in found if item.topic != METADATA_TOPIC), key=lambda item: item.arrival)
        metadata = EpisodeMetadata("bag", read_metadata(source).task, outcome="success")
        with BagWriter(tmp_path / "bags", metadata) as writer:
            for item, number in numbered(items):
                writer.write(item.topic, item.type_name, item.arrival, item.cdr, 0, number)
        return tmp_path / "bags" / "bag"

    return make


def by_publishers(starts: tuple[int, ...]) -> Callable[[list[Salvaged]], Iterator[Numbered]]:
    """Each message of a robot is followed by the same one of the next: publishers that began at these numbers."""

    def numbered(items: list[Salvaged]) -> Iterator[Numbered]:
        counts: Counter[str] = Counter()
        for item in items:
            counts[item.topic] += 1
            for start in starts if item.topic not in SHARED else starts[:1]:
                yield item, start + counts[item.topic]

    return numbered


@pytest.mark.parametrize("starts", [(1000, 20), (20, 1000), (0, 0), (0, 1)])
def test_a_bag_of_two_robots_is_better_discarded_and_left_out_of_training(
    written: Callable[..., Path], tmp_path: Path, make_episode: Callable[..., Path], starts: tuple[int, int]
) -> None:
    folder = written(by_publishers(starts))
    with pytest.raises(EpisodeError, match=r"messages of /\S+ are not numbered higher .* mixes two publishers"):
        read_episode(folder)
    report = inspect(folder)
    assert report.recommendation == DISCARD
    assert "so it mixes two publishers (two robots)" in report.findings[0]
    make_episode(5, root=tmp_path / "bags")
    dataset = open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)
    assert [Path(path).name for path in dataset.paths] == ["episode_0005"]
    assert "two publishers" in dataset.left_out[0].reason


def begun_again(items: list[Salvaged]) -> Iterator[Numbered]:
    """Two restarts of each publisher, and each seventh message lost."""
    counts: Counter[str] = Counter()
    for place, item in enumerate(items):
        if place in (len(items) // 3, len(items) // 2):
            counts.clear()
        counts[item.topic] += 1 if place % 7 else 2
        yield item, counts[item.topic]


@pytest.mark.parametrize(
    "numbered",
    [
        by_publishers((0,)),
        begun_again,
        lambda items: ((item, 0) for item in items),
        lambda items: ((item, 2**64 - 1) for item in items),
        lambda items: ((item, 1) for item in items),
    ],
    ids=["one", "begun again", "unknown", "unknown to the middleware", "always the same"],
)
def test_a_bag_of_one_robot_is_not_taken_for_two(
    written: Callable[..., Path], numbered: Callable[[list[Salvaged]], Iterator[Numbered]]
) -> None:
    folder = written(numbered)
    assert len(read_episode(folder)) == 40
    assert "publishers" not in " ".join(inspect(folder).findings)
