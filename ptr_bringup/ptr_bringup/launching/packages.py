# SPDX-License-Identifier: Apache-2.0
"""Installed packages and their executables."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_packages_with_prefixes

from ptr_bringup.launching.errors import LaunchError, known_names


def package_prefix(name: str) -> Path:
    """The prefix that a package is installed in."""
    try:
        return Path(get_package_prefix(name))
    except (PackageNotFoundError, OSError, ValueError):
        raise LaunchError(f"package {name!r} is not installed; {_nearest(name)}") from None


def package_share(name: str) -> Path:
    """The share folder of a package."""
    return package_prefix(name) / "share" / name


def executable(package: str, name: str) -> Path:
    """A program of a package."""
    folder = package_prefix(package) / "lib" / package
    if path := shutil.which(name, path=folder):
        return Path(path)
    there = (entry.name for entry in folder.glob("*") if os.access(entry, os.X_OK) and entry.is_file())
    raise LaunchError(f"package {package!r} has no executable {name!r}; {known_names(name, there, 'its executables')}")


def _nearest(name: str) -> str:
    try:
        installed = get_packages_with_prefixes()
    except OSError:
        return "AMENT_PREFIX_PATH is not set; source ROS 2 and the workspace, or use the suite's .venv"
    same_family = [package for package in installed if package.startswith("ptr_")]
    return known_names(name, same_family or installed, "installed packages")
