# SPDX-License-Identifier: Apache-2.0
"""The folder that a recorder writes into: locked for one writer, with a check of free disk space."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ptr_models.common.errors import PtrError
from ptr_models.common.output_folder import FolderInUseError, FolderLock, FolderNotWritableError

DISCARDED = "discarded"


class FolderError(PtrError):
    """The episode folder can't be used; the message says why."""


class EpisodeFolder:
    """An episode folder, locked for this process until `close` (the lock dies with the process).

    Raises:
        FolderError: it can't be created or written, or another process writes into it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        try:
            self._lock = FolderLock(self.path)
        except (FolderInUseError, FolderNotWritableError) as error:
            raise FolderError(str(error)) from error

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()

    def free_bytes(self) -> int:
        """Free bytes on its disk for this user; 0 if the folder is gone or its disk does not respond."""
        try:
            return shutil.disk_usage(self.path).free
        except OSError:
            return 0

    def require(self) -> None:
        """Check that an episode can be written.

        Raises:
            FolderError: since the recorder started, the folder was removed, or its disk unmounted or made read-only.
        """
        if not self.path.is_dir():
            raise FolderError(f"{self.path} is gone; restore it, then restart the recorder")
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise FolderError(f"episodes cannot be written to {self.path} any more; make it writable")

    def discard(self, episode: Path) -> Path:
        """Move a finished episode to the sub-folder `discarded` and return its new path."""
        target = self.path / DISCARDED / episode.name
        target.parent.mkdir(exist_ok=True)
        os.rename(episode, target)
        return target
