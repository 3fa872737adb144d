# SPDX-License-Identifier: Apache-2.0
"""Go through the messages of a bag fast: no copies, and no descriptions of topics that nobody asks for.

Maps the file into memory, takes the index at its end (https://mcap.dev/spec), and walks through the chunks, so
that pictures that no control step uses are not even loaded. What it yields equals `bag.messages`, which goes
through rosbags and serves the files that have no index.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.rosbag2.storage_mcap import decompress

from ptr_models.episodes.bag import damaged, find_bag, messages, open_bag
from ptr_models.episodes.messages import has_header, header_stamp

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08
_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<BQHIQQ")
_CHUNK = struct.Struct("<QQQI")
_FOOTER_BYTES = _RECORD.size + 20 + len(MAGIC)


class Raw(NamedTuple):
    """A message that is not decoded: source stamp (the header's, else the arrival's), arrival (ns), CDR bytes."""

    stamp: int
    arrival: int
    data: memoryview | bytes


class Index(NamedTuple):
    """What the end of a file says about it.

    Attributes:
        channels: id to topic and type.
        chunks: (first arrival in ns, place in the file) of each, in the order of arrival.
    """

    channels: dict[int, tuple[str, str]]
    chunks: list[tuple[int, int]]


def scan(path: Path | str, topics: Iterable[str]) -> dict[str, tuple[str, list[Raw]]]:
    """All messages of some topics.

    Args:
        path: an episode's folder, or its bag.
    Returns:
        Per topic its type and its messages in the order of their arrival; a topic that was not recorded is absent.
    Raises:
        EpisodeError: there is no bag, or it is cut off or damaged.
    """
    bag, wanted = find_bag(path), set(topics)
    try:
        with bag.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        index = read_index(content)
        if index is not None:
            return _scan(content, index, wanted)
    except Exception as error:  # damage shows itself in many kinds: struct, unicode, value, memory, ...
        raise damaged(bag, error) from error
    found: dict[str, tuple[str, list[Raw]]] = {}
    with open_bag(bag) as reader:
        for topic, kind, stamp, arrival, data in messages(reader, wanted):
            found.setdefault(topic, (kind, []))[1].append(Raw(stamp, arrival, data))
    return found


def read_index(content: memoryview) -> Index | None:
    """The index of an MCAP file; None: it has none.

    Raises:
        ValueError: it is no MCAP file, or was cut off.
    """
    footer = content[max(0, len(content) - _FOOTER_BYTES) :]
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError("it does not begin as an MCAP file")
    if footer[-len(MAGIC) :] != MAGIC or _RECORD.unpack_from(footer) != (FOOTER, 20):
        raise ValueError("it does not end as an MCAP file")
    (start,) = struct.unpack_from("<Q", footer, _RECORD.size)
    return _parse_index(content[start : len(content) - _FOOTER_BYTES]) if start else None


def _parse_index(data: memoryview) -> Index | None:
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    chunks: list[tuple[int, int]] = []
    for opcode, record in _records(data):
        if opcode == SCHEMA:
            (key,) = struct.unpack_from("<H", record)
            schemas[key] = _string(record, 2)[0]
        elif opcode == CHANNEL:
            key, schema = struct.unpack_from("<HH", record)
            channels[key] = (_string(record, 4)[0], schemas.get(schema, ""))
        elif opcode == CHUNK_INDEX:
            first, _, place, _ = struct.unpack_from("<QQQQ", record)
            chunks.append((first, place))
    return Index(channels, sorted(chunks)) if chunks and channels else None


def _records(data: memoryview) -> Iterable[tuple[int, memoryview]]:
    place, end = 0, len(data)
    while place < end:
        opcode, length = _RECORD.unpack_from(data, place)
        place += _RECORD.size
        if place + length > end:
            raise ValueError(f"a record reaches {place + length - end} bytes too far")
        yield opcode, data[place : place + length]
        place += length


def _string(record: memoryview, place: int) -> tuple[str, int]:
    """A string and the place behind it."""
    (length,) = struct.unpack_from("<I", record, place)
    return str(record[place + 4 : place + 4 + length], "utf-8"), place + 4 + length


def _scan(content: memoryview, index: Index, wanted: set[str]) -> dict[str, tuple[str, list[Raw]]]:
    found: dict[str, tuple[str, list[Raw]]] = {}
    lists: dict[int, tuple[list[Raw], bool]] = {}
    for key, (topic, kind) in index.channels.items():
        if topic in wanted:
            lists[key] = (found.setdefault(topic, (kind, []))[1], has_header(kind))
    for _, place in index.chunks:
        _scan_chunk(_chunk(content, place), lists)
    for _, raws in found.values():
        raws.sort(key=lambda raw: raw.arrival)
    return found


def _chunk(content: memoryview, place: int) -> memoryview:
    """The records of a chunk, verified against its size and, if it has one, its checksum."""
    opcode, length = _RECORD.unpack_from(content, place)
    record = content[place + _RECORD.size : place + _RECORD.size + length]
    if opcode != CHUNK or len(record) != length:
        raise ValueError(f"there is no whole chunk at byte {place}")
    _, _, size, checksum = _CHUNK.unpack_from(record)
    compression, place = _string(record, _CHUNK.size)
    (stored,) = struct.unpack_from("<Q", record, place)
    packed: Any = record[place + 8 : place + 8 + stored]
    return memoryview(decompress(packed, compression, size, checksum))


def _scan_chunk(data: memoryview, lists: dict[int, tuple[list[Raw], bool]]) -> None:
    """Append the messages of a chunk to the lists of their channels."""
    place, end, head = 0, len(data), _MESSAGE.size
    while place + head <= end:
        opcode, length, channel, _, arrival, _ = _MESSAGE.unpack_from(data, place)
        if opcode == MESSAGE and channel in lists:
            raws, headed = lists[channel]
            message = data[place + head : place + _RECORD.size + length]
            raws.append(Raw((header_stamp(message) if headed else 0) or arrival, arrival, message))
        place += _RECORD.size + length
    if place > end:
        raise ValueError(f"a record reaches {place - end} bytes beyond its chunk")
