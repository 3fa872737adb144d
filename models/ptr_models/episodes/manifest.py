# SPDX-License-Identifier: Apache-2.0
"""A manifest: a JSON file that lists bags by path and checksum. It can be used in place of a folder of episodes.

Paths are relative to the manifest. The checksum covers the bag's MCAP file; labels may change. A bag with the listed
size and modification time counts as unchanged; otherwise its checksum is computed again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ptr_models.common.files import sha256, write_json
from ptr_models.episodes.bag import find_bag
from ptr_models.episodes.errors import EpisodeError
from ptr_models.json_input import read_object
from ptr_models.typed_values import require_types

FORMAT = "ptr episodes 1"
SUFFIX = ".json"
_ADVICE = "create the list again with ptr data select"


@dataclass(frozen=True)
class Listed:
    """A bag of a manifest.

    Attributes:
        path: of the episode's folder, relative to the manifest.
        sha256: of its MCAP file.   bytes, changed_ns: size and modification time of that file.
    """

    path: str
    sha256: str
    bytes: int
    changed_ns: int

    def __post_init__(self) -> None:
        require_types(self, EpisodeError, "a listed bag's ")


def is_manifest(path: Path | str) -> bool:
    """Whether a path is a manifest rather than a folder."""
    return os.fspath(path).endswith(SUFFIX) and os.path.isfile(path)


def read_manifest(path: Path | str) -> list[tuple[str, Listed]]:
    """The listed bags: their folders and entries.

    Raises:
        EpisodeError: it is not a manifest, or lists no bag.
    """
    path = Path(os.path.realpath(path))
    found = read_object(path, EpisodeError)
    if found.get("format") != FORMAT or not isinstance(found.get("episodes"), list):
        raise EpisodeError(f"{path} is not a list of episodes; create one with ptr data select")
    if not found["episodes"]:
        raise EpisodeError(f"{path} lists no episode; {_ADVICE}")
    listed = [_listed(item, path) for item in found["episodes"]]
    return [(os.path.normpath(path.parent / item.path), item) for item in listed]


def write_manifest(
    path: Path, folders: Iterable[Path], made_by: str = "", advance: Callable[[], None] = lambda: None
) -> list[Path]:
    """List the bags of some episodes. Bags with identical bytes are listed once.

    Args:
        made_by: the command, for information.
        advance: called after each bag.
    Returns:
        The listed folders.
    Raises:
        EpisodeError: a bag can't be read.
    """
    folder, listed, kept = Path(os.path.realpath(path)).parent, dict[str, Listed](), list[Path]()
    for episode in folders:
        bag = find_bag(episode)
        status, checksum = bag.stat(), sha256(bag)
        if checksum not in listed:
            place = os.path.relpath(os.path.realpath(bag.parent), folder)
            listed[checksum] = Listed(place, checksum, status.st_size, status.st_mtime_ns)
            kept.append(episode)
        advance()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, {"format": FORMAT, "made_by": made_by, "episodes": [asdict(item) for item in listed.values()]})
    return kept


def require_unchanged(folder: str, listed: Listed, size: int, changed_ns: int, manifest: Path | str) -> None:
    """Refuse a bag that has changed since it was listed.

    Args:
        size, changed_ns: of the bag now.
    Raises:
        EpisodeError: it has changed; the message names bag and manifest.
    """
    if size == listed.bytes and (changed_ns == listed.changed_ns or sha256(find_bag(folder)) == listed.sha256):
        return
    raise EpisodeError(f"{folder} has changed since {manifest} listed it; {_ADVICE}")


def gone(folder: str, manifest: Path | str) -> EpisodeError:
    """The error for a missing bag."""
    return EpisodeError(f"{folder}, listed in {manifest}, no longer holds a bag; bring it back, or {_ADVICE}")


def _listed(item: Any, path: Path) -> Listed:
    try:
        return Listed(**item)
    except (TypeError, EpisodeError) as error:
        raise EpisodeError(f"{path} is not a list of episodes ({error}); {_ADVICE}") from error
