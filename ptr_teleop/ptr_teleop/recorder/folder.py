# SPDX-License-Identifier: Apache-2.0
"""The folder that a recorder writes into: one writer at a time, and room left on the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ptr_models.common.errors import PtrError
from ptr_models.common.output_folder import FolderInUseError, FolderLock, FolderNotWritableError

DISCARDED = "discarded"


class FolderError(PtrError):
    """The folder of episodes can't be used; the message says why."""


class EpisodeFolder:
    """A folder of episodes that is locked for this process until `close` (the lock dies with the process).

    Raises:
        FolderError: it cannot be made or written, or somebody else writes into it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        try:
            self._lock = FolderLock(self.path)
        except (FolderInUseError, FolderNotWritableError) as error:
            raise FolderError(str(error)) from error

    def close(self) -> None:
        """Let others have the folder."""
        self._lock.release()

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
            raise FolderError(f"{self.path} is gone; bring it back, then start the recorder again")
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise FolderError(f"episodes cannot be written to {self.path} any more; make it writable")

    def discard(self, episode: Path) -> Path:
        """Move a finished episode to the sub-folder of discarded ones and return its new place."""
        target = self.path / DISCARDED / episode.name
        target.parent.mkdir(exist_ok=True)
        os.rename(episode, target)
        return target
