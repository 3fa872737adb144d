# SPDX-License-Identifier: Apache-2.0
"""The only way to read YAML from outside, bounded like JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from ptr_models.common.errors import PtrError
from ptr_models.input_limits import MAX_YAML_BYTES


def parse_yaml(text: str, what: str, error: Callable[[str], Exception] = PtrError) -> Any:
    """The value of a YAML text.

    Args:
        what: what it is, at the start of the error message.
        error: makes the error to raise.
    Raises:
        error: it is not YAML, too long, nested too deeply, or holds a number with too many digits.
    """
    if len(text) > MAX_YAML_BYTES:
        raise error(f"{what} has {len(text)} characters; at most {MAX_YAML_BYTES} are read")
    try:
        return yaml.safe_load(text)
    except RecursionError:
        raise error(f"{what} is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as problem:  # the others: numbers, dates, keys
        raise error(f"{what} is not YAML: {' '.join(str(problem).split())}") from problem


def read_yaml(path: Path | str, what: str, error: Callable[[str], Exception] = PtrError) -> Any:
    """The value of a YAML file.

    Args:
        what: what it is; the path follows in the sentence.
    Raises:
        error: the file can't be read, or as in `parse_yaml`.
    """
    try:
        if Path(path).stat().st_size > MAX_YAML_BYTES:
            raise error(f"{what} {path} has {Path(path).stat().st_size} bytes; at most {MAX_YAML_BYTES} are read")
        text = Path(path).read_text(encoding="utf-8")
    except OSError as problem:
        raise error(f"{what} {path} can't be read: {problem.strerror or problem}") from problem
    except UnicodeDecodeError as problem:
        raise error(f"{what} {path} is not YAML: {problem}") from problem
    return parse_yaml(text, f"{what} {path}", error)
