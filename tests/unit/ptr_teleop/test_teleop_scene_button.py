# SPDX-License-Identifier: Apache-2.0
"""A device's button that asks for the next scene."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ptr_msgs.msg")

from std_srvs.srv import Trigger  # noqa: E402

from ptr_teleop.buttons import SceneButton  # noqa: E402


class Node:
    """Offers /scene/next when there is an answer."""

    def __init__(self) -> None:
        self.answer: Any = None

    def create_client(self, kind: type, name: str) -> Any:
        assert (kind, name) == (Trigger, "scene/next")
        return SimpleNamespace(service_is_ready=lambda: self.answer is not None, call_async=self._call)

    def _call(self, _: Any) -> Any:
        future = SimpleNamespace(result=lambda: self.answer)
        return SimpleNamespace(add_done_callback=lambda callback: callback(future))


def test_why_there_is_no_next_scene_is_told_and_a_new_one_speaks_for_itself() -> None:
    node, told = Node(), []
    button = SceneButton(node, told.append)
    button.press()
    node.answer = Trigger.Response(success=False, message="an episode is being recorded")
    button.press()
    node.answer = Trigger.Response(success=True, message="put_carrot_on_plate in toykitchen1, seed 4")
    button.press()
    assert told == [
        "the next scene was requested, but no node `scene` is running; collect.launch.xml starts it",
        "there is no new scene: an episode is being recorded",
    ]
