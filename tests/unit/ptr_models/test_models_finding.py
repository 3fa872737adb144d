# SPDX-License-Identifier: Apache-2.0
"""Episodes are found and counted while others write, rename and move them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ptr_models.episodes import finding


def episode(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "0.mcap").write_bytes(b"bag")
    return folder


def test_a_folder_that_does_not_exist_yet_has_no_episodes(tmp_path: Path) -> None:
    assert finding.episodes_so_far(tmp_path / "later") == []


def test_an_episode_that_is_moved_away_while_they_are_counted_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = episode(tmp_path / "stays"), episode(tmp_path / "goes")
    scan = os.scandir

    def scan_late(folder: str):
        if folder == str(goes):
            goes.rename(tmp_path / "discarded")
        return scan(folder)

    monkeypatch.setattr(finding.os, "scandir", scan_late)
    assert finding.episodes_so_far(tmp_path) == [stays]


def test_an_episode_that_is_being_written_is_not_even_looked_into(tmp_path: Path, monkeypatch) -> None:
    episode(tmp_path / "one.partial")
    scanned: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(finding.os, "scandir", lambda folder: scanned.append(folder) or scan(folder))
    assert finding.episodes_so_far(tmp_path) == []
    assert scanned == [str(tmp_path)]
