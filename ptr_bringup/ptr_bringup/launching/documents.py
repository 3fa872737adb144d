# SPDX-License-Identifier: Apache-2.0
"""Launch files as trees of elements, checked against what is supported."""

from __future__ import annotations

import xml.parsers.expat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ptr_bringup.launching.errors import LaunchError, Place, known_names

SUFFIXES = (".launch.xml", ".xml", ".launch")
DEEPEST = 50  # elements within elements
LARGEST = 2**20  # bytes of a file


@dataclass
class Element:
    """One XML element; `place` is the line of its start tag."""

    tag: str
    attributes: Mapping[str, str]
    place: Place
    children: list[Element] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        """An attribute's text, with its substitutions not yet evaluated."""
        return self.attributes.get(name, default)


@dataclass(frozen=True)
class Rule:
    """What an element may hold."""

    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    children: frozenset[str] = frozenset()


def _rule(required: str = "", optional: str = "", children: str = "") -> Rule:
    return Rule(frozenset(required.split()), frozenset(optional.split()), frozenset(children.split()))


ACTIONS = frozenset(
    "arg let group include node executable log set_env unset_env "
    "push_ros_namespace push-ros-namespace".split()
)
_PROCESS = "name args cwd output on_exit respawn respawn_delay launch-prefix if unless"
RULES: dict[str, Rule] = {
    "launch": Rule(children=ACTIONS),
    "arg": _rule("name", "default description if unless", "choice"),
    "choice": _rule("value"),
    "let": _rule("name value", "if unless"),
    "group": Rule(optional=frozenset({"scoped", "if", "unless"}), children=ACTIONS),
    "include": _rule("file", "if unless", "arg"),
    "include/arg": _rule("name value"),
    "node": _rule("pkg exec", f"namespace ros_args {_PROCESS}", "param remap env"),
    "param": _rule("", "name value type from"),
    "remap": _rule("from to"),
    "env": _rule("name value"),
    "executable": _rule("cmd", _PROCESS.replace("args ", ""), "env"),
    "log": _rule("message", "if unless"),
    "set_env": _rule("name value", "if unless"),
    "unset_env": _rule("name", "if unless"),
    "push_ros_namespace": _rule("namespace", "if unless"),
    "push-ros-namespace": _rule("namespace", "if unless"),
}
"""What each tag may hold; `include/arg` is an `arg` inside of an `include`."""


def read_document(file: Path) -> Element:
    """Read a launch file and refuse what isn't supported, by name and line.

    Raises:
        LaunchError: the file isn't there, isn't XML, or holds something that isn't supported.
    """
    if not file.name.endswith(SUFFIXES):
        raise LaunchError(f"{file}: only launch files in XML ({', '.join(SUFFIXES)}) are supported here")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise LaunchError(f"launch file {file} can't be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise LaunchError(f"launch file {file} has {len(data)} bytes; at most {LARGEST} are read")
    root = _Reader(file).read(data)
    if root.tag != "launch":
        raise root.place.error(f"the root must be <launch>, not <{root.tag}>")
    _check(root, "launch")
    return root


class _Reader:
    """Builds elements that know their line (ElementTree's don't)."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.stack: list[Element] = []
        self.root: Element | None = None
        self.parser = xml.parsers.expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = lambda tag: self.stack.pop()
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype

    def read(self, data: bytes) -> Element:
        try:
            self.parser.Parse(data, True)
        except xml.parsers.expat.ExpatError as error:
            problem = xml.parsers.expat.ErrorString(error.code)
            raise Place(self.file, error.lineno).error(f"not well-formed XML: {problem}") from None
        except (LookupError, ValueError) as error:  # of an encoding that Python or expat does not know
            raise Place(self.file, 1).error(f"the encoding can't be read ({error}); write UTF-8") from None
        assert self.root is not None, "expat accepts no document without a root"
        return self.root

    def _here(self) -> Place:
        return Place(self.file, self.parser.CurrentLineNumber)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes, self._here())
        if len(self.stack) >= DEEPEST:
            raise element.place.error(f"<{tag}> is inside of {len(self.stack)} elements; at most {DEEPEST} are nested")
        if self.stack:
            self.stack[-1].children.append(element)
        else:
            self.root = element
        self.stack.append(element)

    def _text(self, text: str) -> None:
        if text.strip():
            raise self._here().error(f"text {text.strip()!r} is not supported; values are attributes")

    def _doctype(self, *_: object) -> None:
        raise self._here().error("a document type declaration is not supported")


def _check(element: Element, key: str) -> None:
    """Refuse tags and attributes that RULES doesn't know."""
    rule = RULES[key]
    allowed = rule.required | rule.optional
    for name in element.attributes:
        if name not in allowed:
            raise element.place.error(
                f"attribute {name!r} of <{element.tag}> is not supported; "
                + known_names(name, allowed, f"attributes of <{element.tag}>")
            )
    for name in sorted(rule.required - element.attributes.keys()):
        raise element.place.error(f"<{element.tag}> needs the attribute {name!r}")
    if "if" in element.attributes and "unless" in element.attributes:
        raise element.place.error(f"<{element.tag}> has both 'if' and 'unless'")
    for child in element.children:
        if child.tag not in rule.children:
            raise child.place.error(
                f"<{child.tag}> inside of <{element.tag}> is not supported; "
                + known_names(child.tag, rule.children, "supported there")
            )
        _check(child, "include/arg" if (key, child.tag) == ("include", "arg") else child.tag)
