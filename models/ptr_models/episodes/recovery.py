# SPDX-License-Identifier: Apache-2.0
"""`ptr recover`: an episode of what a crash, a full disk or a cut-off copy left of a bag."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptr_models.contract import ContractError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import METADATA_TOPIC
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import decode, find_bag
from ptr_models.episodes.writer import PARTIAL, BagWriter

MAGIC = b"\x89MCAP0\r\n"
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F


@dataclass(frozen=True)
class Salvaged:
    """One message out of a damaged bag: topic, type, arrival and publish time (ns), sequence number, CDR bytes."""

    topic: str
    type_name: str
    arrival: int
    cdr: bytes
    published: int = 0
    sequence: int = 0


def salvage(data: bytes | memoryview) -> Iterator[Salvaged]:
    """The messages of an MCAP file from its start to the first byte that makes no sense.

    The index at the end of the file is not needed, and a chunk that was cut off gives the messages that are
    whole. Chunks must not be compressed, as the recorder writes them.

    Args:
        data: the file.
    """
    if bytes(data[: len(MAGIC)]) != MAGIC:
        return
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    try:
        for code, body in _records(data, len(MAGIC)):
            if code == _SCHEMA:
                schemas[struct.unpack_from("<H", body)[0]] = _text(body, 2)[0]
            elif code == _CHANNEL:
                number, schema = struct.unpack_from("<HH", body)
                channels[number] = (_text(body, 4)[0], schemas[schema])
            elif code == _MESSAGE:
                number, sequence, arrival, published = struct.unpack_from("<HIQQ", body)
                topic, type_name = channels[number]
                yield Salvaged(topic, type_name, arrival, bytes(body[22:]), published, sequence)
    except (struct.error, KeyError, UnicodeDecodeError):
        return


def _records(data: bytes | memoryview, position: int) -> Iterator[tuple[int, memoryview]]:
    """Opcode and body of each whole record, those inside of chunks too, until the end of the data section."""
    view = memoryview(data)
    while position + 9 <= len(view):
        code, length = struct.unpack_from("<BQ", view, position)
        body = view[position + 9 : position + 9 + length]
        if code == _DATA_END:
            return
        if code == _CHUNK:
            compression, start = _text(body, 28)
            if compression:
                raise EpisodeError(
                    f"its chunks are compressed ({compression}); only uncompressed ones are recovered"
                )
            yield from _records(body[start + 8 :], 0)
        elif len(body) == length:
            yield code, body
        position += 9 + length


def _text(body: memoryview, position: int) -> tuple[str, int]:
    """A length-prefixed string and the position after it."""
    (length,) = struct.unpack_from("<I", body, position)
    end = position + 4 + length
    if end > len(body):
        raise struct.error("string is cut off")
    return str(body[position + 4 : end], "utf-8"), end


def recover(path: Path | str, out: Path | str | None = None) -> tuple[Path, int]:
    """Write what is readable of a bag as a new episode `<id>_recovered`; the old folder stays as it is.

    The new episode is unlabelled, since its end may be missing.

    Args:
        path: folder of a damaged or `.partial` episode.
        out: folder for the new episode; by default the one that holds `path`.
    Returns:
        The new episode's folder, and how many messages it holds.
    Raises:
        EpisodeError: nothing of use is readable.
    """
    bag = find_bag(path)
    folder = bag.parent
    with _mapped(bag) as data:
        metadata = _metadata(folder, [item for item in salvage(data) if item.topic == METADATA_TOPIC])
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
            extra={**metadata.extra, "recovered_from": folder.name},
        )
        with BagWriter(out or folder.parent, fresh, durable=True) as writer:
            for item in salvage(data):
                if item.topic != METADATA_TOPIC:
                    writer.write(item.topic, item.type_name, item.arrival, item.cdr, item.published, item.sequence)
            return writer.close(), len(arrivals)


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    """The bytes of a file of any size, as the operating system brings them in."""
    with path.open("rb") as file:
        if not path.stat().st_size:  # nothing can be mapped
            yield memoryview(b"")
            return
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        yield memoryview(content)
    finally:
        with contextlib.suppress(BufferError):  # an error that is under way may still look into it
            content.close()


def _metadata(folder: Path, messages: list[Salvaged]) -> EpisodeMetadata:
    """The newest metadata that is intact: beside the bag or inside it."""
    texts = [decode(item.cdr, item.type_name).data for item in messages]
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
        help="save what is readable of a bag that was cut off",
        description=f"Write what is readable of a damaged or {PARTIAL} episode as a new one, ID_recovered. "
        "The damaged folder stays as it is, and the new episode is unlabelled, since its end may be missing.",
    )
    parser.add_argument(
        "episodes", nargs="+", type=Path, metavar="EPISODE", help="folder of the damaged episode"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the new episodes (default: beside the damaged one)"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    for path in options.episodes:
        folder, count = recover(path, options.out)
        print(f"{folder}: {count} messages recovered from {path}")
    return 0
