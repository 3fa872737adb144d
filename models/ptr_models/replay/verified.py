# SPDX-License-Identifier: Apache-2.0
"""Rows of a replay cache, with checksums that are verified at the first use of an episode."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.errors import EpisodeError


class VerifiedRows:
    """Wraps an array on disk and verifies episodes as they are read; a wrong checksum is an error.

    Verifying everything at the start would read the whole cache, which may be larger than memory.

    Args:
        rows: (N, ...) the array.
        starts: (E,) first row of each episode.   lengths: (E,) steps; an episode has one more row.
        checksums: (E,) CRC32 of the rows of each.
        where: name of the cache, for the error.
    """

    def __init__(
        self,
        rows: NDArray[np.uint8],
        starts: NDArray[np.int64],
        lengths: NDArray[np.int64],
        checksums: NDArray[np.int64],
        where: str,
    ) -> None:
        order = np.argsort(starts, kind="stable")
        self._rows, self._where = rows, where
        self._starts, self._lengths, self._checksums = starts[order], lengths[order], checksums[order]
        self._verified = np.zeros(len(order), bool)
        self._remaining = len(order)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        return self._rows.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return self._rows.dtype

    @property
    def ndim(self) -> int:
        """Of the array."""
        return self._rows.ndim

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Rows, indexed like the array.

        Raises:
            EpisodeError: the episode of one of them has a wrong checksum.
        """
        if self._remaining:
            first = key[0] if isinstance(key, tuple) else key
            self._verify(np.arange(len(self))[first] if isinstance(first, slice) else np.asarray(first))
        return self._rows[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def _verify(self, rows: NDArray[np.int64]) -> None:
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        episodes = np.searchsorted(self._starts, np.where(rows < 0, rows + len(self), rows), side="right") - 1
        unknown = np.unique(episodes[~self._verified[episodes] & (episodes >= 0)])
        for episode in unknown:
            start = int(self._starts[episode])
            found = checksum(self._rows[start : start + int(self._lengths[episode]) + 1])
            if found != int(self._checksums[episode]):
                raise EpisodeError(
                    f"the replay cache {self._where} is damaged (the frames from row {start} on have checksum "
                    f"{found:08x}, not {int(self._checksums[episode]):08x}); delete the folder"
                )
            self._verified[episode] = True
        self._remaining -= len(unknown)


def checksum(*arrays: NDArray[Any]) -> int:
    """CRC32 of the concatenated bytes of arrays."""
    value = 0
    for array in arrays:
        value = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, value)
    return value
