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


def test_links_to_episodes_and_folders_are_followed_once(tmp_path: Path) -> None:
    """A subset made of links, one of which leads back to its own folder."""
    chosen = episode(tmp_path / "all" / "chosen")
    episode(tmp_path / "all" / "other")
    subset = tmp_path / "subset"
    subset.mkdir()
    (subset / "link").symlink_to(chosen)
    (subset / "loop").symlink_to(subset)
    assert list(finding.find_bags([subset])) == [str(subset / "link")]
    (tmp_path / "everything").symlink_to(tmp_path / "all")
    assert len(finding.find_bags([tmp_path / "everything"])) == 2


def test_a_link_that_leads_nowhere_is_named_and_hides_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    here = episode(tmp_path / "here")
    for name in ("a_gone", "z_gone"):
        (tmp_path / name).symlink_to(tmp_path / "nothing")
        (here / f"{name}.mcap").symlink_to(tmp_path / "nothing")
    assert list(finding.find_bags([tmp_path])) == [str(here)]
    for path in (tmp_path / "a_gone", here / "z_gone.mcap"):
        assert f"the link {path} leads nowhere" in caplog.text
