# SPDX-License-Identifier: Apache-2.0
"""Errors about episodes."""

from __future__ import annotations

from ptr_models.common.errors import PtrError


class EpisodeError(PtrError):
    """An episode cannot be read or written; the message names it and says what to do."""


class StaleSampleError(EpisodeError):
    """A stream has no recent enough sample at the time of an observation."""

    def __init__(self, stream: str, age: float | None, max_age: float) -> None:
        """Args: age: s, of the newest sample at or before the time; None: there is none."""
        what = "no sample yet" if age is None else f"a newest sample {age:.3f} s old"
        super().__init__(f"stream {stream} has {what}; at most {max_age:.3f} s is allowed")
        self.stream = stream
        self.age = age
        self.max_age = max_age
