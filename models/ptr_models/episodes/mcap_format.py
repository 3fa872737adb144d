# SPDX-License-Identifier: Apache-2.0
"""The MCAP file format (https://mcap.dev/spec): records, the index at the end of a file, and its checksums.

Each chunk, the data section and the summary have a CRC32. A checksum of 0 means that there is none.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import lz4.frame

from ptr_models.input_limits import MAX_CHUNK_BYTES

try:
    from compression import zstd
except ImportError:  # before Python 3.14; rosbags depends on it
    import backports.zstd as zstd

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, DATA_END = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0F
RECORD = struct.Struct("<BQ")
"""Opcode and length, in front of each record."""
_CHUNK = struct.Struct("<QQQI")  # first and last arrival, uncompressed size, CRC
_CHUNK_CRC = RECORD.size + 24  # bytes from the start of a chunk's record to its CRC
_CRC = struct.Struct("<I")
_FOOTER_BYTES = RECORD.size + 20 + len(MAGIC)
_DATA_END_BYTES = RECORD.size + _CRC.size
_BLOCK = 2**20


class Index(NamedTuple):
    """The index at the end of a file.

    Attributes:
        channels: id to topic and type.
        chunks: (first arrival in ns, position in the file) of each, in the order of arrival.
    """

    channels: dict[int, tuple[str, str]]
    chunks: list[tuple[int, int]]


def read_index(content: memoryview) -> Index | None:
    """The index of an MCAP file; None without one.

    Raises:
        ValueError: it is not an MCAP file, is truncated, or the checksum of its summary is wrong.
    """
    summary = _summary(content)
    return _parse_index(summary) if len(summary) else None


def verify(content: memoryview) -> None:
    """Verify all checksums of a file except those of uncompressed chunks, which `unpack_chunk` verifies.

    Compressed chunks are unpacked once, with size limits, since rosbags' reader has none.

    Raises:
        ValueError: a checksum is wrong, a chunk is too large, or the file is truncated.
    """
    _summary(content)
    place = len(MAGIC)
    end = len(content) - _FOOTER_BYTES
    while place < end:
        opcode, length = RECORD.unpack_from(content, place)
        if place + RECORD.size + length > end:
            raise ValueError(f"a record reaches {place + RECORD.size + length - end} bytes too far")
        body = content[place + RECORD.size : place + RECORD.size + length]
        if opcode == CHUNK and (chunk_head(body)[2] or chunk_head(body)[0] > MAX_CHUNK_BYTES):
            unpack_chunk(body)
        elif opcode == DATA_END:
            (expected,) = _CRC.unpack_from(body)
            _compare("the data section", zlib.crc32(content[:place]), expected)
            return
        place += RECORD.size + length


def unpack_chunk(record: memoryview) -> memoryview:
    """The records of a chunk, with verified size and checksum.

    Args:
        record: the body of the chunk's record.
    Raises:
        ValueError: they are wrong, or the chunk is too large.
    """
    size, checksum, compression, packed = chunk_head(record)
    if size > MAX_CHUNK_BYTES:
        raise ValueError(f"a chunk holds {size} bytes; at most {MAX_CHUNK_BYTES} are read")
    data = _decompress(packed, compression, size)
    if len(data) != size:
        raise ValueError(f"a chunk holds {len(data)} bytes or more, not {size}")
    _compare("a chunk", zlib.crc32(data), checksum)
    return data


def _decompress(packed: memoryview, compression: str, size: int) -> memoryview:
    """Decompress at most `size` + 1 bytes."""
    if not compression:
        return packed
    if compression == "zstd":
        return memoryview(zstd.ZstdDecompressor().decompress(packed, max_length=size + 1))
    if compression == "lz4":
        return memoryview(lz4.frame.LZ4FrameDecompressor().decompress(packed, max_length=size + 1))
    raise ValueError(f"a chunk has the unknown compression {compression!r}")


def chunk_head(record: memoryview) -> tuple[int, int, str, memoryview]:
    """Uncompressed size, checksum, compression and stored bytes of a chunk."""
    _, _, size, checksum = _CHUNK.unpack_from(record)
    compression, place = string(record, _CHUNK.size)
    (stored,) = struct.unpack_from("<Q", record, place)
    return size, checksum, compression, record[place + 8 : place + 8 + stored]


def _summary(content: memoryview) -> memoryview:
    """The summary of a file; empty if it has none."""
    footer = content[max(0, len(content) - _FOOTER_BYTES) :]
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError("it does not start like an MCAP file")
    if footer[-len(MAGIC) :] != MAGIC or RECORD.unpack_from(footer) != (FOOTER, 20):
        raise ValueError("it does not end like an MCAP file")
    start, _, checksum = struct.unpack_from("<QQI", footer, RECORD.size)
    crc_place = len(content) - len(MAGIC) - _CRC.size
    _compare("the summary", zlib.crc32(content[start or len(content) - _FOOTER_BYTES : crc_place]), checksum)
    return content[start : len(content) - _FOOTER_BYTES] if start else content[:0]


def _compare(what: str, found: int, expected: int) -> None:
    if expected and found != expected:
        raise ValueError(f"the checksum of {what} is {found:08x}, not {expected:08x}")


def _parse_index(data: memoryview) -> Index | None:
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    chunks: list[tuple[int, int]] = []
    for opcode, record in records(data):
        if opcode == SCHEMA:
            (key,) = struct.unpack_from("<H", record)
            schemas[key] = string(record, 2)[0]
        elif opcode == CHANNEL:
            key, schema = struct.unpack_from("<HH", record)
            channels[key] = (string(record, 4)[0], schemas.get(schema, ""))
        elif opcode == CHUNK_INDEX:
            first, _, place, _ = struct.unpack_from("<QQQQ", record)
            chunks.append((first, place))
    return Index(channels, sorted(chunks)) if chunks and channels else None


def records(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Opcode and body of each record.

    Raises:
        ValueError: the last one is truncated.
    """
    place, end = 0, len(data)
    while place < end:
        opcode, length = RECORD.unpack_from(data, place)
        place += RECORD.size
        if place + length > end:
            raise ValueError(f"a record reaches {place + length - end} bytes too far")
        yield opcode, data[place : place + length]
        place += length


def string(record: memoryview, place: int) -> tuple[str, int]:
    """A string and the position after it.

    Raises:
        ValueError: it is truncated, or not UTF-8.
    """
    (length,) = struct.unpack_from("<I", record, place)
    if place + 4 + length > len(record):
        raise ValueError(f"a text of {length} bytes is cut off")
    return str(record[place + 4 : place + 4 + length], "utf-8"), place + 4 + length


def write_chunk_crc(file: BinaryIO, place: int, checksum: int) -> None:
    """Write the checksum of the chunk whose record starts at `place` in an open file; the file position is kept."""
    end = file.tell()
    file.seek(place + _CHUNK_CRC)
    file.write(_CRC.pack(checksum))
    file.seek(end)


def seal(path: Path) -> None:
    """Write the checksums of the data section and the summary into a complete file, which has zeros there."""
    with path.open("r+b") as file:
        file.seek(-_FOOTER_BYTES, 2)
        footer = file.tell()
        (start,) = struct.unpack_from("<Q", file.read(RECORD.size + 8), RECORD.size)
        data_end = start - _DATA_END_BYTES
        file.seek(0)
        data = 0
        while file.tell() < data_end:
            data = zlib.crc32(file.read(min(_BLOCK, data_end - file.tell())), data)
        if RECORD.unpack(file.read(RECORD.size)) != (DATA_END, _CRC.size):
            raise ValueError(f"{path} has no DataEnd record before its summary")
        file.write(_CRC.pack(data))
        file.seek(start)
        crc_place = footer + RECORD.size + 16
        summary = zlib.crc32(file.read(crc_place - start))
        file.seek(crc_place)
        file.write(_CRC.pack(summary))
