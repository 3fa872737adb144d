# SPDX-License-Identifier: Apache-2.0
"""File access of the recorder: reading the contract, changing labels, auditing bags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes import labelling
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.metadata import EpisodeMetadata, Label, check_name
from ptr_models.episodes.quality import DISCARD
from ptr_models.latency_file import with_measured_latencies
from ptr_teleop.recorder.episode import Audit


def read_contract(path: str, cameras: Sequence[str], latency_file: str = "") -> Contract:
    """The contract in a JSON file, or the suite's with these cameras when `path` is empty.

    Args:
        latency_file: the robot's measured latencies, see `ptr_models.latency_file`; empty: those of the contract.
    Raises:
        EpisodeError: the file can't be read, or names cameras that are not recorded.
        ContractError: the contract or the latency file is malformed.
    """
    return with_measured_latencies(_named_contract(path, cameras), latency_file)


def _named_contract(path: str, cameras: Sequence[str]) -> Contract:
    if not path:
        return Contract().with_cameras(cameras)
    try:
        contract = Contract.from_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EpisodeError(f"contract file {path} cannot be read: {error}") from error
    absent = [camera.name for camera in contract.cameras if camera.name not in cameras]
    if absent:
        raise EpisodeError(f"the contract in {path} needs cameras {', '.join(absent)}; add them to `cameras`")
    return contract


def relabel(root: Path, name: str, label: Label) -> EpisodeMetadata:
    """Give a finished episode in a folder a new label; earlier labels stay in its history.

    Raises:
        EpisodeError: no such episode, an invalid label, or the folder can't be written.
    """
    check_name(name, "episode id")
    if not (root / name).is_dir():
        raise EpisodeError(f"there is no episode {name} in {root}; give the id of a saved one")
    return labelling.relabel(root / name, label)


def audit(path: Path) -> Audit:
    """Audit a finished episode by reading its bag."""
    try:
        report = inspect(path)
    except PtrError as error:
        return Audit(str(error), DISCARD, (str(error),))
    return Audit(report.problem, report.recommendation, report.findings)
