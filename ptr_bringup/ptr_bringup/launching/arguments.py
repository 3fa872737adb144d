# SPDX-License-Identifier: Apache-2.0
"""Launch arguments: declarations, given values and missing ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptr_bringup.launching.documents import Element, read_document
from ptr_bringup.launching.errors import LaunchError, known_names
from ptr_bringup.launching.substitutions import Context, evaluate, unescape


@dataclass(frozen=True)
class Argument:
    """A declared launch argument; the default is as written, None if there is none."""

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]

    def missing(self) -> LaunchError:
        """The error for a required argument that is not given."""
        return LaunchError(
            f"launch argument {self.name!r} is required: {self.name}:=… ({self.description or 'no description'})"
        )

    def checked(self, value: str) -> str:
        """The value, if it is one of the choices, or if there are no choices."""
        if self.choices and value not in self.choices:
            near = known_names(value, self.choices, "choices")
            raise LaunchError(f"invalid launch argument {self.name}:={value}; {near}")
        return value

    @classmethod
    def of(cls, element: Element) -> Argument:
        """The argument that an `arg` element declares."""
        return cls(
            name=unescape(element.get("name")),
            default=element.attributes.get("default"),
            description=" ".join(unescape(element.get("description")).split()),
            choices=tuple(unescape(child.get("value")) for child in element.children),
        )


def parse_assignments(words: Sequence[str]) -> dict[str, str]:
    """Parse the `name:=value` words of a command line."""
    given = {}
    for word in words:
        name, _, value = word.partition(":=")
        if not name or not value:
            raise LaunchError(f"{word!r} is not a launch argument; write name:=value")
        given[name] = value
    return given


def require_arguments(root: Element, given: Collection[str]) -> None:
    """Refuse an include that does not give an argument that the file declares unconditionally and without a default."""
    seen = set()

    def collect(parent: Element) -> None:
        for element in parent.children:
            if element.tag == "group":
                collect(element)
            elif element.tag == "arg" and (argument := Argument.of(element)).name not in seen:
                seen.add(argument.name)
                needed = argument.default is None and not element.conditional and not parent.conditional
                if needed and argument.name not in given:
                    raise argument.missing()

    collect(root)


def declared_arguments(root: Element, environment: Mapping[str, str]) -> dict[str, Argument]:
    """All arguments of a file and of the files it includes, regardless of conditions.

    An include is skipped if its file name depends on something that isn't known yet.
    """
    declared: dict[str, Argument] = {}
    _collect(root, declared, environment, {root.place.file})
    return declared


def _collect(parent: Element, declared: dict[str, Argument], environment: Mapping[str, str], seen: set[Path]) -> None:
    for element in parent.children:
        if element.tag == "arg":
            argument = Argument.of(element)
            declared.setdefault(argument.name, argument)
        elif element.tag == "group":
            _collect(element, declared, environment, seen)
        elif element.tag == "include":
            defaults = {name: a.default for name, a in declared.items() if a.default is not None}
            context = Context(defaults, dict(environment), element.place.file, element.place.file)
            try:
                file = Path(evaluate(element.templates["file"], context))
                root = read_document(file)
            except LaunchError:
                continue  # reported when the include is executed, if it is
            if file not in seen:  # its arguments are the same each time
                seen.add(file)
                _collect(root, declared, environment, seen)
