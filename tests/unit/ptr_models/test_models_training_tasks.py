# SPDX-License-Identifier: Apache-2.0
"""The task table: slots, spare ones, aliases."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.training.tasks import TaskError, TaskTable, read_aliases


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


def test_a_checkpoint_s_table_takes_aliases_for_new_names() -> None:
    table = TaskTable.from_names(["put_pear_in_pan"], 1).with_aliases({"put_pear_in_wok": "put_pear_in_pan"})
    assert table.extended(["put_pear_in_wok", "open_door"]).names == ("put_pear_in_pan", "open_door")


def test_a_file_of_aliases_is_read(tmp_path: Path) -> None:
    (tmp_path / "aliases.yaml").write_text("put_pear_in_wok: put_pear_in_pan\nput_pear_into_pan: put_pear_in_pan\n")
    table = TaskTable.from_names(["put_pear_in_wok", "put_pear_into_pan"], 0, read_aliases(tmp_path / "aliases.yaml"))
    assert table.names == ("put_pear_in_pan",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: b\nb: c\n", "a is an alias of b, an alias of c; use c"),
        ("- a\n", "is not a mapping; write lines of the form NAME: NAME"),
        ("a: [b]\n", "is not usable"),
        ("a: put pear in pan\n", "'put pear in pan' is not usable"),
        ("a: {\n", "cannot be read"),
    ],
)
def test_a_file_of_aliases_that_makes_no_sense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "aliases.yaml").write_text(text)
    with pytest.raises(TaskError, match=message):
        read_aliases(tmp_path / "aliases.yaml")


def test_several_hundred_tasks_are_warned_of() -> None:
    assert TaskTable.from_names((f"task_{index}" for index in range(300)), 8).warning == ""
    warning = TaskTable.from_names((f"task_{index}" for index in range(22_199)), 8).warning
    assert warning.startswith("22199 tasks get a slot each") and "--aliases" in warning and "--names folder" in warning


def test_an_error_does_not_list_thousands_of_names() -> None:
    with pytest.raises(TaskError, match=r"^2000 new tasks \(a0, .*, \.\.\.\) but 1 spare slots") as caught:
        TaskTable.from_names(["b"], 1).extended(f"a{index}" for index in range(2000))
    assert len(str(caught.value)) < 400
