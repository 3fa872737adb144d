# SPDX-License-Identifier: Apache-2.0
"""Launch arguments: which there are, and what a given or missing one means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptr_bringup.launching.documents import Element, read_document
from ptr_bringup.launching.errors import LaunchError, Place, known_names
from ptr_bringup.launching.substitutions import Context, substitute


@dataclass(frozen=True)
class Argument:
    """A declared launch argument; the default is as written, None when there is none."""

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]
    place: Place

    @classmethod
    def of(cls, element: Element) -> Argument:
        """The argument that an `arg` element declares."""
        return cls(
            name=element.get("name"),
            default=element.attributes.get("default"),
            description=" ".join(element.get("description").split()),
            choices=tuple(child.get("value") for child in element.children),
            place=element.place,
        )


def parse_assignments(words: Sequence[str]) -> dict[str, str]:
    """`name:=value` words of a command line."""
    given = {}
    for word in words:
        name, separator, value = word.partition(":=")
        if not separator or not name:
            raise LaunchError(f"{word!r} is not a launch argument; write name:=value")
        given[name] = value
    return given


def resolve(argument: Argument, default: str | None, given: str | None) -> str:
    """The value of an argument: the given one, or the default; one of the choices if there are any."""
    value = default if given is None else given
    if value is None:
        raise LaunchError(
            f"launch argument {argument.name!r} is required: {argument.name}:=… "
            f"({argument.description or 'no description'})"
        )
    if argument.choices and value not in argument.choices:
        raise LaunchError(
            f"launch argument {argument.name}:={value} is not possible; "
            + known_names(value, argument.choices, "choices")
        )
    return value


def declared_arguments(root: Element, environment: Mapping[str, str]) -> dict[str, Argument]:
    """Every argument of a file and of what it includes, whatever the conditions say.

    An include whose file name depends on something that isn't known yet is left out.
    """
    declared: dict[str, Argument] = {}
    _collect(root, declared, environment, {root.place.file})
    return declared


def _collect(
    parent: Element, declared: dict[str, Argument], environment: Mapping[str, str], seen: set[Path]
) -> None:
    for element in parent.children:
        if element.tag == "arg":
            declared.setdefault(element.get("name"), Argument.of(element))
        elif element.tag == "group":
            _collect(element, declared, environment, seen)
        elif element.tag == "include":
            defaults = {name: a.default for name, a in declared.items() if a.default is not None}
            context = Context(defaults, environment, element.place.file)
            try:
                file = Path(substitute(element.get("file"), context))
                root = read_document(file)
            except LaunchError:
                continue  # said when the include is carried out, if it is
            if file not in seen:  # its arguments are the same each time
                seen.add(file)
                _collect(root, declared, environment, seen)


def unknown_argument(name: str, file: Path, declared: Mapping[str, Argument]) -> LaunchError:
    """The error about an argument that the file doesn't declare."""
    return LaunchError(
        f"{file.name} has no launch argument {name!r}; " + known_names(name, declared, "its arguments")
    )
