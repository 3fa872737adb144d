# SPDX-License-Identifier: Apache-2.0
"""Which software was used: the commit of the source tree, and the versions of installed packages."""

from __future__ import annotations

import functools
import importlib.metadata
import subprocess
from collections.abc import Iterable
from pathlib import Path

PACKAGES = ("ptr_models", "ptr_msgs", "ptr_bringup", "ptr_teleop", "ptr_policy", "rosbags")
_OURS = ("ptr_msgs/package.xml", "models/package.xml")  # distinguish this suite's tree from one around an installation


@functools.lru_cache(maxsize=1)
def source_commit() -> str | None:
    """Git's name of the source tree, `-dirty` when files differ from it; None for an installed package."""
    here = str(Path(__file__).resolve().parent)
    try:
        top = Path(_git(here, "rev-parse", "--show-toplevel"))
        if not all((top / name).is_file() for name in _OURS):
            return None
        return _git(here, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: str, *words: str) -> str:
    command = ["git", "-C", folder, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()


def installed_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of those packages that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
