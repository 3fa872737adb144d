# SPDX-License-Identifier: Apache-2.0
"""For which nodes a parameter file has parameters. Imports no rclpy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ptr_models.common.errors import PtrError


class ParameterFileError(PtrError):
    """A parameter file is for other nodes; the message says how to write it."""


def sections(content: Any, above: str = "") -> Iterator[str]:
    """Full names of the nodes that a file has parameters for, with wildcards; namespaces may be nested."""
    if not isinstance(content, dict):
        return
    if "ros__parameters" in content:
        yield above or "/"
        return
    for name, part in content.items():
        yield from sections(part, f"{above}/{str(name).strip('/')}")


def is_for(section: str, node: str) -> bool:
    """Whether a section is for a node of this full name; `*` stands for one part of a name, `**` for any number."""
    parts = {"*": r"/[^/]+", "**": r"(?:/[^/]+)*"}
    pattern = "".join(parts.get(part, "/" + re.escape(part)) for part in section.strip("/").split("/"))
    return re.fullmatch(pattern, node) is not None


def given_files(arguments: Sequence[str]) -> list[Path]:
    """The parameter files among a node's arguments."""
    return [Path(file) for word, file in zip(arguments, arguments[1:], strict=False) if word == "--params-file"]


def require_reachable(files: Iterable[Path], namespace: str) -> None:
    """Refuse a file with parameters of nodes without a namespace in one: ROS would ignore them without a word.

    Raises:
        ParameterFileError: names the file, and what to write.
    """
    home = namespace.rstrip("/")
    if not home:
        return
    for file in files:
        try:
            found = list(sections(yaml.safe_load(file.read_text(encoding="utf-8"))))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # rcl says what is wrong with it
        for section in found:
            alone = section.count("/") == 1 and "*" not in section
            if alone and not any(is_for(other, home + section) for other in found):
                raise ParameterFileError(
                    f"{file} has parameters of the node {section}, not of {home}{section}; write '/**{section}:' "
                    "there, which is the node in every namespace"
                )
