# SPDX-License-Identifier: Apache-2.0
"""What an import does with each record of a data set: stable names, and an account."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import google_crc32c

from ptr_models.common.guidance import AGAIN
from ptr_models.common.plain_text import plain
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.writer import PARTIAL

_SHARD = re.compile(r"(?P<split>[A-Za-z0-9_]+)\.tfrecord-(?P<shard>\d+)-of-\d+")


@dataclass(frozen=True)
class LeftOut:
    """A record that did not become a bag: its file and number, and why; without a number, the rest of the file.

    `place` is its name in the report, if the file's name is not specific enough.
    """

    file: Path
    number: int | None
    reason: str
    place: str = ""

    def __str__(self) -> str:
        if self.place:
            return f"{self.place}: {self.reason}"
        where = "the rest" if self.number is None else f"record {self.number}"
        return f"{self.file.name}, {where}: {self.reason}"


@dataclass
class Imported:
    """What became of the records of a data set: bags that were written, bags that existed, and what was left out.

    `notes` are printed once, after the counts.
    """

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def bags(self) -> list[Path]:
        """Folders of all episodes, sorted."""
        return sorted({*self.written, *self.kept})

    def account(self, limit: int = 20) -> str:
        """Counts, and why records were left out: the first of them, and how many more there are."""
        lines = [f"{len(self.written)} written, {len(self.kept)} kept, {len(self.left_out)} left out"]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  {item}" for item in self.left_out[:limit]]
        more = Counter(item.reason for item in self.left_out[limit:])
        lines += [f"  {count} more: {reason}" for reason, count in more.most_common(limit)]
        return "\n".join(lines)


def tell_account(made: Imported) -> None:
    """Before an error is raised, print what became of the records, if anything did."""
    if made.written or made.kept or made.left_out:
        print(f"so far: {plain(made.account(), newlines=True)}; {AGAIN}", file=sys.stderr)


def record_name(prefix: str, file: Path, number: int, record: bytes) -> str:
    """The name of a record's bag: split, shard and number, and the CRC-32C of the record.

    It depends neither on other files nor on where they are stored; the checksum distinguishes data sets whose files
    have the same names.
    """
    found = _SHARD.search(file.name)
    place = f"{found['split']}_{found['shard']}" if found else re.sub(r"[^A-Za-z0-9]+", "_", file.name.split(".")[0])
    return f"{prefix}_{place[-60:]}_{number:05d}_{google_crc32c.value(record):08x}"


def is_there(folder: Path, contract: Contract, further: Sequence[str] = ()) -> bool:
    """Whether a bag was written before; remains of an interrupted import are removed.

    Args:
        further: cameras that it may have in addition to those of the contract.
    Raises:
        EpisodeError: it exists, but follows another contract.
    """
    shutil.rmtree(folder.with_name(folder.name + PARTIAL), ignore_errors=True)
    if not folder.is_dir():
        return False
    recorded = read_metadata(folder).contract
    required = [camera.name for camera in recorded.cameras if camera.name not in further]
    differences = contract.differences(recorded.with_cameras(required) if further else recorded)
    if differences:
        raise EpisodeError(
            f"{folder} was imported with another contract ({differences[0]}); give another folder with --out"
        )
    return True
