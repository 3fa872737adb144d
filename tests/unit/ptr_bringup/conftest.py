# SPDX-License-Identifier: Apache-2.0
"""Fixtures for several tests of ptr_bringup."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_bringup.doctor.checks import EXECUTABLES

SOURCES = Path(__file__).resolve().parents[3] / "ptr_bringup"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation of the suite with empty programs."""
    index = tmp_path / "share/ament_index/resource_index/packages"
    index.mkdir(parents=True)
    for package, names in EXECUTABLES.items():
        (index / package).touch()
        (tmp_path / "lib" / package).mkdir(parents=True)
        for name in names:
            (tmp_path / "lib" / package / name).touch(0o755)
    (tmp_path / "share/ptr_bringup/launch").mkdir(parents=True)
    for name in ("config", "urdf"):
        (tmp_path / "share/ptr_bringup" / name).symlink_to(SOURCES / name)
    for file in sorted((SOURCES / "launch").glob("*.launch.xml")):
        (tmp_path / "share/ptr_bringup/launch" / file.name).symlink_to(file)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
