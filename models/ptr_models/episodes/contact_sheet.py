# SPDX-License-Identifier: Apache-2.0
"""An episode as one image: frames of each camera, evenly spaced in time."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.reader import Episode


def contact_sheet(episode: Episode, columns: int = 8, max_frames: int = 32, tile: int = 128) -> NDArray[np.uint8]:
    """Frames of an episode as one image, evenly spaced and in reading order, one band per camera.

    Args:
        columns: images in a row.
        max_frames: frames, per camera.
        tile: width of an image in pixels.
    Returns:
        (rows * height, columns * width, 3) uint8 RGB.
    """
    if not episode.images:
        raise EpisodeError(f"episode {episode.path} has no images")
    bands = []
    for frames in episode.images.values():
        chosen = np.unique(np.linspace(0, len(frames) - 1, min(max_frames, len(frames))).round().astype(int))
        height = max(1, round(tile * frames.shape[1] / frames.shape[2]))
        tiles = [_tile(frames[index], tile, height, episode, int(index)) for index in chosen]
        blank = np.full((height, tile, 3), 255, np.uint8)
        tiles += [blank] * (math.ceil(len(tiles) / columns) * columns - len(tiles))
        bands += [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    return np.concatenate(bands)


def _tile(frame: NDArray[np.uint8], width: int, height: int, episode: Episode, index: int) -> NDArray[np.uint8]:
    image = np.asarray(cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
    seconds = (episode.stamps[index] - episode.stamps[0]) * 1e-9
    for color, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, f"{seconds:.1f} s", (4, height - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, color, thickness)
    return image


def save_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB image; the suffix selects the format.

    Raises:
        EpisodeError: unknown format, or the folder does not exist.
    """
    try:
        written = cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        written = False
    if not written:
        raise EpisodeError(f"the image {path} cannot be written; give an existing folder and the suffix .png or .jpg")
