# SPDX-License-Identifier: Apache-2.0
"""Saved episodes leave the data and come back; judgments and names of tasks are corrected afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ptr_models import cli
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.manifest import write_manifest
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import find_episodes, read_metadata


def test_a_discarded_episode_is_no_data_until_it_is_restored(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = make_episode(0), make_episode(1)
    assert cli.main(["discard", str(first)]) == 0
    text = capsys.readouterr().out
    assert f"next: ptr discard --restore {first}" in text
    assert find_episodes([first.parent]) == [second]
    assert cli.main(["discard", "--list", str(first.parent)]) == 0
    assert capsys.readouterr().out == f"{first.parent / 'discarded' / first.name}\n"
    assert cli.main(["discard", "--restore", str(first)]) == 0  # where it lay before
    assert find_episodes([first.parent]) == [first, second]
    cli.main(["discard", str(first)])
    assert cli.main(["discard", "--restore", str(first.parent / "discarded" / first.name)]) == 0
    assert find_episodes([first.parent]) == [first, second]


@pytest.mark.parametrize("option", ["--recommended", "--proposed"])  # the second is its former name
def test_what_the_audit_would_discard_goes_at_once(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str], option: str
) -> None:
    good, cut = make_episode(0, steps=20), make_episode(1, steps=20)
    bag = next(cut.glob("*.mcap"))
    bag.write_bytes(bag.read_bytes()[:1000])
    assert cli.main(["discard", option, str(good.parent)]) == 0
    text = capsys.readouterr().out
    assert cut.name in text and "1 episode discarded" in text
    assert find_episodes([good.parent]) == [good]


def test_all_are_moved_or_none(make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    first = make_episode(0)
    assert cli.main(["discard", str(first), str(first.parent / "nothing")]) == 2
    assert first.is_dir()
    assert "nothing does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{folder}"], "is a folder of 1 episodes; give the episodes themselves"),
        (["--restore", "{episode}"], "discarded/episode_0000 does not exist"),
        (["--list", "{episode}/episode_0000.mcap"], "does not exist"),
    ],
)
def test_what_cannot_be_discarded_is_said(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    episode = make_episode(0)
    assert cli.main(["discard", *(word.format(folder=episode.parent, episode=episode) for word in words)]) == 2
    assert message in capsys.readouterr().err


def test_nothing_is_overwritten_in_the_trash(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first = make_episode(0)
    (first.parent / "discarded" / first.name).mkdir(parents=True)
    assert cli.main(["discard", str(first)]) == 2
    assert "already exists" in capsys.readouterr().err
    assert first.is_dir()


def test_a_judgment_is_taken_back(make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    episode = make_episode(outcome="unlabelled")
    cli.main(["label", "success", str(episode)])
    cli.main(["label", "partial", str(episode), "--score", "0.5"])
    assert cli.main(["label", "undo", str(episode)]) == 0
    assert (read_metadata(episode).outcome, read_metadata(episode).score) == ("success", None)
    assert cli.main(["label", "undo", str(episode)]) == 0
    assert read_metadata(episode).outcome == "unlabelled"
    assert cli.main(["label", "undo", str(episode)]) == 2
    assert "no judgment to undo" in capsys.readouterr().err


def test_the_task_of_an_episode_is_corrected_and_the_recorded_one_kept(make_episode: Callable[..., Path]) -> None:
    episode = make_episode(outcome="success", task="put_carrot_in_pot")
    assert cli.main(["label", "keep", str(episode), "--task", "put_knife_in_pot"]) == 0
    assert cli.main(["label", "failure", str(episode), "--task", "put_corn_in_pot"]) == 0
    metadata = read_metadata(episode)
    assert (metadata.task, metadata.outcome) == ("put_corn_in_pot", "failure")
    assert metadata.extra["recorded_task"] == "put_carrot_in_pot"


def test_task_and_instruction_are_edited_with_a_history(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    episode = make_episode(task="put_carrot_in_pot", instruction="carrot to pot")
    bag = next(episode.glob("*.mcap"))
    recorded = bag.read_bytes()
    words = ["--by", "Ada", "--note", "it was the knife"]
    assert cli.main(["label", "keep", str(episode), "--task", "put_knife_in_pot", *words]) == 0
    assert cli.main(["label", "keep", str(episode), "--instruction", " put the knife into the pot "]) == 0
    assert 'success of put_knife_in_pot "put the knife into the pot"' in capsys.readouterr().out
    metadata = read_metadata(episode)
    assert (metadata.task, metadata.instruction) == ("put_knife_in_pot", "put the knife into the pot")
    assert [(edit.task, edit.instruction) for edit in metadata.task_edits] == [
        ("put_knife_in_pot", "carrot to pot"),
        ("put_knife_in_pot", "put the knife into the pot"),
    ]
    first, second = metadata.task_edits
    assert (first.annotator, first.note) == ("Ada", "it was the knife")
    assert 0 < first.stamp_ns < second.stamp_ns
    assert (metadata.extra["recorded_task"], metadata.extra["recorded_instruction"]) == (
        "put_carrot_in_pot",
        "carrot to pot",
    )
    assert bag.read_bytes() == recorded
    assert cli.main(["label", "keep", str(episode), "--task", "put_knife_in_pot"]) == 0  # as it is
    assert len(read_metadata(episode).task_edits) == 2


def test_an_edit_tells_of_judgments_only_where_there_are_some(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    episode = make_episode(0)
    assert read_metadata(episode).labels == ()
    assert cli.main(["label", "keep", str(episode), "--task", "put_knife_in_pot"]) == 0
    assert "judgment" not in capsys.readouterr().out
    assert cli.main(["label", "failure", str(episode)]) == 0
    assert capsys.readouterr().out == "episode_0000: failure of put_knife_in_pot (1 judgment)\n"


def test_every_episode_of_a_set_is_edited(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    first, second, third = (make_episode(seed) for seed in range(3))
    write_manifest(tmp_path / "set.json", [first, third])
    assert cli.main(["label", "keep", str(tmp_path / "set.json"), "--instruction", "to the pot"]) == 0
    assert [read_metadata(path).instruction for path in (first, second, third)] == ["to the pot", "", "to the pot"]
    assert len(find_episodes([tmp_path / "set.json"])) == 2


def test_keeping_the_judgment_needs_something_else_to_change(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["label", "keep", str(make_episode(0))]) == 2
    assert "changes nothing without --task or --instruction" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([{"task": "a b", "instruction": "", "stamp_ns": 1}], "task name 'a b' is not usable"),
        ([{"task": "a", "instruction": "", "stamp_ns": 1, "mood": 3}], "task edit 0 has the unknown key 'mood'"),
        ([{"task": "a"}], "malformed"),
        ("corn", "task_edits is 'corn'; it must be a list"),
    ],
)
def test_a_history_that_makes_no_sense_is_refused(edits: Any, words: str) -> None:
    values = json.loads(EpisodeMetadata("one", "corn").to_json()) | {"task_edits": edits}
    with pytest.raises(EpisodeError, match=words):
        EpisodeMetadata.from_json(json.dumps(values))
