# SPDX-License-Identifier: Apache-2.0
"""Texts that other programs send in requests: bounded and printable before anything repeats, stores or shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ptr_models.common.errors import PtrError

LAYOUT = "\n\t"
"""Control characters that a text of several lines has."""


class RequestTextError(PtrError):
    """A field of a request holds a text that can't be taken; the message names the field."""


def check_texts(request: Any, longest: Mapping[str, int]) -> None:
    """Refuse texts that are too long or that a terminal would obey.

    Args:
        request: has each text as an attribute.
        longest: characters that each may have, by field.

    Raises:
        RequestTextError: one of them is longer, or holds a control character.
    """
    for name, most in longest.items():
        text = str(getattr(request, name))
        if len(text) > most:
            raise RequestTextError(f"`{name}` has {len(text)} characters; at most {most} are allowed")
        if any(not letter.isprintable() and letter not in LAYOUT for letter in text):
            raise RequestTextError(f"`{name}` holds characters that can't be printed; leave them out")
