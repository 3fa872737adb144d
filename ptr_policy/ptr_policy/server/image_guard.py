# SPDX-License-Identifier: Apache-2.0
"""Rejects dark, corrupt and frozen images as policy inputs. For cameras, see `ptr_bringup.camera.health`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ptr_models.common.image_checks import DARK, FROZEN_TRAVEL, brightness
from ptr_models.common.jpeg import TornError, whole
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.sampling import Choice, Observation

_JPEG = b"\xff\xd8"


class ImageError(EpisodeError):
    """An image can't be trusted; the message says which and why."""


Position = tuple[float, float, float]


@dataclass(frozen=True)
class _Reference:
    """An image, its stamp (ns), the end effector's position (m) when it was taken (None: not known), and its largest
    distance (m) from there while the image stayed the same."""

    stamp: int
    data: bytes
    position: Position | None
    moved: float = 0.0


class ImageGuard:
    """Checks the images of one run; remembers the last one of each camera."""

    def __init__(self) -> None:
        self._references: dict[str, _Reference] = {}

    def check(self, contract: Contract, choice: Choice, position_at: Callable[[int], Position | None]) -> None:
        """Check the chosen samples before they are decoded.

        Args:
            position_at: measured position of the end effector (m) at a stamp (ns); None: not known. It is called with
                the image's stamp, because the observation's state may be older or newer than its image.
        Raises:
            ImageError: a JPEG is truncated or damaged, or a later image is byte for byte the same although the arm
                moved (a sensor has noise, and the arm is in the image).
        """
        for camera, (stamp, data) in zip(contract.cameras, choice.images, strict=True):
            content = bytes(data)
            if content.startswith(_JPEG):
                _require_whole(camera.name, content)
            now, before = _Reference(stamp, content, position_at(stamp)), self._references.get(camera.name)
            if before is None or before.data != content or before.position is None:
                self._references[camera.name] = now
            elif now.stamp > before.stamp and now.position is not None:
                moved = float(np.linalg.norm(np.subtract(now.position, before.position)))
                before = replace(before, moved=max(before.moved, moved))
                self._references[camera.name] = before
                _require_rest(camera.name, before, now)


def _require_whole(camera: str, content: bytes) -> None:
    try:
        whole(content)
    except TornError as error:
        raise ImageError(f"the image of camera {camera} is torn: {error}") from error


def _require_rest(camera: str, before: _Reference, now: _Reference) -> None:
    """Use the largest distance: a held arm swings back a little, and a circle ends where it started."""
    if before.moved > FROZEN_TRAVEL:
        raise ImageError(
            f"the image of camera {camera} is frozen: it has not changed for {(now.stamp - before.stamp) * 1e-9:.2f} "
            f"s, while the arm moved {before.moved:.3f} m"
        )


def require_light(contract: Contract, observation: Observation) -> None:
    """Check the brightness of the decoded images.

    Raises:
        ImageError: an image is dark.
    """
    for camera, image in zip(contract.cameras, observation.images, strict=True):
        if (level := brightness(image)) < DARK:
            raise ImageError(
                f"the image of camera {camera.name} is dark: 99 % of it is at most {level:.0f} of 255; {DARK} is needed"
            )
