# SPDX-License-Identifier: Apache-2.0
"""A recording that is killed, or whose disk is full, loses at most its last second."""

from __future__ import annotations

import errno
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.messages import METADATA_TOPIC, STRING, typestore
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.recovery import recover, salvage
from ptr_models.episodes.storage import DiskSync
from ptr_models.episodes.writer import BagWriter

KILLS = 100
SECOND = 10**9
TEXT = typestore().types[STRING]


def test_a_hundred_kills_lose_no_more_than_the_last_second_of_each(tmp_path: Path) -> None:
    program = Path(__file__).with_name("killed_recordings.py")
    command = [sys.executable, str(program), str(tmp_path), str(KILLS), "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    killed = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(killed) == KILLS
    recovered = sum(_require_recovered(tmp_path / f"{item['id']}.partial", item) for item in killed)
    assert recovered > KILLS // 2  # those that lived longer than half a second have something to recover


def _require_recovered(partial: Path, killed: dict[str, Any]) -> bool:
    """Recover one; True when it held messages."""
    assert not partial.with_suffix("").exists()
    bags = list(partial.glob("*.mcap"))
    on_disk = [item for bag in bags for item in salvage(bag.read_bytes()) if item.topic != METADATA_TOPIC]
    if not on_disk:  # nothing of the first half second has reached the file yet
        written = killed["number"] + 1 if killed["arrival"] else 0
        assert written < 250, f"{written} messages are lost"
        return False
    folder, count, _ = recover(partial)
    with next(folder.glob("*.mcap")).open("rb") as file:
        messages = [(c.topic, m) for _, c, m in make_reader(file).iter_messages() if c.topic != METADATA_TOPIC]
    numbers = sorted(struct.unpack_from("<Q", message.data, 12)[0] for _, message in messages)
    assert numbers == list(range(count))  # no hole
    assert all(message.sequence == struct.unpack_from("<Q", message.data, 12)[0] + 1 for _, message in messages)
    assert killed["arrival"] - max(message.log_time for _, message in messages) <= SECOND
    report = inspect(folder)
    assert sum(stream.count for stream in report.streams) == count
    assert report.metadata.extra["recovered_from"] == partial.name
    return True


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may make a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_says_so_and_keeps_what_fitted(small_disk: Path, tmp_path: Path) -> None:
    writer = BagWriter(small_disk, EpisodeMetadata("e", "t"), durable=True)
    written = 0
    with pytest.raises(EpisodeError, match="e cannot be written to .*: the disk is full"):
        for written in range(100):
            writer.write_message("/note", TEXT(data="x" * 100_000), 10 + written)
    assert 30 <= written < 60
    with pytest.raises(EpisodeError, match="is closed"):
        writer.write_message("/note", TEXT(data="late"), 200)
    folder, count, _ = recover(small_disk / "e.partial", tmp_path)
    assert count >= written - 11  # a chunk of 1 MiB was on its way
    assert read_metadata(folder).outcome == "unlabelled"


def test_no_room_for_the_first_byte_is_one_sentence(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
        while True:
            filler.write(bytes(65536))
            filler.flush()
    with pytest.raises(EpisodeError, match="the disk is full"):
        with BagWriter(small_disk, EpisodeMetadata("e", "t")) as writer:
            writer.write_message("/note", TEXT(data="x" * 2_000_000), 10)


def test_a_disk_that_breaks_under_the_recorder_ends_the_episode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ptr_models.episodes import storage, writer

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(storage, "_to_disk", broken)
    monkeypatch.setattr(writer, "SYNC_SECONDS", 0.001)
    bag = BagWriter(tmp_path, EpisodeMetadata("e", "t"), durable=True)
    monkeypatch.setattr(writer, "FLUSH_SECONDS", 0.0)
    sync = bag._sync
    assert isinstance(sync, DiskSync)
    sync._thread.join(10.0)
    with pytest.raises(EpisodeError, match="Input/output error"):
        bag.write_message("/note", TEXT(data="x"), 10)
    data = (tmp_path / "e.partial" / "e.mcap").read_bytes()
    assert [item.arrival for item in salvage(data) if item.topic == "/note"] == [10]
