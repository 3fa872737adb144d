# SPDX-License-Identifier: Apache-2.0
"""Which contract a run follows when its bags disagree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from ptr_models.contract import Contract
from ptr_models.errors import PtrError
from ptr_models.training.data import Bags, contract_of


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
