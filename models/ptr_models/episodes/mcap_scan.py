# SPDX-License-Identifier: Apache-2.0
"""Scan the messages of a bag fast, without copying them.

It maps the file into memory, reads the index at its end (https://mcap.dev/spec), and walks through the chunks. Images
that no control step uses are not even copied. The result equals that of `bag.messages`, which uses rosbags and also
handles files without an index.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ptr_models.episodes.bag import damaged, find_bag, messages, open_bag
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_format import CHUNK, MESSAGE, RECORD, Index, read_index, unpack_chunk
from ptr_models.episodes.messages import ARM_STATE, EXECUTED_COMMAND, IMAGE, JOINT_STATE, has_header, header_stamp

MAX_BACKWARD = 0.1
"""s by which a stamp may precede one that was written earlier; messages overtake each other by less."""
_IN_ORDER = (ARM_STATE, EXECUTED_COMMAND, IMAGE)
"""Types with increasing stamps. An event's stamp is when it happened; it may be published later."""
_ONE_PUBLISHER = (*_IN_ORDER, JOINT_STATE)
"""Types for which a robot has one publisher per topic."""
_NOT_KNOWN = (0, 2**32 - 1)
"""Sequence numbers that mean: not known by the recorder or its middleware."""
MIXED_SHARE, MIXED_MIN = 0.02, 5
"""Allowed share and number of messages with a sequence number not higher than the previous one. A publisher counts up,
and starts again after a restart. With two alternating publishers, every message of the lower-numbered one counts."""
_MESSAGE = struct.Struct("<BQHIQQ")


class Raw(NamedTuple):
    """An undecoded message.

    Attributes:
        stamp, arrival: ns; the stamp is the header's, else the arrival.
        data: CDR bytes.
        sequence: its publisher's number; 0: not known.
    """

    stamp: int
    arrival: int
    data: memoryview | bytes
    sequence: int = 0


def scan(path: Path | str, topics: Iterable[str]) -> dict[str, tuple[str, list[Raw]]]:
    """All messages of some topics.

    Args:
        path: an episode's folder, or its bag.
    Returns:
        For each topic its type and its messages in the order of arrival; topics that were not recorded are absent.
    Raises:
        EpisodeError: the bag is missing, truncated or damaged, or `order_problem` finds something.
    """
    found = _as_written(path, topics)
    problem = _order_problem(found)
    if problem:
        raise EpisodeError(f"{find_bag(path)}: {problem}")
    for _, raws in found.values():
        raws.sort(key=lambda raw: raw.arrival)
    return found


def order_problem(path: Path | str, topics: Iterable[str]) -> str:
    """One sentence if the messages of a bag are out of order; otherwise empty.

    Either the clock jumped back during the recording, so that sorting by stamps would mix the times before and after.
    Or one topic had two publishers (two robots), whose messages are interleaved. Errors as in `scan`.
    """
    return _order_problem(_as_written(path, topics))


def _order_problem(found: Mapping[str, tuple[str, list[Raw]]]) -> str:
    return _clock_problem(found) or _mixed_problem(found)


def _mixed_problem(found: Mapping[str, tuple[str, list[Raw]]]) -> str:
    for topic, (kind, raws) in sorted(found.items()):
        numbers = np.array([raw.sequence for raw in raws if raw.sequence not in _NOT_KNOWN])
        if kind not in _ONE_PUBLISHER or len(set(numbers)) < 2:  # a constant number means nothing
            continue
        repeated = int((np.diff(numbers) <= 0).sum())
        if repeated > max(MIXED_MIN, MIXED_SHARE * len(numbers)):
            return (
                f"{repeated} of {len(numbers)} messages of {topic} are not numbered higher than the previous one, so "
                "it mixes two publishers (two robots); leave it out"
            )
    return ""


def _clock_problem(found: Mapping[str, tuple[str, list[Raw]]]) -> str:
    for topic, (kind, raws) in sorted(found.items()):
        orders = [[raw.arrival for raw in raws]]
        if kind in _IN_ORDER:
            orders.append([raw.stamp for raw in raws])
        for values in orders:
            if len(values) < 2:
                continue
            back = np.maximum.accumulate(values) - np.array(values)
            if back.max() > MAX_BACKWARD * 1e9:
                return (
                    f"the clock jumped back by {back.max() * 1e-9:.2f} s while {topic} was recorded, so its messages "
                    "are not in the order of their stamps; leave it out"
                )
    return ""


def _as_written(path: Path | str, topics: Iterable[str]) -> dict[str, tuple[str, list[Raw]]]:
    """As `scan`, in the order in which the messages were written."""
    bag, wanted = find_bag(path), set(topics)
    try:
        with bag.open("rb") as file:
            content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        index = read_index(content)
        if index is not None:
            return _scan(content, index, wanted)
    except Exception as error:  # damage causes errors of many kinds: struct, unicode, value, memory, ...
        raise damaged(bag, error) from error
    found: dict[str, tuple[str, list[Raw]]] = {}
    with open_bag(bag) as reader:
        for topic, kind, stamp, arrival, data in messages(reader, wanted):
            found.setdefault(topic, (kind, []))[1].append(Raw(stamp, arrival, data))
    return found


def _scan(content: memoryview, index: Index, wanted: set[str]) -> dict[str, tuple[str, list[Raw]]]:
    found: dict[str, tuple[str, list[Raw]]] = {}
    lists: dict[int, tuple[list[Raw], bool]] = {}
    for key, (topic, kind) in index.channels.items():
        if topic in wanted:
            lists[key] = (found.setdefault(topic, (kind, []))[1], has_header(kind))
    for place in sorted(place for _, place in index.chunks):
        _scan_chunk(_chunk(content, place), lists)
    return found


def _chunk(content: memoryview, place: int) -> memoryview:
    """The records of a chunk, verified against its size and, if it has one, its checksum."""
    opcode, length = RECORD.unpack_from(content, place)
    record = content[place + RECORD.size : place + RECORD.size + length]
    if opcode != CHUNK or len(record) != length:
        raise ValueError(f"there is no complete chunk at byte {place}")
    return unpack_chunk(record)


def _scan_chunk(data: memoryview, lists: dict[int, tuple[list[Raw], bool]]) -> None:
    """Append the messages of a chunk to the lists of their channels."""
    place, end, head = 0, len(data), _MESSAGE.size
    while place + head <= end:
        opcode, length, channel, sequence, arrival, _ = _MESSAGE.unpack_from(data, place)
        if opcode == MESSAGE and channel in lists:
            raws, headed = lists[channel]
            message = data[place + head : place + RECORD.size + length]
            raws.append(Raw((header_stamp(message) if headed else 0) or arrival, arrival, message, sequence))
        place += RECORD.size + length
    if place > end:
        raise ValueError(f"a record reaches {place - end} bytes beyond its chunk")
