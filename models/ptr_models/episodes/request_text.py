# SPDX-License-Identifier: Apache-2.0
"""Check texts in requests from other programs: they must be short and printable before they are stored or shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptr_models.common.errors import PtrError

LAYOUT = "\n\t"
"""Control characters allowed in text of several lines."""


class RequestTextError(PtrError):
    """A field of a request holds an unacceptable text; the message names the field."""


def check_texts(request: Any, longest: Mapping[str, int]) -> None:
    """Refuse texts that are too long or contain control characters, which a terminal would obey.

    Args:
        request: has each text as an attribute.
        longest: maximum number of characters, by field.

    Raises:
        RequestTextError: a text is too long, or holds a control character.
    """
    for name, most in longest.items():
        text = str(getattr(request, name))
        if len(text) > most:
            raise RequestTextError(f"`{name}` has {len(text)} characters; at most {most} are allowed")
        if any(not letter.isprintable() and letter not in LAYOUT for letter in text):
            raise RequestTextError(f"`{name}` holds characters that can't be printed; leave them out")
