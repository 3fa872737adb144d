# SPDX-License-Identifier: Apache-2.0
"""Bags that were recorded while the computer's clock jumped: found, bounded, and left out of training."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.messages import EPISODE_EVENT, EVENT_TOPIC, METADATA_TOPIC, has_header, typestore
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.quality import DISCARD
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata
from ptr_models.episodes.recovery import Salvaged, salvage
from ptr_models.episodes.streams import CLOCK_JUMPED
from ptr_models.episodes.writer import BagWriter
from ptr_models.replay.cache import open_episodes

SECOND = 10**9
YEAR = 365 * 24 * 3600 * SECOND


def moved(item: Salvaged, offset: int) -> Salvaged:
    """A message as it would be with another clock."""
    cdr = bytearray(item.cdr)
    if has_header(item.type_name):
        seconds, nanoseconds = struct.unpack_from("<iI", cdr, 4)
        struct.pack_into("<iI", cdr, 4, *divmod(seconds * SECOND + nanoseconds + offset, SECOND))
    return Salvaged(item.topic, item.type_name, item.arrival + offset, bytes(cdr))


def messages_of(folder: Path) -> list[Salvaged]:
    """All messages but the metadata, as they were written."""
    found = salvage((folder / f"{folder.name}.mcap").read_bytes())
    return [item for item in found if item.topic != METADATA_TOPIC]


@pytest.fixture
def jumped(make_episode: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """A bag of 40 steps (8 s) in which the clock jumps by some ns at half time."""

    def make(offset: int) -> Path:
        source = make_episode(root=tmp_path / "source", steps=40)
        metadata = read_metadata(source)
        items = messages_of(source)
        items.sort(key=lambda item: item.arrival)
        middle = items[0].arrival + 4 * SECOND
        with BagWriter(tmp_path / "bags", EpisodeMetadata("jumped", metadata.task, outcome="success")) as writer:
            for item in items:
                it = moved(item, offset if item.arrival >= middle else 0)
                writer.write(it.topic, it.type_name, it.arrival, it.cdr)
        return tmp_path / "bags" / "jumped"

    return make


def test_an_episode_whose_clock_stood_well_is_kept(jumped: Callable[..., Path]) -> None:
    folder = jumped(0)
    assert len(read_episode(folder)) == 40
    assert not inspect(folder).problem


def test_a_clock_that_went_back_is_named_and_the_episode_better_discarded(jumped: Callable[..., Path]) -> None:
    folder = jumped(-3 * SECOND // 2)
    with pytest.raises(EpisodeError, match=r"the clock jumped back by 1\.\d+ s while /\S+ was recorded"):
        read_episode(folder)
    report = inspect(folder)
    assert report.recommendation == DISCARD
    assert "the clock jumped back by 1." in report.findings[0]


def test_a_clock_that_jumped_ahead_by_a_year_makes_no_grid_of_a_year(jumped: Callable[..., Path]) -> None:
    folder = jumped(YEAR)
    with pytest.raises(EpisodeError, match=r"157\d{6} control steps, but /arm/executed has \d+ messages"):
        read_episode(folder)
    report = inspect(folder)
    assert report.recommendation == DISCARD
    assert "a clock has jumped" in report.findings[0]


def test_training_leaves_both_out_and_takes_the_others(
    jumped: Callable[..., Path], make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    jumped(-2 * SECOND)
    make_episode(5, root=tmp_path / "bags")
    dataset = open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)
    assert [Path(path).name for path in dataset.paths] == ["episode_0005"]
    assert "the clock jumped back by" in dataset.left_out[0].reason
    assert len(find_episodes([tmp_path / "bags"])) == 2


def test_an_event_of_the_recorder_about_its_clock_excludes_the_episode(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_episode(root=tmp_path / "source", steps=20)
    items = messages_of(source)
    kinds = typestore().types
    event = kinds[EPISODE_EVENT](
        header=kinds["std_msgs/msg/Header"](stamp=kinds["builtin_interfaces/msg/Time"](sec=1, nanosec=0), frame_id=""),
        episode_id="e",
        type=CLOCK_JUMPED,
        message="the system clock jumped by +0.15 s",
    )
    with BagWriter(tmp_path / "bags", EpisodeMetadata("e", "put_carrot_in_pot")) as writer:
        for item in items:
            writer.write(item.topic, item.type_name, item.arrival, item.cdr)
        writer.write(
            EVENT_TOPIC, EPISODE_EVENT, items[-1].arrival, bytes(typestore().serialize_cdr(event, EPISODE_EVENT))
        )
    with pytest.raises(EpisodeError, match="the clock jumped during the recording"):
        read_episode(tmp_path / "bags" / "e")
    report = inspect(tmp_path / "bags" / "e")
    assert report.recommendation == DISCARD
    assert "the system clock jumped by +0.15 s" in report.findings
