# SPDX-License-Identifier: Apache-2.0
"""Bags and replay caches say by checksum when they are not what was written."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.records import Chunk, DataEnd, Footer, Message
from mcap.stream_reader import CRCValidationError, StreamReader

from ptr_models.cli import main
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.messages import EXECUTED_TOPIC
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.recovery import recover
from ptr_models.replay.cache import open_episodes
from ptr_models.replay.dataset import Dataset
from ptr_models.replay.sampler import Sampler
from ptr_models.replay.store import Store


def bag_of(folder: Path) -> Path:
    return folder / f"{folder.name}.mcap"


def flip_a_bit_of_a_target(folder: Path) -> None:
    """Make another number of one commanded position, as a bad disk or cable does."""
    bag = bag_of(folder)
    content = bytearray(bag.read_bytes())
    with bag.open("rb") as file:
        data = [message.data for _, _, message in make_reader(file).iter_messages(EXECUTED_TOPIC)][6]
    number = next(
        place for place in range(12, len(data) - 8, 4) if 0.05 < abs(struct.unpack_from("<d", data, place)[0]) < 0.6
    )
    content[content.index(data) + number + 6] ^= 0x08
    bag.write_bytes(content)


def test_every_chunk_the_data_and_the_summary_have_a_checksum_that_an_independent_reader_accepts(
    make_episode: Callable[..., Path],
) -> None:
    with bag_of(make_episode(steps=40)).open("rb") as file:
        records = list(StreamReader(file, validate_crcs=True, emit_chunks=True).records)
        file.seek(0)
        messages = [record for record in StreamReader(file, validate_crcs=True).records if isinstance(record, Message)]
    assert all(record.uncompressed_crc for record in records if isinstance(record, Chunk))
    assert next(record for record in records if isinstance(record, DataEnd)).data_section_crc
    assert next(record for record in records if isinstance(record, Footer)).summary_crc
    assert len(messages) > 100


@pytest.mark.parametrize("read", [read_episode, inspect])
def test_a_bit_that_flipped_in_a_command_is_found(
    make_episode: Callable[..., Path], read: Callable[[Path], object]
) -> None:
    folder = make_episode()
    flip_a_bit_of_a_target(folder)
    with pytest.raises(EpisodeError, match="checksum"):
        read(folder)


@pytest.mark.parametrize("read", [read_episode, inspect])
def test_a_bit_that_flipped_in_the_index_is_found(
    make_episode: Callable[..., Path], read: Callable[[Path], object]
) -> None:
    folder = make_episode()
    content = bytearray(bag_of(folder).read_bytes())
    content[content.rindex(b"/arm/executed") + 5] ^= 1
    bag_of(folder).write_bytes(content)
    with pytest.raises(EpisodeError, match="checksum of the summary"):
        read(folder)


def test_recovery_leaves_out_a_chunk_with_a_wrong_checksum_and_says_so(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptr_models.episodes.storage.CHUNK_BYTES", 20_000)
    folder = make_episode(seed=1, steps=50)
    with bag_of(folder).open("rb") as file:
        chunks = [record for record in StreamReader(file, emit_chunks=True).records if isinstance(record, Chunk)]
    assert len(chunks) > 1
    content = bytearray(bag_of(folder).read_bytes())
    content[content.index(chunks[0].data) + len(chunks[0].data) // 2] ^= 1
    bag_of(folder).write_bytes(content)
    before = sum(1 for _ in StreamReader(bag_of(folder).open("rb"), validate_crcs=False).records)
    recovered = recover(folder)
    assert recovered.damaged_chunks == 1
    assert 0 < recovered.messages < before
    assert main(["recover", str(folder), "--out", str(folder.parent / "again")]) == 0
    assert "1 chunks with wrong checksums were left out" in capsys.readouterr().out


def test_the_independent_reader_finds_the_same_damage(make_episode: Callable[..., Path]) -> None:
    folder = make_episode()
    flip_a_bit_of_a_target(folder)
    with bag_of(folder).open("rb") as file, pytest.raises(CRCValidationError):
        list(StreamReader(file, validate_crcs=True).records)


def test_a_bag_without_checksums_is_read_as_before(make_episode: Callable[..., Path]) -> None:
    """Other programs, and this one before it wrote them, leave zeros."""
    folder = make_episode()
    before = read_episode(folder)
    content = bytearray(bag_of(folder).read_bytes())
    with bag_of(folder).open("rb") as file:
        for record in StreamReader(file, emit_chunks=True).records:
            if isinstance(record, Chunk):
                place = content.index(struct.pack("<QI", record.uncompressed_size, record.uncompressed_crc))
                content[place + 8 : place + 12] = bytes(4)
            elif isinstance(record, DataEnd):
                place = content.index(struct.pack("<BQI", 0x0F, 4, record.data_section_crc))
                content[place + 9 : place + 13] = bytes(4)
    content[-12:-8] = bytes(4)
    bag_of(folder).write_bytes(content)
    np.testing.assert_array_equal(read_episode(folder).actions, before.actions)
    assert inspect(folder).recommendation


@pytest.fixture
def cached(make_episode: Callable[..., Path], tmp_path: Path) -> Callable[[], Dataset]:
    """Open two episodes through a cache."""
    for seed in range(2):
        make_episode(seed)
    return lambda: open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)


def change(file: Path, place: int, values: bytes) -> None:
    content = bytearray(file.read_bytes())
    content[place : place + len(values)] = values
    file.write_bytes(content)


def test_noise_in_the_frames_of_a_cache_is_found_when_they_are_used(
    cached: Callable[[], Dataset], tmp_path: Path
) -> None:
    dataset = cached()
    folder = Store(tmp_path / "cache", Contract()).folder
    change(folder / "frames.bin", (int(dataset.starts[1]) + 3) * 64 * 64 * 3 + 77, b"\x12\x34\x56")
    dataset = cached()
    assert len(dataset.frames[dataset.starts[:1]]) == 1
    with pytest.raises(EpisodeError, match=r"replay cache .* is damaged \(the frames from row .*delete the folder"):
        dataset.frames[dataset.starts[1:]]
    with pytest.raises(EpisodeError, match="delete the folder"):
        Sampler(dataset, {"put_carrot_in_pot": 0}).sample(64)


@pytest.mark.parametrize("file", ["states.bin", "actions.bin"])
def test_an_episode_with_other_numbers_in_the_cache_is_read_again(
    cached: Callable[[], Dataset], tmp_path: Path, file: str
) -> None:
    before = cached()
    expected = [tuple(np.array(rows) for rows in before.episode(index)[1:]) for index in range(2)]
    change(Store(tmp_path / "cache", Contract()).folder / file, 4 * 7 * 5, struct.pack("<f", float("nan")))
    after = cached()
    for index, (states, actions) in enumerate(expected):
        assert np.isfinite(after.episode(index)[1]).all()
        np.testing.assert_array_equal(after.episode(index)[1], states)
        np.testing.assert_array_equal(after.episode(index)[2], actions)


@pytest.mark.parametrize(
    "damage", ["start = 0, steps = 0", "start = -5", "steps = 3", "start = 2", "task = NULL", "steps = 'many'"]
)
def test_an_index_that_says_nonsense_is_made_again(cached: Callable[[], Dataset], tmp_path: Path, damage: str) -> None:
    before = cached()
    index = Store(tmp_path / "cache", Contract()).folder / "index.sqlite"
    with closing(sqlite3.connect(index)) as connection:
        connection.execute(f"UPDATE bags SET {damage}")
        connection.commit()
    after = cached()
    assert list(after.lengths) == list(before.lengths) == [12, 12]
    np.testing.assert_array_equal(after.episode(1)[0], before.episode(1)[0])
