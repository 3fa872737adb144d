# SPDX-License-Identifier: Apache-2.0
"""Videos and animated images of bags, written as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2

from ptr_models.common.errors import PtrError
from ptr_models.common.video import Encoding, VideoError, encode
from ptr_models.viewing.drawing import Drawing

FORMATS = ("mp4", "webp", "gif")
CRF, ANIMATION_QUALITY = 26, 60
"""Constant rate factor of videos, and quality (0 to 100) of WebP."""


def write_video(path: Path, drawing: Drawing, fps: int, crf: int = CRF) -> Path:
    """Write a drawing as the format that the suffix of the path names.

    Raises:
        PtrError: the format is unknown, or it cannot be written.
    """
    suffix = path.suffix[1:]
    if suffix not in FORMATS:
        raise VideoError(f"videos are written as {', '.join(FORMATS)}, not as {path.name!r}")
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if suffix == "mp4":
            encode(temporary, drawing, drawing.size, fps, Encoding(crf=crf, key_every=5 * fps))
        else:
            _animate(temporary, drawing, fps)
        os.replace(temporary, path)
    except OSError as error:
        raise PtrError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _animate(path: Path, drawing: Drawing, fps: int) -> None:
    """WebP or GIF in an endless loop."""
    from PIL import Image

    images = [Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)) for frame in drawing]
    options = {"quality": ANIMATION_QUALITY, "method": 4} if path.suffix == ".webp" else {"optimize": True}
    images[0].save(path, save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0, **options)
