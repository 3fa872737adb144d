# SPDX-License-Identifier: Apache-2.0
r"""The `$(name argument …)` language of launch files: parsing and evaluation.

Grammar, as in ROS 2's launch: outside of `$(…)` everything is text and `\c` stands for `c`. Inside, arguments
are separated by one space; an argument is either one quoted string, or text and substitutions without quotes.
Within quotes, the arguments of a nested substitution are not quoted again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ptr_bringup.launching.errors import LaunchError, known_names
from ptr_bringup.launching.expressions import evaluate_expression
from ptr_bringup.launching.packages import package_prefix, package_share

DEEPEST = 50  # substitutions within substitutions
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Call:
    """`$(name argument …)`; each argument is a template."""

    name: str
    arguments: tuple[Template, ...]


Template: TypeAlias = "tuple[str | Call, ...]"
"""Text and calls, to be joined."""


@dataclass(frozen=True)
class Context:
    """What substitutions may look at."""

    variables: Mapping[str, str]
    environment: Mapping[str, str]
    file: Path


def substitute(text: str, context: Context) -> str:
    """Replace every substitution of `text` by its value."""
    return evaluate(parse(text), context)


def parse(text: str) -> Template:
    """Turn the text of an attribute into a template.

    Raises:
        LaunchError: the text isn't in the language; the sentence shows where.
    """
    return _Parser(text).template()


def evaluate(template: Template, context: Context) -> str:
    """The value of a template: its parts, joined."""
    return "".join(part if isinstance(part, str) else _call(part, context) for part in template)


def truth(text: str) -> bool:
    """A condition's value: true, false, 1 or 0, in any case."""
    word = text.strip().lower()
    if word not in ("true", "false", "1", "0"):
        raise LaunchError(f"a condition must be true, false, 1 or 0, not {text!r}")
    return word in ("true", "1")


# --- parsing ----------------------------------------------------------------------------------------------


class _Parser:
    """A recursive-descent parser over one attribute's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    def template(self) -> Template:
        """The whole text."""
        return self._parts(stop="", quoted=False, nested=False)

    def _parts(self, stop: str, quoted: bool, nested: bool) -> Template:
        """Text and calls up to a character of `stop`, or to the end.

        Args:
            stop: characters that end the run; they are not consumed.
            quoted: within quotes, where nested arguments can't be quoted.
            nested: an unquoted argument, where quotes and parentheses must be escaped.
        """
        parts: list[str | Call] = []
        text = ""
        while self.at < len(self.text) and self.text[self.at] not in stop:
            character = self.text[self.at]
            if character == "\\" and self.at + 1 < len(self.text):
                text += self.text[self.at + 1]
                self.at += 2
            elif self.text.startswith("$(", self.at):
                parts += [text] if text else []
                text = ""
                parts.append(self._call(quoted))
            elif nested and character in "'\"(":
                raise self._error(f"quote the whole argument, or write \\{character}")
            else:
                text += character
                self.at += 1
        return tuple([*parts, text] if text else parts)

    def _call(self, quoted: bool) -> Call:
        """`$(name argument …)`."""
        if self.depth >= DEEPEST:
            raise self._error(f"at most {DEEPEST} substitutions are nested")
        self.depth += 1
        self.at += 2
        match = NAME.match(self.text, self.at)
        if not match:
            raise self._error("a name is expected after '$('")
        self.at = match.end()
        arguments: list[Template] = []
        while self._peek() == " ":
            self.at += 1
            arguments.append(self._argument(quoted))
        if self._peek() != ")":
            raise self._error("')' is missing" if self._peek() == "" else "' ' or ')' is expected")
        self.at += 1
        self.depth -= 1
        return Call(match.group(), tuple(arguments))

    def _argument(self, quoted: bool) -> Template:
        """One argument, quoted or not."""
        quote = self._peek()
        if quote in ("'", '"') and not quoted:
            self.at += 1
            parts = self._parts(stop=quote, quoted=True, nested=False)
            if self._peek() != quote:
                raise self._error(f"the closing {quote} is missing")
            self.at += 1
            return parts
        parts = self._parts(stop=" )", quoted=quoted, nested=True)
        if not parts:
            raise self._error("an argument is expected; write one space between two arguments")
        return parts

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _error(self, sentence: str) -> LaunchError:
        return LaunchError(f"in {self.text!r} at character {self.at + 1}: {sentence}")


# --- evaluation -------------------------------------------------------------------------------------------


def _call(call: Call, context: Context) -> str:
    if call.name not in SUBSTITUTIONS:
        raise LaunchError(
            f"substitution $({call.name} …) is not supported; "
            + known_names(call.name, SUBSTITUTIONS, "supported substitutions")
        )
    least, most, function = SUBSTITUTIONS[call.name]
    if not least <= len(call.arguments) <= most:
        count = f"{least}" if least == most else f"{least} to {most}"
        raise LaunchError(f"$({call.name} …) takes {count} arguments, not {len(call.arguments)}")
    return function([evaluate(argument, context) for argument in call.arguments], context)


def _variable(values: Sequence[str], context: Context) -> str:
    if values[0] in context.variables:
        return context.variables[values[0]]
    if len(values) == 2:
        return values[1]
    raise LaunchError(
        f"launch variable {values[0]!r} is not set; "
        + known_names(values[0], context.variables, "variables that are set here")
    )


def _environment(values: Sequence[str], context: Context) -> str:
    if values[0] in context.environment:
        return context.environment[values[0]]
    if len(values) == 2:
        return values[1]
    raise LaunchError(f"environment variable {values[0]!r} is not set, and $(env …) gives no default")


def _word(value: bool) -> str:
    return "true" if value else "false"


Function = Callable[[Sequence[str], Context], str]

SUBSTITUTIONS: dict[str, tuple[int, int, Function]] = {
    "var": (1, 2, _variable),
    "env": (1, 2, _environment),
    "find-pkg-share": (1, 1, lambda v, c: str(package_share(v[0]))),
    "find-pkg-prefix": (1, 1, lambda v, c: str(package_prefix(v[0]))),
    "dirname": (0, 0, lambda v, c: os.path.dirname(os.path.abspath(c.file))),
    "filename": (0, 0, lambda v, c: os.path.abspath(c.file)),
    "eval": (1, 1, lambda v, c: evaluate_expression(v[0])),
    "equals": (2, 2, lambda v, c: _word(v[0] == v[1])),
    "not-equals": (2, 2, lambda v, c: _word(v[0] != v[1])),
    "not": (1, 1, lambda v, c: _word(not truth(v[0]))),
    "and": (2, 2, lambda v, c: _word(truth(v[0]) and truth(v[1]))),
    "or": (2, 2, lambda v, c: _word(truth(v[0]) or truth(v[1]))),
    "if": (2, 3, lambda v, c: v[1] if truth(v[0]) else (v[2] if len(v) == 3 else "")),
}
"""Name: fewest arguments, most arguments, function of the evaluated arguments."""
