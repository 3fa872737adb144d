# SPDX-License-Identifier: Apache-2.0
"""The task table: slots, spare ones, aliases."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.training.tasks import TaskError, TaskTable


def test_tasks_are_sorted_and_followed_by_spare_slots() -> None:
    table = TaskTable.from_names(["b", "a", "b"], spare=3)
    assert table.names == ("a", "b") and table.slots == 5
    assert table.extended(["z", "a", "m"]).names == ("a", "b", "m", "z")


def test_variants_and_doors_share_a_slot() -> None:
    table = TaskTable.from_names(["open_fridge", "put_sushi_in_pot_cardboard_fence", "put_pear_in_pan"], 1)
    assert table.names == ("open_door", "put_pear_in_pan", "put_sushi_in_pot")
    assert table.id("open_microwave") == 0 and table.extended(["open_oven_distractors"]).names == table.names
    assert table.id("put_sushi_in_pot") == 2


def test_own_aliases_come_first() -> None:
    table = TaskTable.from_names(["put_pear_in_pan"], 0, {"put_pear_in_wok": "put_pear_in_pan"})
    assert table.id("put_pear_in_wok") == 0


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TaskError, match="'c'.*a, b"):
        TaskTable.from_names(["a", "b"], 1).id("c")


def test_more_new_tasks_than_spare_slots_are_refused() -> None:
    with pytest.raises(TaskError, match="2 new tasks.*1 spare"):
        TaskTable.from_names(["a"], 1).extended(["b", "c"])


@settings(deadline=None)
@given(names=st.lists(st.text("abcdef_", min_size=1, max_size=6), max_size=8), spare=st.integers(8, 16))
def test_extending_keeps_known_ids(names: list[str], spare: int) -> None:
    table = TaskTable.from_names(names[:4], spare)
    longer = table.extended(names[4:])
    assert longer.names[: len(table.names)] == table.names and longer.slots == table.slots
    assert sorted(set(longer.ids(names).values())) == list(range(len(longer.names)))
