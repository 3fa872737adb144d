# SPDX-License-Identifier: Apache-2.0
"""A file of JSON objects, one per line, to which a run appends. Training continues if the disk is full."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ptr_models.common.errors import PtrError
from ptr_models.json_input import parse_object

LOGGER = logging.getLogger(__name__)


class JsonLines:
    """Appends whole lines or nothing. Lines that can't be written now are written later."""

    def __init__(self, path: Path, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Args: keep: whether an entry of an earlier attempt stays. The first rejected entry ends the file.

        Raises:
            PtrError: it is not a writable file.
        """
        self.path = path
        self._waiting = b""
        self._refused = False
        try:
            self._end = _rewrite(path, keep)
        except OSError as error:
            raise PtrError(f"{path} cannot be opened: {error}; move it away") from error

    def append(self, entry: dict[str, Any]) -> None:
        """Add an entry. If the disk is full, warn once and keep the lines in memory."""
        self._waiting += json.dumps(entry).encode() + b"\n"
        try:
            self._write()
        except OSError as error:
            if not self._refused:
                LOGGER.warning("%s cannot be written (%s); training continues, its lines are kept", self.path, error)
            self._refused = True

    def _write(self) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            position = self._end
            while position < self._end + len(self._waiting):
                position += os.pwrite(descriptor, self._waiting[position - self._end :], position)
        finally:
            os.close(descriptor)
        self._end, self._waiting, self._refused = position, b"", False


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The entries of a file, without a truncated last line; empty if the file is missing."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    found = []
    for line in lines:
        try:
            found.append(parse_object(line, str(path), finite=False))
        except PtrError:
            continue
    return found


def _rewrite(path: Path, keep: Callable[[dict[str, Any]], bool]) -> int:
    """Truncate the file at the first entry that must not stay; returns the remaining length, bytes."""
    length = 0
    if path.exists():
        with path.open("rb+") as stream:
            for line in stream:
                if not _complete(line, keep):
                    break
                length += len(line)
            stream.truncate(length)
    return length


def _complete(line: bytes, keep: Callable[[dict[str, Any]], bool]) -> bool:
    try:
        return line.endswith(b"\n") and keep(parse_object(line, "a line", finite=False))
    except (PtrError, KeyError, TypeError):
        return False
