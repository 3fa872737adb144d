# SPDX-License-Identifier: Apache-2.0
"""The MCAP file of an episode during recording: rosbags' writer with additions for a recorder.

Each message stores its publish time and its publisher's sequence number along with its arrival. Written data can be
flushed to the operating system, and to the disk, at any time.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable

from rosbags.interfaces import Connection
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter

from ptr_models.episodes.mcap_format import seal, write_chunk_crc

CHUNK_BYTES = 2**20
_to_disk: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
_MESSAGE = struct.Struct("<BQHIQQ")  # opcode and length of the record; channel, sequence, log and publish time
_FIXED = 22  # bytes of a message record before its data


class StreamedMcap(McapWriter):
    """rosbags' MCAP storage with publish times, sequence numbers, checksums and `flush`. Chunks are not compressed."""

    def append(
        self, connection: Connection, arrival: int, published: int, sequence: int, data: bytes | memoryview
    ) -> None:
        """Add a message to the pending chunk (times in ns)."""
        self.message_start_time = min(arrival, self.message_start_time)
        self.message_end_time = max(arrival, self.message_end_time)
        self.channel_stats[connection.id] += 1
        chunk = self.chunk
        chunk.message_start_time = min(arrival, chunk.message_start_time)
        chunk.message_end_time = max(arrival, chunk.message_end_time)
        chunk.msgs[connection.id].append((arrival, chunk.bio.tell()))
        chunk.bio.write(
            _MESSAGE.pack(0x05, _FIXED + len(data), connection.id, sequence & 0xFFFFFFFF, arrival, published)
        )
        chunk.bio.write(data)
        if chunk.bio.tell() > CHUNK_BYTES:
            self.close_chunk()

    def close_chunk(self) -> None:
        """Write the pending chunk, with its checksum."""
        place, checksum = self.bio.tell(), zlib.crc32(self.chunk.bio.getvalue())
        super().close_chunk()
        write_chunk_crc(self.bio, place, checksum)

    def close(self, version: int, metadata: str) -> None:
        """Write the rest, the index, and the checksums of both."""
        super().close(version, metadata)
        seal(self.path)

    def flush(self) -> None:
        """Flush everything to the operating system, so that a crash of this process does not lose it."""
        if self.chunk.msgs:
            self.close_chunk()
        self.bio.flush()


class StreamedWriter(Writer):
    """rosbags' rosbag2 writer on `StreamedMcap`."""

    STORAGE_PLUGINS = {StoragePlugin.MCAP: StreamedMcap}

    @property
    def streamed(self) -> StreamedMcap:
        """The storage, which must be open."""
        assert isinstance(self.storage, StreamedMcap)
        return self.storage

    def append(
        self, connection: Connection, arrival: int, published: int, sequence: int, data: bytes | memoryview
    ) -> None:
        """Add a message (times in ns)."""
        self.streamed.append(connection, arrival, published, sequence, data)
        self.counts[connection.id] += 1
        self.min_timestamp = min(arrival, self.min_timestamp)
        self.max_timestamp = max(arrival, self.max_timestamp)


class DiskSync:
    """Syncs a file to the disk periodically in its own thread, so that a slow disk does not block the writer.

    Args:
        descriptor: of the file; duplicated, so that its owner may close it at any time.
        interval: s between two syncs.
    """

    def __init__(self, descriptor: int, interval: float) -> None:
        self.error: OSError | None = None
        self._descriptor, self._interval = os.dup(descriptor), interval
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="disk sync", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                _to_disk(self._descriptor)
            except OSError as error:
                self.error = error
                return

    def end(self) -> None:
        """Wait for a sync in progress and release the file."""
        self._ended.set()
        self._thread.join()
        os.close(self._descriptor)
