# SPDX-License-Identifier: Apache-2.0
"""`ptr recover`: make an episode from a bag that was damaged by a crash, a full disk or an incomplete copy.

The library `mcap` can't read such bags: its stream reader returns no message of a truncated chunk, and its
`breakup_chunk` returns a truncated message as if it were complete.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ptr_models.common import arguments
from ptr_models.common.guidance import next_step
from ptr_models.common.plain_text import plain
from ptr_models.contract import ContractError
from ptr_models.episodes.bag import mapped
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_format import (
    CHANNEL,
    CHUNK,
    DATA_END,
    MAGIC,
    MESSAGE,
    RECORD,
    SCHEMA,
    chunk_head,
    read_index,
    string,
)
from ptr_models.episodes.messages import METADATA_TOPIC
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import decode, find_bag
from ptr_models.episodes.writer import PARTIAL, BagWriter


@dataclass(frozen=True)
class Salvaged:
    """One message of a damaged bag: topic, type, arrival and publish time (ns), sequence number, CDR bytes."""

    topic: str
    type_name: str
    arrival: int
    cdr: bytes
    published: int = 0
    sequence: int = 0


def salvage(data: bytes | memoryview, left_out: Callable[[int], None] = lambda place: None) -> Iterator[Salvaged]:
    """The messages of an MCAP file from its start to the first invalid byte.

    The index at the end of the file is not needed. A truncated chunk yields its complete messages. A chunk with a wrong
    checksum yields none, since any of its values may be wrong. Chunks must be uncompressed, as written by the recorder.

    Args:
        data: the file.
        left_out: called for each chunk with a wrong checksum, with its position in the file.
    """
    if bytes(data[: len(MAGIC)]) != MAGIC:
        return
    schemas: dict[int, str] = {}
    channels = _channels_of_index(memoryview(data))
    try:
        for code, body in _records(data, len(MAGIC), left_out):
            if code == SCHEMA:
                schemas[struct.unpack_from("<H", body)[0]] = string(body, 2)[0]
            elif code == CHANNEL:
                number, schema = struct.unpack_from("<HH", body)
                channels[number] = (string(body, 4)[0], schemas[schema])
            elif code == MESSAGE:
                number, sequence, arrival, published = struct.unpack_from("<HIQQ", body)
                if number in channels:  # otherwise its channel was in an omitted chunk
                    yield Salvaged(*channels[number], arrival, bytes(body[22:]), published, sequence)
    except (struct.error, KeyError, ValueError):
        return


def _channels_of_index(view: memoryview) -> dict[int, tuple[str, str]]:
    """Topic and type by channel number, if the end of the file is intact."""
    try:
        index = read_index(view)
    except (struct.error, ValueError):
        return {}
    return {} if index is None else dict(index.channels)


def _records(
    data: bytes | memoryview, position: int, left_out: Callable[[int], None]
) -> Iterator[tuple[int, memoryview]]:
    """Opcode and body of each complete record, including those in chunks, up to the end of the data section."""
    view = memoryview(data)
    while position + RECORD.size <= len(view):
        code, length = RECORD.unpack_from(view, position)
        body = view[position + RECORD.size : position + RECORD.size + length]
        if code == DATA_END:
            return
        if code == CHUNK:
            size, checksum, compression, packed = chunk_head(body)
            if compression:
                raise EpisodeError(f"its chunks are compressed ({compression}); only uncompressed ones are recovered")
            if checksum and len(packed) == size and zlib.crc32(packed) != checksum:
                left_out(position)
            else:
                yield from _records(packed, 0, left_out)
        elif len(body) == length:
            yield code, body
        position += RECORD.size + length


class Recovered(NamedTuple):
    """The result of `recover`: the new episode's folder, its number of messages, and that of omitted damaged chunks."""

    folder: Path
    messages: int
    damaged_chunks: int


def recover(path: Path | str, out: Path | str | None = None) -> Recovered:
    """Write the readable part of a bag as a new episode `<id>_recovered`. The old folder does not change.

    The new episode is unlabelled, since its end may be missing.

    Args:
        path: folder of a damaged or `.partial` episode.
        out: folder for the new episode; by default the parent of `path`.
    Returns:
        The new episode's folder, its number of messages, and the number of omitted damaged chunks.
    Raises:
        EpisodeError: nothing useful is readable.
    """
    bag = find_bag(path)
    folder = bag.parent
    with mapped(bag) as data:
        damaged: list[int] = []
        metadata = _metadata(folder, [item for item in salvage(data, damaged.append) if item.topic == METADATA_TOPIC])
        arrivals = [item.arrival for item in salvage(data) if item.topic != METADATA_TOPIC]
        if not arrivals:
            raise EpisodeError(f"{bag} ({len(data)} bytes) holds no readable message; nothing can be recovered")
        fresh = dataclasses.replace(
            metadata,
            episode_id=f"{metadata.episode_id}_recovered",
            start_ns=min(arrivals),
            end_ns=max(arrivals),
            outcome="unlabelled",
            score=None,
            extra={**metadata.extra, "recovered_from": folder.name, "damaged_chunks": len(damaged)},
        )
        with BagWriter(out or folder.parent, fresh, durable=True) as writer:
            for item in salvage(data):
                if item.topic != METADATA_TOPIC:
                    writer.write(item.topic, item.type_name, item.arrival, item.cdr, item.published, item.sequence)
            return Recovered(writer.close(), len(arrivals), len(damaged))


def _metadata(folder: Path, messages: list[Salvaged]) -> EpisodeMetadata:
    """The newest intact metadata, next to the bag or in it."""
    texts = []
    for item in messages:
        with contextlib.suppress(EpisodeError):
            texts.append(decode(item.cdr, item.type_name).data)
    beside = folder / "episode.json"
    if beside.is_file():
        texts.append(beside.read_text(encoding="utf-8", errors="replace"))
    for text in reversed(texts):
        try:
            return EpisodeMetadata.from_json(text)
        except (EpisodeError, ContractError):
            continue
    raise EpisodeError(f"{folder} holds no readable metadata, neither in episode.json nor in its bag")


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr recover`."""
    parser = subparsers.add_parser(
        "recover",
        help="recover the readable part of a damaged bag",
        description=f"Write the readable part of a damaged or {PARTIAL} episode as a new episode, ID_recovered. "
        "The damaged folder does not change. The new episode is unlabelled, since its end may be missing.",
    )
    parser.add_argument(
        "episodes", nargs="+", type=arguments.existing, metavar="EPISODE", help="folder of the damaged episode"
    )
    parser.add_argument(
        "--out",
        type=arguments.output_folder,
        metavar="DIR",
        help="folder for the new episodes (default: next to the damaged one)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    saved = []
    for path in options.episodes:
        folder, count, damaged = recover(path, options.out)
        saved.append(folder)
        lost = f"; {damaged} chunks with wrong checksums were left out" if damaged else ""
        print(f"{plain(folder)}: {count} messages recovered from {plain(path)}{lost}")
    next_step("inspect", *saved, about="check whether training can use it, then judge it with ptr label")
    return 0
