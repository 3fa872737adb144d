# SPDX-License-Identifier: Apache-2.0
"""Which contract a run follows when its bags disagree."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.training.data import Bags, bags_of_run, contract_of, data_report, open_bags


def test_one_odd_or_damaged_bag_at_the_front_does_not_decide(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    (make_episode(0) / "episode.json").write_text("{")
    make_episode(1, contract=dataclasses.replace(Contract(), control_rate=10.0))
    for index in (2, 3, 4):
        make_episode(index)
    assert contract_of(Bags(prior=[tmp_path / "bags"])) == Contract()


def test_where_no_bag_is_readable_the_first_says_why(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    (make_episode(0) / "episode.json").write_text("{")
    with pytest.raises(PtrError, match="episode_0000/episode.json cannot be read"):
        contract_of(Bags(target=[tmp_path / "bags"]))


def test_what_a_run_excludes_is_left_out_and_stays_so_when_it_goes_on(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    for seed in range(3):
        make_episode(seed)
    bags = Bags(prior=[tmp_path / "bags"], cache=tmp_path / "cache", exclude=["*_0001"])
    prior, target = open_bags(bags, contract_of(bags))
    assert prior is not None and [Path(path).name for path in prior.paths] == ["episode_0000", "episode_0002"]
    (tmp_path / "data.json").write_text(json.dumps(data_report(bags, prior, target)))
    assert bags_of_run(tmp_path, bags.cache) == Bags((tmp_path / "bags",), (), bags.cache, ("*_0001",))


def test_data_that_have_moved_since_a_run_began_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text(json.dumps({"prior": {"folders": [str(tmp_path / "gone")]}}))
    with pytest.raises(PtrError, match="gone, the data of the run, no longer exists; .*--data and --target"):
        bags_of_run(tmp_path)
