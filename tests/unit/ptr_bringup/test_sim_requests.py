# SPDX-License-Identifier: Apache-2.0
"""Requests that the simulator's services accept."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("ptr_msgs.srv")

from ptr_bringup.sim.node import Simulator  # noqa: E402
from ptr_msgs.srv import InjectFault, ResetScene  # noqa: E402


@pytest.mark.parametrize("field", ["fault", "target"])
def test_a_long_text_of_a_fault_is_refused_and_not_repeated(field: str) -> None:
    request = InjectFault.Request(**{field: "x" * 100_000})
    response = Simulator._on_inject(SimpleNamespace(), request, InjectFault.Response())
    assert not response.success
    assert response.message.startswith(f"`{field}` has 100000 characters")
    assert len(response.message) < 100


@pytest.mark.parametrize("field", ["kitchen", "task"])
def test_a_text_of_a_scene_that_a_terminal_would_obey_is_refused(field: str) -> None:
    request = ResetScene.Request(**{"kitchen": "toykitchen1", "task": "t", field: "\x1b[2J"})
    response = Simulator._on_reset(SimpleNamespace(), request, ResetScene.Response())
    assert not response.success
    assert response.message == f"`{field}` contains unprintable characters; remove them"
