# SPDX-License-Identifier: Apache-2.0
"""Write episodes: one folder with one MCAP bag, its metadata.yaml and episode.json.

A bag grows as `<root>/<id>.partial/<id>.mcap` and gets its final name when it is complete, so a folder without
`.partial` is a complete episode. Data is flushed to the operating system at least every half second, so a crash of the
process loses no more than that. A `durable` writer also syncs it to the disk once a second, in case the machine loses
power. `ptr recover` makes an episode from what is left.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection, Qos
from rosbags.rosbag2 import StoragePlugin, Writer

from ptr_models.common.files import write_atomically
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.messages import METADATA_TOPIC, STRING, definition, typestore
from ptr_models.episodes.metadata import EpisodeMetadata, check_name
from ptr_models.episodes.storage import DiskSync, StreamedWriter

PARTIAL = ".partial"
FLUSH_SECONDS = 0.5
SYNC_SECONDS = 1.0


class BagWriter:
    """One episode being written; a context manager.

    Leaving the block normally completes the episode (`close`). Leaving it by an exception keeps the data so far as a
    readable `.partial` folder (`abandon`).
    """

    def __init__(
        self,
        root: Path | str,
        metadata: EpisodeMetadata,
        offered: Callable[[str], Sequence[Qos]] = lambda topic: (),
        durable: bool = False,
    ) -> None:
        """Create the folder and write the initial metadata into the bag and next to it.

        Args:
            root: folder of episodes, created if missing.
            metadata: as known at the start; pass the final one to `close`.
            offered: quality of service that the publishers of a topic offer, for `ros2 bag play`.
            durable: sync to the disk once a second, and when the episode is complete.
        Raises:
            EpisodeError: an episode with this id already exists, complete or not, or the disk is not writable.
        """
        check_name(metadata.episode_id, "episode id")
        self.metadata = metadata
        self.directory = Path(root) / metadata.episode_id
        self.partial = self.directory.with_name(self.directory.name + PARTIAL)
        for path in (self.directory, self.partial):
            if path.exists():
                raise EpisodeError(f"{path} already exists; choose another episode id or move it away")
        self._connections: dict[tuple[str, str], Connection] = {}
        self._first_ns, self._last_ns = 0, metadata.start_ns
        self._flushed = time.monotonic()
        self._offered, self._durable = offered, durable
        self._writer = StreamedWriter(self.partial, version=Writer.VERSION_LATEST, storage_plugin=StoragePlugin.MCAP)
        self._sync: DiskSync | None = None
        self._open = True
        try:
            self._writer.open()
            self._rename_bag()
            write_atomically(self.partial / "episode.json", metadata.to_json(), durable)
        except OSError as error:
            raise self._disk_error(error) from error
        if durable:
            self._sync = DiskSync(self._writer.streamed.bio.fileno(), SYNC_SECONDS)
        self._write_metadata(metadata.start_ns)

    def _rename_bag(self) -> None:
        """Rename the MCAP file to the episode's name; rosbags names it after the folder, with `.partial`."""
        storage = self._writer.streamed
        storage.path = storage.path.rename(storage.path.with_name(f"{self.metadata.episode_id}.mcap"))

    def write(
        self,
        topic: str,
        type_name: str,
        stamp_ns: int,
        cdr: bytes | memoryview,
        published_ns: int = 0,
        sequence: int = 0,
    ) -> None:
        """Append a serialized message.

        Args:
            topic: with its leading slash.
            type_name: e.g. sensor_msgs/msg/CompressedImage.
            stamp_ns: when it arrived (the bag's log time); the message's own stamp does not change.
            cdr: as rclpy gives it with `raw=True`.
            published_ns: when its publisher sent it (the bag's publish time); 0: not known, use the arrival.
            sequence: its publisher's number; 0: not known.
        Raises:
            EpisodeError: the type is unknown, the writer is closed, or the disk is full. In the last case the bag is
                closed first, and all data so far is kept.
        """
        if not self._open:
            raise EpisodeError(f"episode {self.metadata.episode_id} is closed; nothing can be added to it")
        connection = self._connections.get((topic, type_name)) or self._connect(topic, type_name)
        try:
            self._writer.append(connection, stamp_ns, published_ns or stamp_ns, sequence, cdr)
        except OSError as error:
            self.abandon()
            raise self._disk_error(error) from error
        self.flush()
        self._first_ns = min(self._first_ns or stamp_ns, stamp_ns)
        self._last_ns = max(self._last_ns, stamp_ns)

    def flush(self) -> None:
        """Flush to the operating system, at most twice a second; `write` also does this.

        Raises:
            EpisodeError: the disk is full or broken; the bag is closed first, and all data so far is kept.
        """
        now = time.monotonic()
        if not self._open or now - self._flushed < FLUSH_SECONDS:
            return
        self._flushed = now
        try:
            if self._sync is not None and self._sync.error is not None:
                raise self._sync.error
            self._writer.streamed.flush()
        except OSError as error:
            self.abandon()
            raise self._disk_error(error) from error

    def write_message(self, topic: str, message: Any, stamp_ns: int) -> None:
        """Append a message object made from `typestore().types`."""
        type_name = message.__msgtype__
        self.write(topic, type_name, stamp_ns, typestore().serialize_cdr(message, type_name))

    def close(self, metadata: EpisodeMetadata | None = None) -> Path:
        """Complete the episode.

        Args:
            metadata: the final one (outcome, end); by default the initial one. If `start_ns` or `end_ns` is 0, the
                stamp of the first or last message replaces it.
        Returns:
            The episode's folder, without `.partial`.
        Raises:
            EpisodeError: it was closed before, or the disk is full; then the `.partial` folder stays.
        """
        if not self._open:
            raise EpisodeError(f"episode {self.metadata.episode_id} is already closed")
        final = metadata or self.metadata
        if final.episode_id != self.metadata.episode_id:
            raise EpisodeError(f"episode {self.metadata.episode_id} cannot be closed as {final.episode_id}")
        self.metadata = dataclasses.replace(
            final, start_ns=final.start_ns or self._first_ns, end_ns=final.end_ns or self._last_ns
        )
        self._write_metadata(self._last_ns)
        self._open = False
        try:
            self._end_sync()
            self._writer.close()
            write_atomically(self.partial / "episode.json", self.metadata.to_json(), self._durable)
            if self._durable:
                self._sync_to_disk()
            self.partial.rename(self.directory)
        except OSError as error:
            self._abort_file()
            raise self._disk_error(error) from error
        return self.directory

    def _sync_to_disk(self) -> None:
        for path in (*self.partial.iterdir(), self.partial):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _end_sync(self) -> None:
        sync, self._sync = self._sync, None
        if sync is not None:
            sync.end()

    def _abort_file(self) -> None:
        """Close the file without an index; on a full disk even the rest of the buffer can't be written."""
        with contextlib.suppress(OSError):
            self._writer.abort()

    def abandon(self) -> Path:
        """Stop without completing: the `.partial` folder stays, with everything that fit on the disk."""
        if self._open:
            self._open = False
            self._end_sync()
            try:
                self._writer.close()
                write_atomically(self.partial / "episode.json", self.metadata.to_json(), self._durable)
            except OSError:
                self._abort_file()
        return self.partial

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abandon()
        elif self._open:
            self.close()

    def _connect(self, topic: str, type_name: str) -> Connection:
        try:
            text, digest = definition(type_name)
        except KeyError:
            raise EpisodeError(f"topic {topic} has type {type_name}, which is unknown here") from None
        connection = self._writer.add_connection(
            topic, type_name, msgdef=text, rihs01=digest, offered_qos_profiles=self._offered(topic)
        )
        self._connections[topic, type_name] = connection
        return connection

    def _write_metadata(self, stamp_ns: int) -> None:
        message = typestore().types[STRING](data=self.metadata.to_json())
        self.write_message(METADATA_TOPIC, message, stamp_ns or time.time_ns())

    def _disk_error(self, error: OSError) -> EpisodeError:
        what = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
        return EpisodeError(f"episode {self.metadata.episode_id} cannot be written to {self.partial}: {what}")
