# SPDX-License-Identifier: Apache-2.0
"""A task in a person's words, and the name that it is recorded under."""

from __future__ import annotations

import re
import unicodedata

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
LONGEST = 80  # characters of a name


def name_and_instruction(text: str) -> tuple[str, str]:
    """The name of a task, and the words that it was given in; the words are empty when it was given by its name.

    `Put the knife / in the pot` becomes `put_the_knife_in_the_pot`. The name is empty when the words have neither a
    Latin letter nor a digit.
    """
    text = text.strip()
    if len(text) <= LONGEST and _NAME.fullmatch(text):
        return text, ""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    return "_".join(words)[:LONGEST].rstrip("_"), text
