# SPDX-License-Identifier: Apache-2.0
"""Saved episodes leave the data and come back; judgements and names of tasks are corrected afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ptr_models import cli
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


def test_what_the_audit_would_discard_goes_at_once(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    good, cut = make_episode(0, steps=20), make_episode(1, steps=20)
    bag = next(cut.glob("*.mcap"))
    bag.write_bytes(bag.read_bytes()[:1000])
    assert cli.main(["discard", "--proposed", str(good.parent)]) == 0
    text = capsys.readouterr().out
    assert cut.name in text and "1 episodes discarded" in text
    assert find_episodes([good.parent]) == [good]


def test_all_are_moved_or_none(make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    first = make_episode(0)
    assert cli.main(["discard", str(first), str(first.parent / "nothing")]) == 2
    assert first.is_dir()
    assert "nothing does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["{folder}"], "is a folder of 1 episodes; name those that you mean"),
        (["--restore", "{episode}"], "discarded/episode_0000 does not exist"),
        (["--list", "{episode}/episode_0000.mcap"], "is no folder"),
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
    assert "is there already" in capsys.readouterr().err
    assert first.is_dir()


def test_a_judgement_is_taken_back(make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    episode = make_episode(outcome="unlabelled")
    cli.main(["label", "success", str(episode)])
    cli.main(["label", "partial", str(episode), "--score", "0.5"])
    assert cli.main(["label", "undo", str(episode)]) == 0
    assert (read_metadata(episode).outcome, read_metadata(episode).score) == ("success", None)
    assert cli.main(["label", "undo", str(episode)]) == 0
    assert read_metadata(episode).outcome == "unlabelled"
    assert cli.main(["label", "undo", str(episode)]) == 2
    assert "no judgement that could be taken back" in capsys.readouterr().err


def test_the_task_of_an_episode_is_corrected_and_the_recorded_one_kept(make_episode: Callable[..., Path]) -> None:
    episode = make_episode(outcome="success", task="put_carrot_in_pot")
    assert cli.main(["label", "keep", str(episode), "--task", "put_knife_in_pot"]) == 0
    assert cli.main(["label", "failure", str(episode), "--task", "put_corn_in_pot"]) == 0
    metadata = read_metadata(episode)
    assert (metadata.task, metadata.outcome) == ("put_corn_in_pot", "failure")
    assert metadata.extra["recorded_task"] == "put_carrot_in_pot"
