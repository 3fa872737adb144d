# SPDX-License-Identifier: Apache-2.0
"""What lies around an episode: its folder, its name, its label, and what a caller adds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata, Label
from ptr_teleop.recorder.episode import RecorderError, episode_id, parse_extra
from ptr_teleop.recorder.files import read_contract, relabel
from ptr_teleop.recorder.folder import EpisodeFolder, FolderError

T0 = 1_795_000_000 * 10**9


def test_a_second_recorder_on_the_folder_is_refused(tmp_path: Path) -> None:
    first = EpisodeFolder(tmp_path)
    with pytest.raises(FolderError, match="is in use: process"):
        EpisodeFolder(tmp_path)
    first.close()
    EpisodeFolder(tmp_path).close()


def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match=r"file/below cannot be written: Not a directory"):
        EpisodeFolder(tmp_path / "file" / "below")


@pytest.mark.parametrize("text", ["{", "[1]", "7", '"x"'])
def test_extra_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(RecorderError, match="extra_json"):
        parse_extra(text)


def test_extra_may_be_empty() -> None:
    assert parse_extra("  ") == {}
    assert parse_extra('{"a": [1]}') == {"a": [1]}


def test_episode_names_sort_by_time() -> None:
    names = [episode_id("task", T0 + k * 37_000_000) for k in range(60)]
    assert names == sorted(names)
    assert names[0] == "20261118-110640-000-task"


def test_a_new_label_keeps_the_old_one_in_its_history(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "one.mcap").touch()
    first = EpisodeMetadata("one", "put_knife_in_pot").labelled(Label("success", 1))
    (folder / "episode.json").write_text(first.to_json())
    relabel(tmp_path, "one", Label("failure", 2, note="it fell out"))
    now = EpisodeMetadata.from_json((folder / "episode.json").read_text())
    assert now.outcome == "failure"
    assert [label.outcome for label in now.labels] == ["success", "failure"]


@pytest.mark.parametrize(("name", "outcome"), [("none", "success"), ("../one", "success"), ("one", "superb")])
def test_a_label_that_can_not_be_given_is_refused(tmp_path: Path, name: str, outcome: str) -> None:
    with pytest.raises(EpisodeError):
        relabel(tmp_path, name, Label(outcome, 1))


def test_the_contract_must_be_about_recorded_cameras(tmp_path: Path) -> None:
    file = tmp_path / "contract.json"
    file.write_text(Contract().to_json())
    assert read_contract(str(file), ["over_shoulder", "wrist"]) == Contract()
    with pytest.raises(EpisodeError, match="needs cameras over_shoulder"):
        read_contract(str(file), ["wrist"])
    with pytest.raises(EpisodeError, match="cannot be read"):
        read_contract(str(tmp_path / "absent.json"), ["over_shoulder"])
