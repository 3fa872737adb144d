# SPDX-License-Identifier: Apache-2.0
"""Open the bag of an episode and iterate over its messages, with rosbags."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader

from ptr_models.common.errors import PtrError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_format import verify
from ptr_models.episodes.messages import has_header, header_stamp, typestore


def find_bag(path: Path | str) -> Path:
    """The MCAP file of an episode's folder (or the file itself).

    Raises:
        EpisodeError: the path does not exist, or the folder is empty or does not hold exactly one MCAP file.
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
def mapped(path: Path) -> Iterator[memoryview]:
    """The bytes of a file of any size, memory-mapped."""
    with path.open("rb") as file:
        if not path.stat().st_size:  # an empty file can't be mapped
            yield memoryview(b"")
            return
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield memoryview(content)
    finally:
        with suppress(BufferError):  # an exception in flight may still refer to it
            content.close()


@contextmanager
def open_bag(path: Path | str) -> Iterator[Reader]:
    """Open an episode's bag and verify its checksums.

    Raises:
        EpisodeError: the bag is missing, truncated or damaged.
    """
    bag = find_bag(path)
    try:
        with mapped(bag) as content:
            verify(content)
        reader = Reader(bag)
        reader.open()
    except Exception as error:  # damage causes errors of many kinds: struct, assertion, key, memory, ...
        raise damaged(bag, error) from error
    try:
        yield reader
    finally:
        reader.close()


def damaged(bag: Path, error: Exception) -> EpisodeError:
    """The error for a bag that cannot be read completely."""
    reason = f"{type(error).__name__} {error}".strip().rstrip(".: ")
    return EpisodeError(f"{bag} is cut off or damaged ({reason}); `ptr recover {bag.parent}` saves what is readable")


@contextmanager
def refusing(path: Path | str) -> Iterator[None]:
    """Turn any exception inside into an EpisodeError, so that one damaged bag never ends a run."""
    try:
        yield
    except PtrError:
        raise
    except Exception as error:  # overflows, types, recursion, memory, the disk, ...
        raise damaged(find_bag(path), error) from error


def decode(raw: bytes | memoryview, type_name: str) -> Any:
    """Decode CDR bytes to a message object.

    Raises:
        EpisodeError: the bytes are not a message of this type.
    """
    try:
        return typestore().deserialize_cdr(raw, type_name)
    except Exception as error:
        raise EpisodeError(f"a message of type {type_name} ({len(raw)} bytes) is damaged") from error


def messages(reader: Reader, topics: Iterable[str] | None = None) -> Iterator[tuple[str, str, int, int, bytes]]:
    """Messages of a bag in the order of arrival.

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
        raise damaged(Path(str(reader.path)), error) from error
