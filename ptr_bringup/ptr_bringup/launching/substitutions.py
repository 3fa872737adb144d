# SPDX-License-Identifier: Apache-2.0
r"""The `$(name argument …)` language of launch files: parsing and evaluation.

This is the grammar of ROS 2's launch: `\c` stands for `c`, and a `$` after a backslash is text. Arguments of `$(…)` are
separated by one space. An argument is either one quoted string, or unquoted text and substitutions. Within quotes, the
arguments of a nested substitution are not quoted again.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import yaml

from ptr_bringup.launching.errors import LaunchError, known_names
from ptr_bringup.launching.expressions import evaluate_expression
from ptr_bringup.launching.packages import package_prefix, package_share

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Call:
    """`$(name argument …)`; each argument is a template."""

    name: str
    arguments: tuple[Template, ...]


Template: TypeAlias = "tuple[str | Call, ...]"
"""Text and calls, to be joined."""


@dataclass
class Context:
    """The data available to substitutions.

    Attributes:
        file: the file being executed.
        latest: the file that was included last. ROS 2's launch treats it as the current one until the next include.
        asked: names of the variables that were looked up.
    """

    variables: dict[str, str]
    environment: dict[str, str]
    file: Path
    latest: Path
    asked: set[str] = field(default_factory=set)

    def variable(self, name: str) -> str | None:
        """The value of a launch variable, None if it is not set."""
        self.asked.add(name)
        return self.variables.get(name)


def parse(text: str) -> Template:
    """Turn the text of an attribute into a template.

    Raises:
        LaunchError: syntax error; the message shows where.
    """
    return _Parser(text).template()


def evaluate(template: Template, context: Context) -> str:
    """The value of a template: its parts, joined."""
    return "".join(part if isinstance(part, str) else _value(part, context) for part in template)


def unescape(text: str) -> str:
    r"""Text in which `\c` stands for `c`."""
    return re.sub(r"\\(.)", r"\1", text)


def split(template: Template) -> list[Template]:
    """The words of a command line, split as in a shell; values of substitutions are not split."""
    words: list[Template] = []
    word: Template = ()
    for part in template or ("",):
        if isinstance(part, Call):
            word += (part,)
            continue
        try:
            tokens = shlex.split(part)
        except ValueError as error:
            raise LaunchError(f"{part!r} can't be split into words: {error}") from None
        if word and tokens and part[0].isspace():
            words, word = [*words, word], ()
        if tokens:
            *others, last = tokens
            for token in others:
                words, word = [*words, (*word, token)], ()
            word += (last,)
        if not tokens or part[-1].isspace():
            words, word = [*words, word], ()
    return [*words, word] if word else words


def condition(text: str) -> bool:
    """The value of `if` or `unless`: true, false, 1 or 0, in upper or lower case."""
    word = text.strip().lower()
    if word not in ("true", "false", "1", "0"):
        raise LaunchError(f"a condition must be true, false, 1 or 0, not {text!r}")
    return word in ("true", "1")


def boolean(text: str) -> bool:
    """Any other boolean: a YAML boolean, 1 or 0."""
    try:
        value = {"1": True, "0": False}.get(text, yaml.safe_load(text))
    except (yaml.YAMLError, ValueError):
        value = None
    if not isinstance(value, bool):
        raise LaunchError(f"{text!r} is neither true nor false")
    return value


# --- parsing ----------------------------------------------------------------------------------------------


def _text(end: str, quotes: str = "") -> re.Pattern[str]:
    """Text without the characters of `end`, except escaped quotes and parentheses, up to `$(`."""
    escaped = rf"\\[{quotes}]|" if quotes else ""
    return re.compile(rf"(?:{escaped}[^{end}\\$]|(?<=\\)[()$]|\$(?!\()|\\)+")


TEXT = {"": _text(""), "'": _text("'", "'"), '"': _text('"', '"')}
ARGUMENT = {"": _text(" '\"()", "'\""), "'": _text(" '()", "'"), '"': _text(' "()', '"')}
"""Text, and text of an unquoted argument, outside quotes or inside those of the key."""


class _Parser:
    """A recursive-descent parser over one attribute's text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def template(self, quote: str = "") -> Template:
        """The text up to the closing quote, or to the end."""
        parts: list[str | Call] = []
        while self._peek() not in ("", quote):
            parts.append(self._part(TEXT[quote], quote))
        return tuple(parts)

    def _part(self, pattern: re.Pattern[str], quote: str) -> str | Call:
        if match := pattern.match(self.text, self.at):
            self.at = match.end()
            return unescape(match.group())
        if self.text.startswith("$(", self.at):
            return self._call(quote)
        raise self._error(f"quote the whole argument, or write \\{self._peek()}")

    def _call(self, quote: str) -> Call:
        """`$(name argument …)`."""
        self.at += 2
        match = NAME.match(self.text, self.at)
        if not match:
            raise self._error("expected a name after '$('")
        self.at = match.end()
        arguments: list[Template] = []
        while self._peek() == " ":
            self.at += 1
            arguments.append(self._argument(quote))
        if self._peek() != ")":
            raise self._error("missing ')'" if self._peek() == "" else "expected ' ' or ')'")
        self.at += 1
        return _known(Call(match.group(), tuple(arguments)))

    def _argument(self, quote: str) -> Template:
        """One argument, quoted or not."""
        own = self._peek()
        if own in ("'", '"') and not quote:
            self.at += 1
            quoted = self.template(own)
            if self._peek() != own:
                raise self._error(f"missing closing {own}")
            self.at += 1
            return quoted
        parts: list[str | Call] = []
        while self._peek() not in ("", " ", ")"):
            parts.append(self._part(ARGUMENT[quote], quote))
        if not parts:
            raise self._error("expected an argument; write one space between two arguments")
        return tuple(parts)

    def _peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def _error(self, sentence: str) -> LaunchError:
        return LaunchError(f"in {self.text!r} at character {self.at + 1}: {sentence}")


def _known(call: Call) -> Call:
    """The call, if the substitution exists and has this number of arguments."""
    if call.name not in SUBSTITUTIONS:
        raise LaunchError(
            f"substitution $({call.name} …) is not supported; "
            + known_names(call.name, SUBSTITUTIONS, "supported substitutions")
        )
    low, high, _ = SUBSTITUTIONS[call.name]
    if not low <= len(call.arguments) <= high:
        count = f"{low}" if low == high else f"{low} to {high}"
        raise LaunchError(f"$({call.name} …) takes {count} arguments, not {len(call.arguments)}")
    if call.name in ("equals", "not-equals") and () in call.arguments:
        raise LaunchError(f"$({call.name} …) with '' is not supported: in ROS 2's launch, '' is not an empty string")
    return call


# --- evaluation -------------------------------------------------------------------------------------------


def _value(call: Call, context: Context) -> str:
    function = SUBSTITUTIONS[call.name][2]
    value = function(context, *call.arguments)
    return value if isinstance(value, str) else str(value).lower()


def _variable(context: Context, name: Template, default: Template | None = None) -> str:
    key = evaluate(name, context)
    value = context.variable(key)
    if value is None and default is not None:
        return evaluate(default, context)
    if value is None:
        near = known_names(key, context.variables, "variables that are set here")
        raise LaunchError(f"launch variable {key!r} is not set; {near}")
    return value


def _environment(context: Context, name: Template, default: Template | None = None) -> str:
    otherwise = None if default is None else evaluate(default, context)
    value = context.environment.get(key := evaluate(name, context), otherwise)
    if value is None:
        raise LaunchError(f"environment variable {key!r} is not set, and $(env …) has no default")
    return value


def _same(own: Path, latest: Path) -> str:
    if own.absolute() != latest.absolute():
        raise LaunchError(
            f"after an include, ROS 2's launch uses {latest} instead of {own}; use <let> before the include"
        )
    return os.path.abspath(own)


def _truth(context: Context, argument: Template) -> bool:
    return boolean(evaluate(argument, context))


def _equal(context: Context, *arguments: Template) -> bool:
    left, right = (evaluate(argument, context) for argument in arguments)
    if {left.lower(), right.lower()} <= {"true", "1", "false", "0"}:
        return condition(left) == condition(right)
    try:
        return math.isclose(float(left), float(right))
    except ValueError:
        return left == right


def _either(context: Context, chosen: Template, yes: Template, no: Template = ()) -> str:
    return evaluate(yes if _truth(context, chosen) else no, context)


SUBSTITUTIONS: dict[str, tuple[int, int, Callable[..., str | bool]]] = {
    "var": (1, 2, _variable),
    "env": (1, 2, _environment),
    "find-pkg-share": (1, 1, lambda c, name: str(package_share(evaluate(name, c)))),
    "find-pkg-prefix": (1, 1, lambda c, name: str(package_prefix(evaluate(name, c)))),
    "dirname": (0, 0, lambda c: _same(c.file.parent, c.latest.parent)),
    "filename": (0, 0, lambda c: _same(c.file, c.latest)),
    "eval": (1, 1, lambda c, text: evaluate_expression(evaluate(text, c))),
    "equals": (2, 2, _equal),
    "not-equals": (2, 2, lambda c, a, b: not _equal(c, a, b)),
    "not": (1, 1, lambda c, a: not _truth(c, a)),
    "and": (2, 2, lambda c, a, b: all([_truth(c, a), _truth(c, b)])),
    "or": (2, 2, lambda c, a, b: any([_truth(c, a), _truth(c, b)])),
    "if": (2, 3, _either),
}
"""Name: minimum and maximum number of arguments, function of the context and the arguments."""
