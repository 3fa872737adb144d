# SPDX-License-Identifier: Apache-2.0
"""What lies beside the bags: the contract that is read, the label that is changed, the audit of a bag."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from ptr_models.contract import Camera, Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import OUTCOMES, EpisodeMetadata, Label, check_name
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.writer import write_atomically


def read_contract(path: str, cameras: Sequence[str]) -> Contract:
    """The contract in a JSON file, or the suite's with these cameras when `path` is empty.

    Raises:
        EpisodeError: the file can't be read, or names other cameras than are recorded.
    """
    if not path:
        return Contract(cameras=tuple(Camera(name=name) for name in cameras))
    try:
        contract = Contract.from_json(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise EpisodeError(f"contract file {path} cannot be read: {error.strerror}") from error
    absent = [camera.name for camera in contract.cameras if camera.name not in cameras]
    if absent:
        raise EpisodeError(f"the contract in {path} needs cameras {', '.join(absent)}; add them to `cameras`")
    return contract


def relabel(root: Path, name: str, label: Label) -> EpisodeMetadata:
    """Give a finished episode a new label in its episode.json; the old ones stay in its history.

    Raises:
        EpisodeError: there is no such episode, or the outcome is unknown.
    """
    check_name(name, "episode id")
    if label.outcome not in OUTCOMES:
        raise EpisodeError(f"outcome {label.outcome!r} is unknown; known: {', '.join(OUTCOMES)}")
    path = root / name / "episode.json"
    try:
        metadata = EpisodeMetadata.from_json(path.read_text(encoding="utf-8")).labelled(label)
        write_atomically(path, metadata.to_json())
    except OSError as error:
        raise EpisodeError(f"episode {name} cannot be labelled: {path}: {error.strerror}") from error
    return metadata


def audit(path: Path) -> str:
    """Why a finished episode can't be used, by reading it as training does; empty: it can."""
    try:
        read_episode(path)
    except EpisodeError as error:
        return str(error)
    return ""


def versions() -> dict[str, str]:
    """Versions of the packages that made an episode, of those that are installed."""
    found = {}
    for package in ("ptr_models", "ptr_msgs", "ptr_teleop", "ptr_bringup", "rosbags"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
