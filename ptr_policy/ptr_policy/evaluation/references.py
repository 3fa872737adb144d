# SPDX-License-Identifier: Apache-2.0
"""Images that a scene should look like, so that every policy starts from the same one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptr_models.episodes.reader import find_episodes, read_metadata
from ptr_models.episodes.streams import read_streams
from ptr_policy.evaluation.trials import Trial, TrialsError


def picture_path(directory: Path, trial: Trial, when: str) -> Path:
    """Where the picture of the scene at the `start` or `end` of a trial is kept."""
    return directory / "pictures" / f"trial_{trial.index + 1:04d}_{when}.jpg"


class References:
    """The picture to match in each scene: of a demonstration, or of the first trial that was made there.

    Args:
        directory: of the evaluation.
        planned: its trials.
        demonstrations: folder of bags whose first pictures are the scenes, in the order of their names; None: none.
        camera: whose pictures; empty: the first one of each bag.
    Raises:
        TrialsError: there are fewer demonstrations than scenes.
    """

    def __init__(
        self, directory: Path, planned: Sequence[Trial], demonstrations: Path | None = None, camera: str = ""
    ) -> None:
        self._directory, self._camera = directory, camera
        self._first: dict[int, Trial] = {}
        for trial in planned:
            self._first.setdefault(trial.scene, trial)
        self._bags = [] if demonstrations is None else find_episodes([demonstrations])
        if demonstrations is not None and len(self._bags) < len(self._first):
            raise TrialsError(
                f"{demonstrations} holds {len(self._bags)} demonstrations for {len(self._first)} scenes; make at most "
                f"{len(self._bags)} trials with each policy, or give more demonstrations"
            )

    def picture(self, trial: Trial) -> bytes | None:
        """JPEG of the scene that this trial should start from; None: it is the first there."""
        if self._bags:
            return first_picture(self._bags[trial.scene], self._camera)
        first = self._first[trial.scene]
        path = picture_path(self._directory, first, "start")
        return path.read_bytes() if first != trial and path.exists() else None


def first_picture(bag: Path, camera: str = "") -> bytes:
    """The first picture of a camera in a bag (of its first one when none is named), as it was recorded.

    Raises:
        TrialsError: there is none.
    """
    contract = read_metadata(bag).contract
    known = [one.name for one in contract.cameras]
    name = camera or known[0]
    images = read_streams(bag, contract).images[name] if name in known else None
    if images is None or not len(images):
        raise TrialsError(f"{bag} holds no picture of camera {name}, of {', '.join(known)}; give other demonstrations")
    return bytes(images[0][1])
