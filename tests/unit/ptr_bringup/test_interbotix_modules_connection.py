# SPDX-License-Identifier: Apache-2.0
"""Interbotix's Python API waits for its driver indefinitely; the arm node must not."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")

from ptr_bringup.arm.drivers import DRIVERS  # noqa: E402
from ptr_bringup.arm.drivers.interbotix_modules.connection import Connection  # noqa: E402
from ptr_bringup.ros.context import StartupError  # noqa: E402


class Executor:
    """Remembers which nodes it spins."""

    def __init__(self) -> None:
        self.nodes: list[object] = []
        self.add_node, self.remove_node = self.nodes.append, self.nodes.remove


class ApiNode:
    destroyed = False

    def destroy_node(self) -> None:
        self.destroyed = True


def made(connection: Connection) -> Connection:
    """The same, once its thread has ended."""
    connection._thread.join(10.0)
    return connection


def test_the_api_is_taken_over_once_when_it_is_made_and_somebody_spins() -> None:
    go, api_node = threading.Event(), ApiNode()
    robot = SimpleNamespace(get_node=lambda: api_node)
    connection = Connection(lambda: go.wait(10.0) and robot)
    node = SimpleNamespace(executor=Executor())
    assert not connection.attach(node)
    go.set()
    made(connection)
    assert not connection.attach(SimpleNamespace(executor=None))
    assert connection.attach(node)
    assert not connection.attach(node)
    assert connection.robot is robot
    assert node.executor.nodes == [api_node]
    connection.close(node)
    assert node.executor.nodes == []
    assert api_node.destroyed


@pytest.mark.parametrize(
    ("fail", "sentence"), [(lambda: sys.exit(1), "refuses this arm"), (lambda: 1 / 0, "division by zero")]
)
def test_why_the_api_could_not_be_made_is_kept(fail: Callable[[], object], sentence: str) -> None:
    connection = made(Connection(fail))
    assert sentence in connection.problem
    assert not connection.attach(SimpleNamespace(executor=Executor()))


def test_without_interbotix_api_its_driver_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("interbotix_xs_msgs.msg")
    monkeypatch.setitem(sys.modules, "interbotix_common_modules", None)
    monkeypatch.delitem(sys.modules, "ptr_bringup.arm.drivers.interbotix_modules.connection", raising=False)
    monkeypatch.delitem(sys.modules, "ptr_bringup.arm.drivers.interbotix_modules.driver", raising=False)
    with pytest.raises(StartupError, match="interbotix_xs_modules.*driver:=xs_sdk"):
        DRIVERS["modules"](SimpleNamespace(), 50.0)
