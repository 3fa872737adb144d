# SPDX-License-Identifier: Apache-2.0
"""Instructions for tasks."""

from __future__ import annotations

import pytest

from ptr_bringup.sim.tasks import TASKS, Task, task_named
from ptr_bringup.sim.wordings import wordings


def test_the_plainest_wording_is_the_name_in_words() -> None:
    assert wordings(task_named("put_sweet_potato_on_plate"))[0] == "put the sweet potato on the plate"
    assert wordings(task_named("take_lime_out_of_metal_bowl"))[0] == "take the lime out of the metal bowl"
    assert wordings(task_named("open_oven"))[0] == "open the oven"


@pytest.mark.parametrize("name", TASKS)
def test_held_out_wordings_are_no_others_and_name_the_things(name: str) -> None:
    task = task_named(name)
    assert not set(wordings(task)) & set(wordings(task, held_out=True))
    if isinstance(task, Task):
        things = [part.replace("_", " ") for part in (task.item, task.receptacle)]
        assert all(thing in text for text in wordings(task, held_out=True) for thing in things)
