# SPDX-License-Identifier: Apache-2.0
"""The saved episodes of a folder: the page's list, and actions on single episodes."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptr_models.common.errors import PtrError
from ptr_models.common.jpeg import decode
from ptr_models.episodes import discarding, labelling
from ptr_models.episodes.cdr_fields import image_data
from ptr_models.episodes.episode_discovery import DISCARDED, LABEL, episodes_so_far
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.mcap_scan import scan
from ptr_models.episodes.messages import image_topic
from ptr_models.episodes.metadata import Label, check_name
from ptr_models.episodes.reader import read_metadata
from ptr_teleop.console.recording import Recording, read_recording
from ptr_teleop.console.values import ValueSource

MAX_LISTED = 200  # episodes
THUMBNAIL_WIDTH = 240  # pixels
MAX_THUMBNAILS = 400  # in memory
MAX_RECORDINGS = 2  # in memory: the one being played and the previous one


class EpisodeLibrary:
    """Episodes directly in a folder, and those in its sub-folder `discarded`. All methods block; thread-safe.

    Args:
        directory: returns the current folder; empty: not known.
        values: source of Q along episodes, if any.
    """

    def __init__(self, directory: Callable[[], str], values: ValueSource | None = None) -> None:
        self._directory, self.values = directory, values or ValueSource()
        self._lock = threading.Lock()
        self._entries: dict[Path, tuple[int, dict[str, Any]]] = {}
        self._thumbnails: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._open: OrderedDict[tuple[str, int], Recording] = OrderedDict()

    def listing(self) -> dict[str, Any]:
        """The newest episodes, newest first, as JSON values; `count` is the number of all that are not discarded.

        Raises:
            EpisodeError: the folder is not known, or not on this machine.
        """
        root = self._root()
        kept = [path for path in episodes_so_far(root) if path.parent == root]
        trash = episodes_so_far(root / DISCARDED)
        newest = sorted([*kept, *trash], key=lambda path: path.name, reverse=True)[:MAX_LISTED]
        with self._lock:
            return {
                "directory": str(root),
                "count": len(kept),
                "discarded": len(trash),
                "episodes": [self._entry(path) for path in newest],
            }

    def thumbnail(self, name: str) -> bytes:
        """A small JPEG of an episode's last image.

        Raises:
            EpisodeError: no such episode, or no image in it.
        """
        path = self.find(name)
        key = (name, _changed(path))
        if key not in self._thumbnails:
            image = _small(_last_image(path))
            with self._lock:
                self._thumbnails[key] = image
                while len(self._thumbnails) > MAX_THUMBNAILS:
                    self._thumbnails.popitem(last=False)
        return self._thumbnails.get(key) or self.thumbnail(name)

    def recording(self, name: str) -> Recording:
        """An episode for playback.

        Raises:
            EpisodeError: no such episode, or it can't be read.
        """
        path = self.find(name)
        key = (name, _changed(path))
        with self._lock:
            if key not in self._open:
                self._open[key] = read_recording(path)
                while len(self._open) > MAX_RECORDINGS:
                    self._open.popitem(last=False)
            self._open.move_to_end(key)
            return self._open[key]

    def values_along(self, name: str) -> dict[str, Any]:
        """Q of each step of an episode, see `ValueSource.along`.

        Raises:
            EpisodeError: Q is not known.
        """
        return self.values.along(self.find(name), self.recording(name).view["steps"])

    def discard(self, name: str) -> str:
        """Move an episode to `discarded`, like `ptr discard`; returns a sentence for the person."""
        with self._lock:
            discarding.discard(self.find(name))
        return f"{name} is discarded"

    def restore(self, name: str) -> str:
        """Restore a discarded episode, like `ptr discard --restore`."""
        check_name(name, "episode id")
        with self._lock:
            discarding.restore(self._root() / name)
        return f"{name} is restored"

    def relabel(self, name: str, outcome: str, score: float | None, note: str, annotator: str) -> str:
        """Relabel an episode, like `ptr label`."""
        label = Label(outcome, time.time_ns(), annotator, score, note)
        with self._lock:
            labelling.relabel(self.find(name), label)
        return f"{name} is now labeled {outcome}"

    def undo(self, name: str) -> str:
        """Undo the newest judgment of an episode, like `ptr label undo`."""
        with self._lock:
            metadata = labelling.take_back(self.find(name))
        return f"the newest judgment of {name} is undone; it is now labeled {metadata.outcome}"

    def find(self, name: str) -> Path:
        """The folder of an episode, discarded or not.

        Raises:
            EpisodeError: no such episode.
        """
        check_name(name, "episode id")
        root = self._root()
        for path in (root / name, root / DISCARDED / name):
            if path.is_dir():
                return path
        raise EpisodeError(f"there is no episode {name} in {root}; it may have been moved or deleted")

    def _root(self) -> Path:
        directory = self._directory()
        if not directory:
            raise EpisodeError("no recorder is running; start one, or set the console's parameter `episodes`")
        root = Path(directory).expanduser().absolute()
        if not root.is_dir():
            raise EpisodeError(f"{root} is not on this machine; start the console where the episodes are")
        return root

    def _entry(self, path: Path) -> dict[str, Any]:
        label = path / LABEL
        changed = label.stat().st_mtime_ns if label.is_file() else -1
        known = self._entries.get(path)
        if known is None or known[0] != changed:
            known = self._entries[path] = (changed, _described(path))
        return known[1]


def _described(path: Path) -> dict[str, Any]:
    """An episode's entry in the list; if it can't be read, with the reason."""
    entry: dict[str, Any] = {"id": path.name, "discarded": path.parent.name == DISCARDED, "problem": ""}
    try:
        metadata = read_metadata(path)
    except PtrError as error:
        return entry | {"problem": str(error)}
    seconds = (metadata.end_ns - metadata.start_ns) * 1e-9
    return entry | {
        "task": metadata.task,
        "kind": metadata.kind,
        "outcome": metadata.outcome,
        "score": metadata.score,
        "judgments": len(metadata.labels),
        "operator": metadata.operator,
        "device": metadata.device,
        "start": metadata.start_ns * 1e-9,
        "seconds": round(seconds, 1) if metadata.start_ns and seconds > 0.0 else None,
    }


def _changed(path: Path) -> int:
    """Modification time of an episode's bag (ns)."""
    return max((bag.stat().st_mtime_ns for bag in path.glob("*.mcap")), default=-1)


def _last_image(path: Path) -> np.ndarray:
    """The encoded last image of an episode's first camera."""
    cameras = read_metadata(path).contract.cameras
    found = scan(path, [image_topic(cameras[0].name)]) if cameras else {}
    for _, raws in found.values():
        if raws:
            return image_data(raws[-1].data)
    raise EpisodeError(f"{path.name} has no image")


def _small(encoded: np.ndarray) -> bytes:
    image = decode(encoded)
    if image is None:
        raise EpisodeError("the last image can't be decoded")
    height = max(1, round(THUMBNAIL_WIDTH * image.shape[0] / image.shape[1]))
    small = cv2.resize(image, (THUMBNAIL_WIDTH, height), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()
