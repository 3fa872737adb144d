# SPDX-License-Identifier: Apache-2.0
"""Launch files as trees of elements, checked for supported tags and attributes."""

from __future__ import annotations

import contextlib
import xml.parsers.expat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ptr_bringup.launching.errors import LaunchError, Place, PlacedError, known_names
from ptr_bringup.launching.substitutions import Template, parse

SUFFIXES = (".launch.xml", ".xml", ".launch")
MAX_LENGTH = 2**20  # characters of a file


@dataclass
class Element:
    """One XML element; `place` is the line of its start tag, `templates` are the attributes with substitutions."""

    tag: str
    attributes: Mapping[str, str]
    place: Place
    children: list[Element] = field(default_factory=list)
    templates: dict[str, Template] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        """An attribute's text as written."""
        return self.attributes.get(name, default)

    @contextlib.contextmanager
    def adding_context(self, attribute: str) -> Iterator[None]:
        """Add the attribute to the message of errors in the block."""
        try:
            yield
        except PlacedError:
            raise
        except LaunchError as error:
            raise self.place.error(f"{attribute!r} of <{self.tag}>: {error}") from None

    @property
    def conditional(self) -> bool:
        """Whether it has an `if` or `unless`."""
        return not {"if", "unless"}.isdisjoint(self.attributes)


ACTIONS = "arg let group include node executable log set_env unset_env push_ros_namespace push-ros-namespace"
PROCESS = "name args cwd output on_exit respawn respawn_delay launch-prefix if unless"
RULES = {
    "launch": ("", "", ACTIONS),
    "arg": ("name", "default description if unless", "choice"),
    "choice": ("value", "", ""),
    "let": ("name value", "if unless", ""),
    "group": ("", "scoped if unless", ACTIONS),
    "include": ("file", "if unless", "arg"),
    "include/arg": ("name value", "", ""),
    "node": ("pkg exec", f"namespace ros_args {PROCESS}", "param remap env"),
    "param": ("", "name value type from", ""),
    "remap": ("from to", "", ""),
    "env": ("name value", "", ""),
    "executable": ("cmd", PROCESS.replace("args ", ""), "env"),
    "log": ("message", "if unless", ""),
    "set_env": ("name value", "if unless", ""),
    "unset_env": ("name", "if unless", ""),
    "push_ros_namespace": ("namespace", "if unless", ""),
    "push-ros-namespace": ("namespace", "if unless", ""),
}
"""Required and optional attributes of each tag, and its children; `include/arg` is an `arg` inside an `include`."""
LITERAL = {
    "arg": {"name", "description"},
    "choice": {"value"},
    "group": {"scoped"},
    "param": {"type", "value"},  # its substitutions are parsed after its YAML
    "node": {"on_exit", "respawn_delay"},
    "executable": {"on_exit", "respawn_delay"},
}
"""Attributes without substitutions, by tag."""


def read_document(file: Path) -> Element:
    """Read a launch file; unsupported elements are refused by name and line.

    Raises:
        LaunchError: the file can't be read, isn't XML, or contains something unsupported.
    """
    if not file.name.endswith(SUFFIXES):
        raise LaunchError(f"{file}: only launch files in XML ({', '.join(SUFFIXES)}) are supported here")
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise LaunchError(f"can't read launch file {file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise LaunchError(f"launch file {file} is not in UTF-8: {error.reason} at byte {error.start}") from None
    if len(text) > MAX_LENGTH:
        raise LaunchError(f"launch file {file} has {len(text)} characters; the maximum is {MAX_LENGTH}")
    root = _Reader(file).read(text)
    if root.tag != "launch":
        raise root.place.error(f"the root must be <launch>, not <{root.tag}>")
    try:
        _check(root, "launch")
    except RecursionError:
        raise LaunchError(f"launch file {file}: elements or substitutions are nested too deeply") from None
    return root


class _Reader:
    """Builds elements with line numbers, which ElementTree does not provide."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.stack: list[Element] = []
        self.root: Element | None = None
        self.parser = xml.parsers.expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = lambda tag: self.stack.pop()
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype

    def read(self, text: str) -> Element:
        try:
            self.parser.Parse(text, True)
        except xml.parsers.expat.ExpatError as error:
            problem = xml.parsers.expat.ErrorString(error.code)
            raise Place(self.file, error.lineno).error(f"not well-formed XML: {problem}") from None
        assert self.root is not None, "expat accepts no document without a root"
        return self.root

    def _here(self) -> Place:
        return Place(self.file, self.parser.CurrentLineNumber)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes, self._here())
        if self.stack:
            self.stack[-1].children.append(element)
        else:
            self.root = element
        self.stack.append(element)

    def _text(self, text: str) -> None:
        if text.strip():
            raise self._here().error(f"text {text.strip()!r} is not supported; put values into attributes")

    def _doctype(self, *_: object) -> None:
        raise self._here().error("a document type declaration is not supported")


def _check(element: Element, key: str) -> None:
    """Refuse tags and attributes that are not in RULES, and parse the substitutions."""
    required, optional, children = (frozenset(names.split()) for names in RULES[key])
    allowed = required | optional
    for name in element.attributes:
        if name not in allowed:
            raise element.place.error(
                f"attribute {name!r} of <{element.tag}> is not supported; "
                + known_names(name, allowed, f"attributes of <{element.tag}>")
            )
    for name in sorted(required - element.attributes.keys()):
        raise element.place.error(f"<{element.tag}> needs the attribute {name!r}")
    if "if" in element.attributes and "unless" in element.attributes:
        raise element.place.error(f"<{element.tag}> has both 'if' and 'unless'")
    for name, text in element.attributes.items():
        if name not in LITERAL.get(key, ()):
            with element.adding_context(name):
                element.templates[name] = parse(text)
    for child in element.children:
        if child.tag not in children:
            raise child.place.error(
                f"<{child.tag}> inside <{element.tag}> is not supported; "
                + known_names(child.tag, children, "supported there")
            )
        _check(child, "include/arg" if (key, child.tag) == ("include", "arg") else child.tag)
