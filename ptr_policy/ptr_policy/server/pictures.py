# SPDX-License-Identifier: Apache-2.0
"""Pictures that show nothing, half of something, or not the present: no policy may act on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.sampling import Choice, Observation

MOVED = 0.01
"""m that the end effector may move without any change of the picture."""
DARK = 5.0
"""Mean of all pixels (of 255) below which a picture shows nothing: lens cap, light off, no exposure."""
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


class PictureError(EpisodeError):
    """A picture can't be trusted; the message says which and why."""


@dataclass(frozen=True)
class _Reference:
    """A picture, its stamp (ns), and where the end effector was (m) when it was used first."""

    stamp: int
    data: bytes
    position: NDArray[np.float64]


class PictureGuard:
    """Remembers what each camera showed, for one run."""

    def __init__(self) -> None:
        self._references: dict[str, _Reference] = {}

    def check(self, contract: Contract, choice: Choice) -> None:
        """Look at chosen samples before they are decoded.

        Raises:
            PictureError: a JPEG is cut off, or a later picture is the same byte for byte although the arm moved (a
                sensor has noise, and the arm is in the picture).
        """
        position = np.array(choice.arm[1].position)
        for camera, (stamp, data) in zip(contract.cameras, choice.images, strict=True):
            content = bytes(data)
            if content.startswith(_JPEG) and not content.rstrip(b"\0").endswith(_JPEG_END):
                raise PictureError(f"the picture of camera {camera.name} is torn: its JPEG has no end")
            before = self._references.get(camera.name)
            if before is None or before.data != content:
                self._references[camera.name] = _Reference(stamp, content, position)
                continue
            moved = float(np.linalg.norm(position - before.position))
            if stamp > before.stamp and moved > MOVED:
                raise PictureError(
                    f"the picture of camera {camera.name} is frozen: it has not changed for "
                    f"{(stamp - before.stamp) * 1e-9:.2f} s, in which the arm moved {moved:.3f} m"
                )


def require_light(contract: Contract, observation: Observation) -> None:
    """Look at the decoded pictures.

    Raises:
        PictureError: one is dark.
    """
    for camera, image in zip(contract.cameras, observation.images, strict=True):
        if image.mean() < DARK:
            raise PictureError(
                f"the picture of camera {camera.name} is dark: its mean is {image.mean():.1f} of 255, "
                f"at least {DARK:.0f} is needed"
            )
