# SPDX-License-Identifier: Apache-2.0
"""Rows of two arrays as one, without copying: of bags and of videos, whose frames lie in files of their own."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ptr_models.replay.verified import VerifiedRows

Rows: TypeAlias = "NDArray[Any] | VerifiedRows | JoinedRows"


class JoinedRows:
    """The rows of two arrays, one behind the other; what is asked for is read, nothing else."""

    def __init__(self, first: Rows, second: Rows) -> None:
        self._first, self._second = first, second
        self.shape: tuple[int, ...] = (len(first) + len(second), *first.shape[1:])
        self.dtype: np.dtype[Any] = first.dtype
        self.ndim = len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Rows by their numbers (N,) from 0 on, or by a slice."""
        rows = np.arange(len(self))[key] if isinstance(key, slice) else np.asarray(key)
        border = len(self._first)
        is_second = rows >= border
        if not is_second.any():
            return self._first[rows]
        if is_second.all():
            return self._second[rows - border]
        found = np.empty((len(rows), *self.shape[1:]), self.dtype)
        found[~is_second] = self._first[rows[~is_second]]
        found[is_second] = self._second[rows[is_second] - border]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)
