# SPDX-License-Identifier: Apache-2.0
"""Open the bag of an episode and go through its messages."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rosbags.rosbag2 import Reader
from rosbags.rosbag2.storage_mcap import McapReader, decompress

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import has_header, header_stamp, typestore

_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")
_MESSAGE_OPCODE = 0x05
_CHUNK_HEADER = 9
"""Bytes of a record's opcode and length."""


class Raw(NamedTuple):
    """A message that is not decoded: source stamp (the header's, else the arrival's), arrival (ns), CDR bytes."""

    stamp: int
    arrival: int
    data: memoryview | bytes


def find_bag(path: Path | str) -> Path:
    """The MCAP file of an episode's folder (or the file itself).

    Raises:
        EpisodeError: there is no such path, the folder is empty, or holds none or several MCAP files.
    """
    path = Path(path)
    if path.is_file():
        return path
    if not path.is_dir():
        raise EpisodeError(f"{path} does not exist; give the folder of an episode")
    bags = sorted(path.glob("*.mcap"))
    if len(bags) == 1:
        return bags[0]
    if bags:
        raise EpisodeError(f"{path} holds {len(bags)} MCAP files; an episode has one")
    what = "holds no MCAP file" if any(path.iterdir()) else "is empty"
    raise EpisodeError(f"{path} {what}; give the folder of an episode, as the recorder writes it")


@contextmanager
def open_bag(path: Path | str) -> Iterator[Reader]:
    """Open an episode's bag.

    Raises:
        EpisodeError: there is none, or it was cut off or damaged.
    """
    bag = find_bag(path)
    try:
        reader = Reader(bag)
        reader.open()
    except Exception as error:  # damage shows itself in many kinds: struct, assertion, key, memory, ...
        raise _damaged(bag, error) from error
    try:
        yield reader
    finally:
        reader.close()


def _damaged(bag: Path, error: Exception) -> EpisodeError:
    reason = f"{type(error).__name__} {error}".strip().rstrip(".: ")
    return EpisodeError(f"{bag} is cut off or damaged ({reason}); `ptr recover {bag.parent}` saves what is readable")


def decode(raw: bytes | memoryview, type_name: str) -> Any:
    """A message object of CDR bytes.

    Raises:
        EpisodeError: the bytes are no such message.
    """
    try:
        return typestore().deserialize_cdr(raw, type_name)
    except Exception as error:
        raise EpisodeError(f"a message of type {type_name} ({len(raw)} bytes) is damaged") from error


def messages(reader: Reader, topics: Iterable[str] | None = None) -> Iterator[tuple[str, str, int, int, bytes]]:
    """Messages of a bag in the order of their arrival.

    Yields:
        topic, type, source stamp (the header's, else the arrival's; ns), arrival (ns), CDR bytes.
    Raises:
        EpisodeError: the bag is damaged in the middle.
    """
    wanted = None if topics is None else set(topics)
    connections = [item for item in reader.connections if wanted is None or item.topic in wanted]
    if not connections:
        return
    try:
        for connection, arrival, raw in reader.messages(connections):
            stamp = header_stamp(raw) if has_header(connection.msgtype) else arrival
            yield connection.topic, connection.msgtype, stamp or arrival, arrival, raw
    except Exception as error:
        raise _damaged(Path(str(reader.path)), error) from error


def scan(reader: Reader, topics: Iterable[str]) -> dict[str, tuple[str, list[Raw]]]:
    """All messages of some topics, as `messages` gives them but without copying, and several times as fast.

    Returns:
        Per topic its type and its messages in the order of their arrival; a topic that was not recorded is absent.
    Raises:
        EpisodeError: the bag is damaged in the middle.
    """
    wanted = set(topics)
    found = {item.topic: (item.msgtype, []) for item in reader.connections if item.topic in wanted}
    storage = reader.storage
    if not (isinstance(storage, McapReader) and storage.chunks):
        for topic, _, stamp, arrival, data in messages(reader, wanted):
            found[topic][1].append(Raw(stamp, arrival, data))
        return found
    lists = {
        item.id: (found[item.topic][1], has_header(item.msgtype)) for item in reader.connections if item.topic in wanted
    }
    try:
        for chunk in sorted(storage.chunks, key=lambda item: item.message_start_time):
            _scan_chunk(_chunk_bytes(storage, chunk), lists)
    except Exception as error:
        raise _damaged(Path(str(reader.path)), error) from error
    for _, raws in found.values():
        raws.sort(key=lambda raw: raw.arrival)
    return found


def _chunk_bytes(storage: McapReader, chunk: Any) -> memoryview:
    """The records of a chunk, verified against its size and checksum."""
    assert storage.bio is not None
    storage.bio.seek(chunk.chunk_start_offset + _CHUNK_HEADER + 24)
    (checksum,) = struct.unpack("<I", storage.bio.read(4))
    storage.bio.seek(chunk.chunk_start_offset + _CHUNK_HEADER + 40 + len(chunk.compression))
    stored = storage.bio.read(chunk.compressed_size)
    return memoryview(decompress(stored, chunk.compression, chunk.uncompressed_size, checksum))


def _scan_chunk(data: memoryview, lists: dict[int, tuple[list[Raw], bool]]) -> None:
    """Append the messages of a chunk to the lists of their channels."""
    place, end = 0, len(data)
    while place < end:
        opcode, length = _RECORD.unpack_from(data, place)
        place += _RECORD.size
        if opcode == _MESSAGE_OPCODE:
            channel, _, arrival, _ = _MESSAGE.unpack_from(data, place)
            if channel in lists:
                raws, headed = lists[channel]
                message = data[place + _MESSAGE.size : place + length]
                raws.append(Raw((header_stamp(message) if headed else 0) or arrival, arrival, message))
        place += length
    if place != end:
        raise ValueError(f"a record reaches {place - end} bytes beyond its chunk")
