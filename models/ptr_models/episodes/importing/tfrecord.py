# SPDX-License-Identifier: Apache-2.0
"""TFRecord files and tf.train.Example messages, both ways and without TensorFlow. Strict: damage is an error."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from ptr_models.episodes.errors import EpisodeError
from ptr_models.input_limits import MAX_RECORD_BYTES

RECORD_OVERHEAD = 16
"""Bytes of a record in addition to its data: the length and two checksums."""

Feature = list[bytes] | NDArray[np.float32] | NDArray[np.int64]


def read_records(path: Path, damaged: Callable[[int | None, str], None] | None = None) -> Iterator[bytes | None]:
    """Records of a TFRecord file: length (uint64), CRC of the length, data, CRC of the data, little endian.

    Args:
        damaged: called with the number of each damaged record, in whose place None is yielded, and the reason; without
            a number it concerns the rest of the file. Not given: damage is an error.
    Raises:
        EpisodeError: the file is cut off, or a checksum is wrong.
    """

    def complain(number: int | None, where: str, reason: str) -> None:
        if damaged is None:
            raise EpisodeError(f"{where}: {reason}")
        damaged(number, reason)

    with path.open("rb") as file:
        number = 0
        while head := file.read(12):
            where = f"{path}, record {number}"
            if len(head) < 12:
                return complain(None, where, "the file is cut off in its length; copy the file again")
            length, check = struct.unpack("<QI", head)
            if check != masked_crc(head[:8]) or length > MAX_RECORD_BYTES:
                reason = f"the length {length} has a wrong checksum or is above {MAX_RECORD_BYTES}"
                return complain(None, where, f"{reason}; this is not an intact TFRecord file")
            data, tail = file.read(length), file.read(4)
            if len(data) < length or len(tail) < 4:
                reason = f"the file is cut off after {len(data)} of {length} bytes; copy it again"
                return complain(None, where, reason)
            sound = struct.unpack("<I", tail)[0] == masked_crc(data)
            if not sound:
                complain(number, where, f"its {length} bytes have a wrong checksum; copy the file again")
            yield data if sound else None
            number += 1


def frame_record(data: bytes) -> bytes:
    """A record as it is stored in a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and offset as TFRecord stores it."""
    crc = google_crc32c.value(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def parse_example(data: bytes) -> dict[str, Feature]:
    """Features of a serialized tf.train.Example: lists of bytes, float32 or int64 arrays.

    Raises:
        EpisodeError: the bytes are not an Example, or a feature occurs twice.
    """
    try:
        example = _example_class().FromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise EpisodeError(f"{len(data)} bytes are not a tf.train.Example ({error})") from error
    features: dict[str, Feature] = {}
    for entry in example.features.feature:
        if entry.key in features:
            raise EpisodeError(f"feature {entry.key} occurs twice")
        kind = entry.value.WhichOneof("kind")
        if kind == "bytes_list":
            features[entry.key] = list(entry.value.bytes_list.value)
        elif kind == "float_list":
            features[entry.key] = np.array(entry.value.float_list.value, dtype=np.float32)
        elif kind == "int64_list":
            features[entry.key] = np.array(entry.value.int64_list.value, dtype=np.int64)
    return features


def serialize_example(features: Mapping[str, Feature]) -> bytes:
    """A tf.train.Example of lists of bytes, float32 or int64 arrays."""
    example = _example_class()()
    for name in sorted(features):
        values, entry = features[name], example.features.feature.add(key=name)
        if isinstance(values, list):
            entry.value.bytes_list.value.extend(values)
        elif values.dtype == np.float32:
            entry.value.float_list.value.extend(values.ravel().tolist())
        else:
            entry.value.int64_list.value.extend(values.ravel().tolist())
    return example.SerializeToString()


@functools.lru_cache(maxsize=1)
def _example_class() -> Any:
    """The message class of tensorflow/core/example/example.proto (its map is a repeated entry)."""
    field = descriptor_pb2.FieldDescriptorProto
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    file = descriptor_pb2.FileDescriptorProto(name="ptr_example.proto", package="ptr", syntax="proto3")

    def message(name: str, *fields: tuple[str, int, int, int, str | None]) -> Any:
        descriptor = file.message_type.add(name=name)
        for title, number, kind, label, of in fields:
            descriptor.field.add(name=title, number=number, type=kind, label=label, type_name=of)
        return descriptor

    message("BytesList", ("value", 1, field.TYPE_BYTES, many, None))
    message("FloatList", ("value", 1, field.TYPE_FLOAT, many, None))
    message("Int64List", ("value", 1, field.TYPE_INT64, many, None))
    feature = message(
        "Feature",
        ("bytes_list", 1, field.TYPE_MESSAGE, one, ".ptr.BytesList"),
        ("float_list", 2, field.TYPE_MESSAGE, one, ".ptr.FloatList"),
        ("int64_list", 3, field.TYPE_MESSAGE, one, ".ptr.Int64List"),
    )
    feature.oneof_decl.add(name="kind")
    for item in feature.field:
        item.oneof_index = 0
    message(
        "Entry",
        ("key", 1, field.TYPE_STRING, one, None),
        ("value", 2, field.TYPE_MESSAGE, one, ".ptr.Feature"),
    )
    message("Features", ("feature", 1, field.TYPE_MESSAGE, many, ".ptr.Entry"))
    message("Example", ("features", 1, field.TYPE_MESSAGE, one, ".ptr.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("ptr.Example"))
