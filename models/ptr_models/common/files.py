# SPDX-License-Identifier: Apache-2.0
"""Text files that are replaced as a whole, so that a reader sees the old or the new one, and checksums of files."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def write_atomically(path: Path, text: str, durable: bool = True) -> None:
    """Write a text file so that a reader sees either the old or the new one.

    Args:
        durable: also after a loss of power; waits for the disk.
    Raises:
        OSError: it can't be written; the old file is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_json(path: Path, values: Any, durable: bool = False) -> None:
    """Write a JSON file with `write_atomically`."""
    write_atomically(path, json.dumps(values, indent=1) + "\n", durable)


def sha256(path: Path) -> str:
    """Checksum of a file of any size, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
