# SPDX-License-Identifier: Apache-2.0
"""Episodes are found and counted while others write, rename and move them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ptr_models.cli import main
from ptr_models.episodes import episode_discovery
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.exclusion import Exclusion, only_in
from ptr_models.episodes.reader import read_metadata


def episode(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "0.mcap").write_bytes(b"bag")
    return folder


def test_a_folder_that_does_not_exist_yet_has_no_episodes(tmp_path: Path) -> None:
    assert episode_discovery.episodes_so_far(tmp_path / "later") == []


def test_an_episode_that_is_moved_away_while_they_are_counted_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, goes = episode(tmp_path / "stays"), episode(tmp_path / "goes")
    scan = os.scandir

    def scan_late(folder: str):
        if folder == str(goes):
            goes.rename(tmp_path / "discarded")
        return scan(folder)

    monkeypatch.setattr(episode_discovery.os, "scandir", scan_late)
    assert episode_discovery.episodes_so_far(tmp_path) == [stays]


def test_an_episode_that_is_being_written_is_not_even_looked_into(tmp_path: Path, monkeypatch) -> None:
    episode(tmp_path / "one.partial")
    scanned: list[str] = []
    scan = os.scandir
    monkeypatch.setattr(episode_discovery.os, "scandir", lambda folder: scanned.append(folder) or scan(folder))
    assert episode_discovery.episodes_so_far(tmp_path) == []
    assert scanned == [str(tmp_path)]


def test_links_to_episodes_and_folders_are_followed_once(tmp_path: Path) -> None:
    """A subset made of links, one of which leads back to its own folder."""
    chosen = episode(tmp_path / "all" / "chosen")
    episode(tmp_path / "all" / "other")
    subset = tmp_path / "subset"
    subset.mkdir()
    (subset / "link").symlink_to(chosen)
    (subset / "loop").symlink_to(subset)
    assert list(episode_discovery.find_bags([subset])) == [str(subset / "link")]
    (tmp_path / "everything").symlink_to(tmp_path / "all")
    assert len(episode_discovery.find_bags([tmp_path / "everything"])) == 2


def test_a_link_that_leads_nowhere_is_named_and_hides_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    here = episode(tmp_path / "here")
    for name in ("a_gone", "z_gone"):
        (tmp_path / name).symlink_to(tmp_path / "nothing")
        (here / f"{name}.mcap").symlink_to(tmp_path / "nothing")
    assert list(episode_discovery.find_bags([tmp_path])) == [str(here)]
    for path in (tmp_path / "a_gone", here / "z_gone.mcap"):
        assert f"the link {path} is broken" in caplog.text


@pytest.mark.parametrize("pattern", ["bad_*", "{root}/all/bad_1", "{root}/*/bad_*", "sub/../bad_1", "{root}/link"])
def test_what_is_excluded_by_path_or_glob_is_left_out_with_all_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    good, bad = episode(tmp_path / "all" / "good"), tmp_path / "all" / "bad_1"
    episode(bad / "below")
    (tmp_path / "all" / "sub").mkdir()
    (tmp_path / "link").symlink_to(bad)
    monkeypatch.chdir(tmp_path / "all")
    exclusion = Exclusion([pattern.format(root=tmp_path)])
    assert list(episode_discovery.find_bags([tmp_path / "all"], exclusion)) == [str(good)]


def test_an_exclusion_that_leaves_nothing_out_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    episode(tmp_path / "a")
    episode(tmp_path / "2026" / "a")
    exclusion = Exclusion(["2026/*", "b"])
    assert list(episode_discovery.find_bags([tmp_path], exclusion)) == [str(tmp_path / "a")]
    exclusion.warn_of_unused()
    assert caplog.messages == ["--exclude b matches nothing"]


@pytest.mark.parametrize("pattern", ["bad", "b*d", "sub/bad", "s*/bad"])
def test_an_exclusion_from_one_folder_leaves_others_alone(tmp_path: Path, pattern: str) -> None:
    here, there = tmp_path / "here [1]", tmp_path / "there"
    episode(here / "good")
    for folder in (here, there):
        episode(folder / "sub" / "bad")
    exclusion = Exclusion(only_in(str(here), [pattern]))
    assert list(episode_discovery.find_bags([here, there], exclusion)) == [
        str(here / "good"),
        str(there / "sub" / "bad"),
    ]


def test_an_exclusion_of_everything_is_an_error(tmp_path: Path) -> None:
    episode(tmp_path / "a")
    with pytest.raises(EpisodeError, match="--exclude leaves out all of them"):
        episode_discovery.find_bags([tmp_path], Exclusion(["*"]))


def test_a_file_in_place_of_a_folder_of_episodes_is_called_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(EpisodeError, match=r"notes\.txt is a file; give a folder with episodes"):
        episode_discovery.find_bags([tmp_path / "notes.txt"])


def test_a_stray_file_beside_episodes_is_named_and_the_episodes_are_shown(
    make_episode: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a shell gives them: `ptr inspect data/carrot/*`."""
    for seed in range(3):
        make_episode(seed)
    stray = tmp_path / "bags" / "notes.txt"
    stray.write_text("about these")
    paths = [str(path) for path in sorted((tmp_path / "bags").iterdir())]
    assert main(["inspect", *paths, "--exclude", "episode_0001"]) == 2
    output = capsys.readouterr().out
    assert f"{stray} is not an episode; give an episode" in output
    assert [f"episode_000{seed}" in output for seed in range(3)] == [True, False, True]
    assert main(["inspect", *paths, "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_an_unknown_key_in_a_label_is_named_with_those_that_are_known(make_episode: Callable[..., Path]) -> None:
    label = make_episode() / "episode.json"
    values = json.loads(label.read_text())
    values["labels"] = [{"outcome": "success", "stamp_ns": 1, "mood": "good"}]
    label.write_text(json.dumps(values))
    with pytest.raises(
        EpisodeError, match="label 0 has the unknown key 'mood'; known: outcome, stamp_ns, annotator, score"
    ):
        read_metadata(label.parent)
