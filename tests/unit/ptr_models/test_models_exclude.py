# SPDX-License-Identifier: Apache-2.0
"""`--exclude` of the commands that look at episodes after training."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_models.analysis.choice import choose_of_run
from ptr_models.cli import main
from ptr_models.training import data
from ptr_models.training.data import Bags
from ptr_models.training.run_setup import start_finetuning


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the episodes of each data set that was opened."""
    found: list[list[str]] = []
    open_episodes = data.open_episodes

    def spy(*arguments: object, **options: object) -> object:
        dataset = open_episodes(*arguments, **options)  # type: ignore[arg-type]
        found.append([Path(path).name for path in dataset.paths])
        return dataset

    monkeypatch.setattr(data, "open_episodes", spy)
    return found


@pytest.mark.parametrize(
    "command",
    [
        "analyze q {bags} --checkpoint {checkpoint} --out {tmp}/q.png",
        "analyze critical {bags} --checkpoint {checkpoint} --count 2 --out {tmp}/critical.png",
        "analyze action-sensitivity {checkpoint} --data {bags} --count 2",
        "analyze choose {bags} --run {run}",
        "train q-range {checkpoint} --data {bags}",
    ],
)
def test_a_command_leaves_out_what_it_is_told(
    command: str,
    trained: Path,
    training_bags: Bags,
    opened: list[list[str]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    places = {"bags": training_bags.prior[0], "checkpoint": trained, "run": trained.parent.parent, "tmp": tmp_path}
    words = [word.format(**places) for word in command.split()] + ["--cache", str(training_bags.cache)]
    assert main([*words, "--exclude", "*_0001", "--exclude", "no_such"]) == 0
    assert opened == [["episode_0000", "episode_0002", "episode_0003"]]
    assert "--exclude no_such matches nothing" in caplog.messages


def test_a_choice_by_the_runs_own_demonstrations_leaves_out_what_the_run_left_out(
    trained: Path, training_bags: Bags, opened: list[list[str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bags = Bags(training_bags.prior, training_bags.target, training_bags.cache, ("*_0001", "*_0010"))
    run = tmp_path / "run"
    start_finetuning(trained, bags, run, ["schedule.steps=5"]).run()
    opened.clear()
    caplog.clear()
    choose_of_run(run, cache=bags.cache)
    assert opened == [["episode_0011"]]
    assert "matches nothing" not in caplog.text  # *_0001 is of the other folder
