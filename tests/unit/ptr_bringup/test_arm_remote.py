# SPDX-License-Identifier: Apache-2.0
"""A command's view of the arm, from the topics of the arm node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("ptr_msgs.msg")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402

from ptr_bringup.arm import remote  # noqa: E402
from ptr_bringup.arm.gate.arbiter import Mode  # noqa: E402
from ptr_bringup.arm.motors.conversions import DIAGNOSTIC_NAME, NOT_READ, motors_message  # noqa: E402
from ptr_bringup.arm.motors.readings import MotorReading, Motors  # noqa: E402
from ptr_bringup.arm.remote import RemoteArm  # noqa: E402
from ptr_bringup.ros.session import SessionError  # noqa: E402
from ptr_msgs.msg import ArmState  # noqa: E402


class Topics:
    """Node and caller in one: topics are filled by hand, and nothing more arrives while something is waited for."""

    def __init__(self, namespace: str = "/") -> None:
        self.node, self.namespace = self, namespace
        self.hear: dict[str, Callable[[Any], None]] = {}

    def create_subscription(self, _: type, topic: str, callback: Callable[[Any], None], __: Any) -> None:
        self.hear[topic] = callback

    def get_namespace(self) -> str:
        return self.namespace

    def named(self, name: str) -> str:
        return f"{self.namespace.rstrip('/')}/{name}"

    def create_client(self, *_: Any) -> None:
        """No service is called here."""

    def wait(self, condition: Callable[[], Any], what: str, _: float) -> Any:
        found = condition()
        if not found:
            raise SessionError(f"timed out waiting for {what}")
        return found


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    monkeypatch.setattr(remote, "GoalClient", lambda *_: None)
    return Topics()


def diagnostics(message: str, prefix: str = "") -> DiagnosticArray:
    return DiagnosticArray(
        status=[DiagnosticStatus(name=prefix + DIAGNOSTIC_NAME, level=DiagnosticStatus.WARN, message=message)]
    )


def test_a_driver_that_reads_no_motors_is_an_answer_at_once(topics: Topics) -> None:
    arm = RemoteArm(topics)
    topics.hear["arm/state"](ArmState(mode=Mode.IDLE))
    topics.hear["/diagnostics"](diagnostics(NOT_READ))
    condition = arm.condition()
    assert (condition.mode, condition.level, condition.message) == (Mode.IDLE, None, NOT_READ)
    assert condition.well
    assert condition.silent == []


def test_motors_that_are_read_count_more_than_what_was_said_before(topics: Topics) -> None:
    arm = RemoteArm(topics)
    topics.hear["arm/state"](ArmState(mode=Mode.IDLE))
    topics.hear["/diagnostics"](diagnostics(NOT_READ))
    topics.hear["arm/motors"](motors_message(Motors(1.0, (MotorReading("waist", 30.0, 12.0, 0.0),)), text="Well."))
    assert arm.condition().message == "Well."
    assert [reading.name for reading in arm.condition().readings] == ["waist"]


def test_motors_that_are_not_read_yet_are_waited_for(topics: Topics) -> None:
    arm = RemoteArm(topics)
    topics.hear["arm/state"](ArmState(mode=Mode.IDLE))
    topics.hear["/diagnostics"](diagnostics("The motors have not been read yet."))
    with pytest.raises(SessionError, match="/arm/motors"):
        arm.condition()


def test_in_a_namespace_the_word_of_another_robot_does_not_count(topics: Topics) -> None:
    left = Topics("/left")
    arm = RemoteArm(left)
    left.hear["arm/state"](ArmState(mode=Mode.IDLE))
    for prefix in ("", "right/"):
        left.hear["/diagnostics"](diagnostics(NOT_READ, prefix))
    with pytest.raises(SessionError, match="/left/arm/motors"):
        arm.condition()
    left.hear["/diagnostics"](diagnostics(NOT_READ, "left/"))
    assert arm.condition().message == NOT_READ
