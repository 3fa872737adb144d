# SPDX-License-Identifier: Apache-2.0
"""Check the declared size of an archive of weights before unpacking it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ptr_models.input_limits import MAX_ARRAY_BYTES


def require_honest_archive(path: Path) -> None:
    """Refuse a zip archive (.npz, .pt) that would unpack to more than the limit.

    Raises:
        ValueError: it would; the message has both numbers.
        OSError, zipfile.BadZipFile: it can't be read.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_ARRAY_BYTES:
        raise ValueError(f"its arrays have {size} bytes; at most {MAX_ARRAY_BYTES} are read")


def reason_of(error: Exception) -> str:
    """The first line of an error's message, or its type if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
