# SPDX-License-Identifier: Apache-2.0
"""The folder that a recorder writes into: one recorder at a time, and room left on the disk."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from ptr_models.common.errors import PtrError

LOCK = ".recorder.lock"
DISCARDED = "discarded"


class FolderError(PtrError):
    """The folder of episodes can't be used; the message says why."""


class EpisodeFolder:
    """A folder of episodes that is locked for this process until `close` (the lock dies with the process).

    Raises:
        FolderError: it cannot be made or written, or another recorder has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise FolderError(f"episodes cannot be written to {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
            os.close(self._lock)
            raise FolderError(
                f"another recorder (process {owner or 'unknown'}) writes to {self.path}; "
                "stop it or choose another directory"
            ) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Let another recorder have the folder."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def free_bytes(self) -> int:
        """Bytes that are free on its disk for this user; none when the folder is gone or its disk does not answer."""
        try:
            return shutil.disk_usage(self.path).free
        except OSError:
            return 0

    def require(self) -> None:
        """Nothing, as long as an episode can be written.

        Raises:
            FolderError: the folder was removed, its disk unmounted or made read-only since the recorder began.
        """
        if not self.path.is_dir():
            raise FolderError(f"{self.path} is gone; bring it back, then start the recorder anew")
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise FolderError(f"episodes cannot be written to {self.path} any more; make it writable")

    def discard(self, episode: Path) -> Path:
        """Move a finished episode to the sub-folder of discarded ones and return its new place."""
        target = self.path / DISCARDED / episode.name
        target.parent.mkdir(exist_ok=True)
        os.rename(episode, target)
        return target
