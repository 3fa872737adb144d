# SPDX-License-Identifier: Apache-2.0
"""Which nodes a parameter file is for. Imports no rclpy."""

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
    """Full names, with wildcards, of the nodes that a file has parameters for; namespaces may be nested."""
    if not isinstance(content, dict):
        return
    if "ros__parameters" in content:
        yield above or "/"
        return
    for name, part in content.items():
        yield from sections(part, f"{above}/{str(name).strip('/')}")


def is_for(section: str, node: str) -> bool:
    """Whether a section is for the node with this full name; `*` matches one part of a name, `**` any number."""
    parts = {"*": r"/[^/]+", "**": r"(?:/[^/]+)*"}
    pattern = "".join(parts.get(part, "/" + re.escape(part)) for part in section.strip("/").split("/"))
    return re.fullmatch(pattern, node) is not None


def given_files(arguments: Sequence[str]) -> list[Path]:
    """The parameter files among a node's arguments."""
    return [Path(file) for word, file in zip(arguments, arguments[1:], strict=False) if word == "--params-file"]


def require_reachable(files: Iterable[Path], namespace: str) -> None:
    """Refuse a file whose parameters are for nodes outside this namespace: ROS would silently ignore them.

    Raises:
        ParameterFileError: the message names the file, and what to write.
    """
    home = namespace.rstrip("/")
    if not home:
        return
    for file in files:
        try:
            found = list(sections(yaml.safe_load(file.read_text(encoding="utf-8"))))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # rcl reports the error
        for section in found:
            alone = section.count("/") == 1 and "*" not in section
            if alone and not any(is_for(other, home + section) for other in found):
                raise ParameterFileError(
                    f"{file} has parameters of the node {section}, not of {home}{section}; write '/**{section}:' "
                    "instead, which matches every namespace"
                )
