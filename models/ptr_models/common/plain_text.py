# SPDX-License-Identifier: Apache-2.0
"""Text that is safe to print: outside text without terminal control characters; and counts of things."""

from __future__ import annotations

import unicodedata

from rich.markup import escape

_CONTROL = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, such as ESC, and those that reverse or hide text."""


def plain(text: object, newlines: bool = False) -> str:
    """A text with terminal control characters shown as escapes, such as \\x1b.

    Args:
        newlines: leave line breaks and tabs as they are.
    """
    kept = "\n\t" if newlines else ""
    return "".join(
        character if character in kept or unicodedata.category(character) not in _CONTROL else _shown(character)
        for character in str(text)
    )


def for_markup(text: object) -> str:
    """The same for rich, which would interpret brackets as markup."""
    return escape(plain(text))


def counted(number: int, noun: str) -> str:
    """`1 episode`, `2 episodes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
