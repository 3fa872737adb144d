# SPDX-License-Identifier: Apache-2.0
"""Look at an archive of weights before it is unpacked: what its members say about their sizes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ptr_models.input_limits import MAX_ARRAY_BYTES


def require_honest_archive(path: Path) -> None:
    """Refuse a zip archive (.npz, .pt) that would unpack to more than is read.

    Raises:
        ValueError: it would; both numbers are in the sentence.
        OSError, zipfile.BadZipFile: it can't be read.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_ARRAY_BYTES:
        raise ValueError(f"its arrays have {size} bytes; at most {MAX_ARRAY_BYTES} are read")


def reason_of(error: Exception) -> str:
    """The first line of an error, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
