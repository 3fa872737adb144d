# SPDX-License-Identifier: Apache-2.0
"""Sets of episodes as files: made by `ptr data`, and read wherever a folder of episodes is."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.exclusion import Exclusion
from ptr_models.episodes.manifest import sha256, write_manifest
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import find_episodes, read_metadata
from ptr_models.episodes.selection import ScoreRule, split
from ptr_models.episodes.trajectory import write_episode
from ptr_models.replay.cache import open_episodes
from ptr_models.training.data import bags_of_run


def stamp(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1e9)


@pytest.fixture
def bags(make_trajectory: Callable[..., Any], tmp_path: Path) -> Path:
    """Six episodes: of two tasks, all outcomes, two operators."""
    rows = (
        ("corn", "success", "Ada", 0.9, "demonstration", "2026-03-01T10:00"),
        ("corn", "failure", "Ada", 0.1, "demonstration", "2026-03-02T10:00"),
        ("corn", "success", "Bea", None, "trial", "2026-03-03T10:00"),
        ("carrot", "success", "Bea", 0.5, "demonstration", "2026-03-03T23:30"),
        ("carrot", "partial", "Ada", 0.6, "demonstration", "2026-03-04T10:00"),
        ("carrot", "unlabelled", "", None, "practice", "2026-03-05T10:00"),
    )
    for seed, (task, outcome, operator, score, kind, begun) in enumerate(rows):
        metadata = EpisodeMetadata(
            f"episode_{seed:04d}", task, outcome=outcome, operator=operator, score=score, kind=kind
        )
        trajectory = dataclasses.replace(make_trajectory(seed)[0], start_ns=stamp(begun))
        write_episode(tmp_path / "bags", metadata, trajectory)
    return tmp_path / "bags"


def numbers(manifest: Path) -> list[int]:
    return sorted(int(path.name[-4:]) for path in find_episodes([manifest]))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [0, 1, 2, 3, 4, 5]),
        (["--task", "corn"], [0, 1, 2]),
        (["--outcome", "success", "partial"], [0, 2, 3, 4]),
        (["--operator", "Ada"], [0, 1, 4]),
        (["--kind", "trial", "practice"], [2, 5]),
        (["--score", ">0.5"], [0, 4]),
        (["--score", ">=0.5"], [0, 3, 4]),
        (["--score", "<= .5"], [1, 3]),
        (["--score", "=0.5"], [3]),
        (["--since", "2026-03-03"], [2, 3, 4, 5]),
        (["--until", "2026-03-03"], [0, 1, 2, 3]),
        (["--until", "2026-03-03T12:00"], [0, 1, 2]),
        (["--since", "2026-03-02", "--until", "2026-03-03", "--task", "corn", "--outcome", "success"], [2]),
        (["--exclude", "episode_000[0-3]"], [4, 5]),
    ],
)
def test_a_selection_lists_what_fits_all_that_is_asked_for(
    bags: Path, tmp_path: Path, words: list[str], expected: list[int]
) -> None:
    assert main(["data", "select", str(bags), *words, "-o", str(tmp_path / "set.json")]) == 0
    assert numbers(tmp_path / "set.json") == expected


def test_a_selection_of_a_set_narrows_it(bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = str(tmp_path / "corn.json"), tmp_path / "good.json"
    main(["data", "select", str(bags), "--task", "corn", "-o", first])
    assert main(["data", "select", first, "--outcome", "success", "-o", str(second)]) == 0
    assert numbers(second) == [0, 2]
    output = capsys.readouterr().out
    assert f"{second}: 2 of 3 episodes" in output and f"next: ptr data list {second}" in output


def test_a_selection_without_a_match_says_what_there_is(
    bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "select", str(bags), "--operator", "Cleo", "-o", str(tmp_path / "set.json")]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "none of 6 episodes matches; there are, by task corn 3, carrot 3; by outcome success 3" in error
    assert "with a score" not in error
    assert main([*command[:-4], "--score", ">0.95", *command[-2:]]) == 2
    assert "with a score: 4" in capsys.readouterr().err
    assert not (tmp_path / "set.json").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--score", "half"], "'half' is not a comparison with a score from 0 to 1"),
        (["--score", ">2"], "'>2' is not a comparison with a score from 0 to 1"),
        (["--since", "yesterday"], "'yesterday' is not a date; write 2026-03-31"),
    ],
)
def test_a_criterion_that_makes_no_sense_is_refused(
    bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    assert main(["data", "select", str(bags), *words, "-o", str(tmp_path / "set.json")]) == 2
    assert sentence in capsys.readouterr().err


def test_an_episode_without_a_score_never_fits_a_score() -> None:
    assert not any(ScoreRule.parse(text).fits(None) for text in ("<1", ">=0", "=0"))


def test_a_list_shows_totals_and_each_episode(bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["data", "select", str(bags), "--task", "corn", "-o", str(tmp_path / "set.json")])
    capsys.readouterr()
    assert main(["data", "list", str(tmp_path / "set.json")]) == 0
    text = capsys.readouterr().out
    assert text.startswith("3 episodes, 0.1 minutes")
    assert re.search("by outcome +success 2, failure 1", text)
    assert "2026-03-01 10:00" in text and "episode_0002" in text and "episode_0003" not in text


def test_paths_of_a_set_are_relative_to_it_so_that_both_can_move_together(bags: Path, tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    write_manifest(tmp_path / "sets" / "all.json", find_episodes([bags]))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(bags, elsewhere / "bags")  # with new times of change
    shutil.copytree(tmp_path / "sets", elsewhere / "sets")
    shutil.rmtree(bags)
    found = find_episodes([elsewhere / "sets" / "all.json"])
    assert [path.parent for path in found] == [elsewhere / "bags"] * 6


def changed(bag: Path) -> None:
    data = bytearray(bag.read_bytes())
    data[len(data) // 2] ^= 1
    bag.write_bytes(data)


def test_a_bag_that_changed_or_is_gone_is_named(bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "set.json"
    write_manifest(manifest, find_episodes([bags]))
    bag = bags / "episode_0003" / "episode_0003.mcap"
    changed(bag)
    assert main(["inspect", str(manifest)]) == 2
    assert f"{bag.parent} has changed since {manifest} listed it" in capsys.readouterr().err
    changed(bag)  # as it was, at another time
    assert len(find_episodes([manifest])) == 6
    shutil.rmtree(bag.parent)
    assert main(["data", "list", str(manifest)]) == 2
    error = capsys.readouterr().err
    assert f"error: {bag.parent}, listed in {manifest}, no longer holds a bag" in error
    assert error.count("\n") == 1


def test_a_label_may_change_after_an_episode_was_listed(bags: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "set.json", find_episodes([bags]))
    main(["label", "failure", str(bags / "episode_0000")])
    (first, *_) = find_episodes([tmp_path / "set.json"])
    assert read_metadata(first).outcome == "failure"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": "ptr episodes 1"}',
        '{"format": "ptr episodes 1", "episodes": []}',
        '{"format": "ptr episodes 1", "episodes": [3]}',
        '{"format": "ptr episodes 1", "episodes": [{"path": 4, "sha256": "", "bytes": 1, "changed_ns": 1}]}',
        '{"format": "something else", "episodes": []}',
    ],
)
def test_a_file_that_is_no_set_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "set.json").write_text(text)
    with pytest.raises(EpisodeError, match=r"set\.json"):
        find_episodes([tmp_path / "set.json"])


def test_training_reads_the_bags_of_a_set_and_no_others(bags: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "set.json"
    write_manifest(manifest, [bags / "episode_0000", bags / "episode_0003"])
    contract = read_metadata(bags / "episode_0000").contract
    dataset = open_episodes([manifest], contract, root=tmp_path / "cache", progress=False)
    assert sorted(dataset.task_names) == ["carrot", "corn"]
    assert len(dataset) == 2
    both = open_episodes([manifest, bags], contract, root=tmp_path / "cache", progress=False)
    assert len(both) == 5  # practice is left out


def test_a_run_remembers_the_set_that_it_began_with(bags: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "set.json", find_episodes([bags]))
    (tmp_path / "data.json").write_text(json.dumps({"target": {"folders": [str(tmp_path / "set.json")]}}))
    assert bags_of_run(tmp_path).target == (tmp_path / "set.json",)
    (tmp_path / "set.json").unlink()
    with pytest.raises(PtrError, match=r"set\.json, the data of the run, no longer exists"):
        bags_of_run(tmp_path)


def test_a_folder_of_a_set_can_be_left_out(bags: Path, tmp_path: Path) -> None:
    write_manifest(tmp_path / "set.json", find_episodes([bags]))
    found = find_episodes([tmp_path / "set.json"], Exclusion(["episode_0002", str(bags / "episode_0004")]))
    assert [int(path.name[-1]) for path in found] == [0, 1, 3, 5]


@pytest.mark.parametrize("command", [["inspect"], ["view"], ["export", "lerobot", "--out", "set"], ["data", "list"]])
def test_a_file_that_is_no_set_is_refused_by_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    assert main([*command, str(tmp_path / "notes.txt")]) == 2
    assert "notes.txt is" in (captured := capsys.readouterr()).out + captured.err


def test_the_same_bag_in_two_places_is_merged_into_one(
    bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(bags / "episode_0001", tmp_path / "copies" / "episode_0001")
    write_manifest(tmp_path / "a.json", [bags / "episode_0000", bags / "episode_0001"])
    sources = [str(tmp_path / "a.json"), str(tmp_path / "copies"), str(bags)]
    assert main(["data", "merge", *sources, "-o", str(tmp_path / "all.json")]) == 0
    assert numbers(tmp_path / "all.json") == [0, 1, 2, 3, 4, 5]
    assert "6 of 7 episodes, 1 duplicate omitted" in capsys.readouterr().out


def test_a_split_is_complete_disjoint_and_follows_from_its_seed(bags: Path, tmp_path: Path) -> None:
    def parts(seed: int, by: str, share: str) -> tuple[list[int], list[int]]:
        files = [tmp_path / "first.json", tmp_path / "rest.json"]
        words = ["--seed", str(seed), "--by", by, "--share", share, "-o", *map(str, files)]
        assert main(["data", "split", str(bags), *words]) == 0
        return numbers(files[0]), numbers(files[1])

    first, rest = parts(1, "episode", "0.67")
    assert sorted([*first, *rest]) == [0, 1, 2, 3, 4, 5]
    assert (len([n for n in first if n < 3]), len(first)) == (2, 4)  # of each task
    assert parts(1, "episode", "0.67") == (first, rest)
    assert len({tuple(parts(seed, "episode", "0.67")[0]) for seed in range(6)}) > 1
    assert parts(0, "task", "0.5") in (([0, 1, 2], [3, 4, 5]), ([3, 4, 5], [0, 1, 2]))


def test_a_split_that_leaves_nothing_is_refused(bags: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = str(tmp_path / "same.json")
    assert main(["data", "split", str(bags), "-o", same, same]) == 2
    assert "both sets would be" in capsys.readouterr().err
    with pytest.raises(EpisodeError, match="a share of 0.9 of 2 tasks leaves one part empty"):
        split(["corn", "corn", "carrot"], 0.9, 0, "task", str)
    with pytest.raises(EpisodeError, match="a share of 1 of 3 episodes of 2 tasks leaves one part empty"):
        split(["corn", "corn", "carrot"], 1.0, 0, "episode", str)


def test_a_set_says_how_it_was_made_and_what_its_checksums_are_of(bags: Path, tmp_path: Path) -> None:
    main(["data", "select", str(bags), "--task", "corn", "-o", str(tmp_path / "set.json")])
    found = json.loads((tmp_path / "set.json").read_text())
    assert set(found) == {"format", "made_by", "episodes"}
    first = found["episodes"][0]
    bag = bags / "episode_0000" / "episode_0000.mcap"
    assert first["path"] == os.path.relpath(bag.parent, tmp_path)
    assert (first["sha256"], first["bytes"]) == (sha256(bag), bag.stat().st_size)
