# SPDX-License-Identifier: Apache-2.0
"""Small videos of bags for a report page: embedded in the page as long as they fit, otherwise next to it."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from ptr_models.common.errors import PtrError
from ptr_models.common.video import can_encode
from ptr_models.viewing.drawing import Drawing
from ptr_models.viewing.files import write_video
from ptr_models.viewing.recording import read_recording

FOLDER = "videos"
WIDTH, FPS, CRF = 320, 10, 30
MOST_INSIDE = 6_000_000
"""Bytes of videos that are embedded in a page; as base64 they take a third more."""


def clips(bags: Sequence[Path | None], page: Path, most_inside: int = MOST_INSIDE) -> list[str]:
    """The `src` of a video for each bag: a data URI, or a link to a file next to the page.

    The files are in the folder `videos` next to the page, and are created again if their bag is newer.

    Args:
        bags: folders of episodes, or None.
        page: file of the report.
    Returns:
        one for each bag; empty without a video: no bag, an unreadable bag, or av is not installed.
    """
    found, inside = [], 0
    for bag in bags:
        path = _clip(bag, page.parent) if bag is not None and can_encode() else None
        size = 0 if path is None else path.stat().st_size
        if path is None:
            found.append("")
        elif inside + size <= most_inside:
            inside += size
            found.append("data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode())
        else:
            found.append(f"{FOLDER}/{quote(path.name)}")
    return found


def _clip(bag: Path, root: Path) -> Path | None:
    """The video of a bag, which may exist already; its name is the bag's path relative to the page."""
    parts = [part for part in Path(os.path.relpath(bag, root)).parts if part != os.pardir]
    path = root / FOLDER / f"{'-'.join(parts)}.mp4"
    try:
        newest = max(os.stat(file).st_mtime for file in bag.glob("*.mcap"))
        if not path.is_file() or path.stat().st_mtime < newest:
            write_video(path, Drawing(read_recording(bag), WIDTH, FPS, curves=False), FPS, CRF)
    except (PtrError, OSError, ValueError):  # a report is written without it
        return None
    return path
