# SPDX-License-Identifier: Apache-2.0
"""Reference images of scenes, so that every policy starts from the same scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ptr_models.episodes.reader import find_episodes, read_metadata
from ptr_models.episodes.streams import read_streams
from ptr_policy.evaluation.trials import Trial, TrialsError


def image_path(directory: Path, trial: Trial, when: str) -> Path:
    """Path of the scene's image at the `start` or `end` of a trial."""
    return directory / "pictures" / f"trial_{trial.index + 1:04d}_{when}.jpg"


class References:
    """The image to match in each scene: from a demonstration, or from the first trial in that scene.

    Args:
        directory: of the evaluation.
        planned: its trials.
        demonstrations: folder of bags whose first images are the scenes, in the order of their names; None: none.
        camera: name of the camera; empty: the first one of each bag.
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

    def image(self, trial: Trial) -> bytes | None:
        """JPEG of the scene that this trial should start from; None: it is the first trial in that scene."""
        if self._bags:
            return first_image(self._bags[trial.scene], self._camera)
        first = self._first[trial.scene]
        path = image_path(self._directory, first, "start")
        return path.read_bytes() if first != trial and path.exists() else None


def first_image(bag: Path, camera: str = "") -> bytes:
    """The first image of a camera in a bag (by default its first camera), as recorded.

    Raises:
        TrialsError: no such image.
    """
    contract = read_metadata(bag).contract
    known = [one.name for one in contract.cameras]
    name = camera or next(iter(known), "")
    images = read_streams(bag, contract).images[name] if name in known else None
    if images is None or not len(images):
        only = f"only of {', '.join(known)}" if known else "nor of any other"
        raise TrialsError(f"{bag} has no image of camera {name or '(any)'}, {only}; give other demonstrations")
    return bytes(images[0][1])
