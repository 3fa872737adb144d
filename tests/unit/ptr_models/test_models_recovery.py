# SPDX-License-Identifier: Apache-2.0
"""Bags that were cut off: refused with the way out, and recovered up to the cut."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.exceptions import McapError
from mcap.stream_reader import StreamReader

from ptr_models.cli import main
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import open_bag, read_episode
from ptr_models.episodes.recovery import recover, salvage
from ptr_models.episodes.trajectory import write_episode


@pytest.fixture(scope="module")
def bag_bytes(tmp_path_factory: pytest.TempPathFactory, make_trajectory: Callable[..., Any]) -> Iterator[bytes]:
    root = tmp_path_factory.mktemp("whole")
    trajectory, _ = make_trajectory(steps=12)
    folder = write_episode(root, EpisodeMetadata("e", "t", outcome="success"), trajectory)
    yield (folder / "e.mcap").read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_bag_that_was_cut_off_is_refused_and_says_what_to_do(make_episode: Callable[..., Path], share: float) -> None:
    folder = make_episode()
    bag = folder / f"{folder.name}.mcap"
    bag.write_bytes(bag.read_bytes()[: int(share * bag.stat().st_size)])
    with pytest.raises(EpisodeError, match=r"cut off or damaged .*`ptr recover .*` saves what is readable"):
        read_episode(folder)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_cut_or_flipped_byte_gives_an_episode_error_or_an_episode(
    bag_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    damaged = bytearray(bag_bytes[: data.draw(st.integers(0, len(bag_bytes)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "e.mcap").write_bytes(damaged)
    (folder / "episode.json").write_text(EpisodeMetadata("e", "t").to_json())
    try:
        assert len(read_episode(folder)) >= 1
    except EpisodeError as error:
        assert str(folder) in str(error)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_salvage_never_fails_and_gives_a_prefix(bag_bytes: bytes, data: st.DataObject) -> None:
    whole = list(salvage(bag_bytes))
    cut = data.draw(st.integers(0, len(bag_bytes)))
    assert list(salvage(bag_bytes[:cut])) == whole[: len(list(salvage(bag_bytes[:cut])))]


def test_salvage_of_a_whole_bag_equals_an_independent_reader(bag_bytes: bytes, tmp_path: Path) -> None:
    records = [record for record in StreamReader(io.BytesIO(bag_bytes)).records if hasattr(record, "log_time")]
    assert [(item.arrival, item.cdr) for item in salvage(bag_bytes)] == [
        (record.log_time, record.data) for record in records
    ]


def test_recovery_keeps_the_damaged_folder_and_unlabels_the_episode(
    make_episode: Callable[..., Path],
) -> None:
    folder = make_episode(steps=12)
    bag = folder / f"{folder.name}.mcap"
    damaged = bag.read_bytes()[: bag.stat().st_size // 2]
    bag.write_bytes(damaged)
    recovered, count, _ = recover(folder)
    assert recovered.name == "episode_0000_recovered"
    assert bag.read_bytes() == damaged
    assert count > 10
    episode = read_episode(recovered)
    assert 2 <= len(episode) < 12
    assert episode.metadata.outcome == "unlabelled"
    assert episode.metadata.extra["recovered_from"] == "episode_0000"


def test_a_bag_with_nothing_readable_cannot_be_recovered(make_episode: Callable[..., Path]) -> None:
    folder = make_episode()
    (folder / f"{folder.name}.mcap").write_bytes(b"\x89MCAP0\r\n")
    with pytest.raises(EpisodeError, match="no readable message"):
        recover(folder)
    (folder / "episode.json").unlink()
    with pytest.raises(EpisodeError, match="no readable metadata"):
        recover(folder)


def test_ptr_recover_says_where_the_new_episode_is(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_episode()
    bag = folder / f"{folder.name}.mcap"
    bag.write_bytes(bag.read_bytes()[:-100])
    assert main(["recover", str(folder)]) == 0
    assert f"next: ptr inspect {folder}_recovered" in capsys.readouterr().out
    with open_bag(folder.with_name("episode_0000_recovered")) as reader:
        assert reader.message_count > 50


def test_the_independent_reader_agrees_that_a_cut_bag_is_broken(bag_bytes: bytes) -> None:
    with pytest.raises(McapError):
        list(StreamReader(io.BytesIO(bag_bytes[: len(bag_bytes) // 2])).records)
