# SPDX-License-Identifier: Apache-2.0
"""Sequences of service calls: in order, and with timeouts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("interbotix_xs_msgs.srv")

from interbotix_xs_msgs.srv import RegisterValues, TorqueEnable  # noqa: E402

from ptr_bringup.arm.drivers.interbotix import xs_sdk_procedures  # noqa: E402
from ptr_bringup.arm.drivers.interbotix.profile import Profile  # noqa: E402
from ptr_bringup.arm.drivers.interbotix.service_sequencer import Call, SequenceError, ServiceSequencer  # noqa: E402

PROFILE = Profile("time", 50, 20)


class Future:
    """What a client returns; `answer` resolves it."""

    def __init__(self) -> None:
        self._done, self._value, self._error = [], None, None

    def add_done_callback(self, callback) -> None:
        self._done.append(callback)

    def answer(self, value: object = None, error: Exception | None = None) -> None:
        self._value, self._error = value, error
        for callback in self._done:
            callback(self)

    def result(self) -> object:
        return self._value

    def exception(self) -> Exception | None:
        return self._error


class Client:
    """A service that answers when the test says so."""

    def __init__(self, name: str) -> None:
        self.srv_name, self.ready, self.asked, self.dropped = name, True, [], []

    def service_is_ready(self) -> bool:
        return self.ready

    def call_async(self, request: object) -> Future:
        self.asked.append((request, Future()))
        return self.asked[-1][1]

    def remove_pending_request(self, future: Future) -> None:
        self.dropped.append(future)


class Node:
    def __init__(self) -> None:
        self.clients: dict[str, Client] = {}

    def create_client(self, kind: type, name: str) -> Client:
        return self.clients.setdefault(name, Client(name))

    def destroy_client(self, client: Client) -> None:
        del self.clients[client.srv_name]


class Table:
    """A ServiceSequencer with two services, at a time that the test sets."""

    def __init__(self) -> None:
        self.node, self.now, self.ended = Node(), 0.0, []
        services = {"torque_enable": TorqueEnable, "get_motor_registers": RegisterValues}
        self.sequencer = ServiceSequencer(self.node, "/arm", services, lambda: self.now)

    def client(self, name: str = "torque_enable") -> Client:
        return self.node.clients[f"/arm/{name}"]

    def start(self, steps) -> None:
        self.sequencer.start(steps, self.ended.append)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.sequencer.poll()


@pytest.fixture
def table() -> Table:
    return Table()


def one_call(timeout: float = 1.0) -> Iterator:
    yield Call("torque_enable", "request", timeout)


def test_one_sequence_after_the_other(table: Table) -> None:
    table.start(one_call())
    table.start(one_call())
    assert len(table.client().asked) == 1
    table.client().asked[0][1].answer()
    assert table.ended == [""]
    assert len(table.client().asked) == 2


def test_a_dead_service_ends_the_sequence_in_time_and_the_next_one_begins(table: Table) -> None:
    table.start(one_call(2.0))
    table.start(one_call())
    table.pass_time(1.9)
    assert table.ended == []
    table.pass_time(0.2)
    assert table.ended == ["The service /arm/torque_enable did not answer within 2 s; is xs_sdk still running?"]
    first, second = (future for _, future in table.client().asked)
    assert table.client().dropped == [first]
    first.answer()  # too late: the second sequence is not touched
    assert table.ended[1:] == []
    second.answer()
    assert table.ended[1:] == [""]


def test_a_service_that_nobody_offers_is_said_at_once(table: Table) -> None:
    table.client().ready = False
    table.start(one_call())
    said = "The service /arm/torque_enable is not available; start xs_sdk, or launch with xs_sdk:=stand_in."
    assert table.ended == [said]


def test_an_answer_is_what_the_sequence_goes_on_with(table: Table) -> None:
    heard = []

    def steps() -> Iterator:
        heard.append((yield Call("torque_enable", 1)))
        heard.append((yield Call("torque_enable", 2)))

    table.start(steps())
    table.client().asked[0][1].answer("one")
    table.client().asked[1][1].answer("two")
    assert heard == ["one", "two"]
    assert table.ended == [""]


def test_a_pause_lasts_as_long_as_it_says(table: Table) -> None:
    def steps() -> Iterator:
        yield 0.7
        yield Call("torque_enable", 1)

    table.start(steps())
    table.pass_time(0.6)
    assert table.client().asked == []
    table.pass_time(0.2)
    assert len(table.client().asked) == 1


def test_errors_become_sentences(table: Table) -> None:
    def steps() -> Iterator:
        yield Call("torque_enable", 1)
        raise SequenceError("This is another arm.")

    table.start(steps())
    table.client().asked[0][1].answer()
    table.start(one_call())
    table.client().asked[1][1].answer(error=RuntimeError("it broke"))
    assert table.ended == ["This is another arm.", "A service of xs_sdk failed: it broke."]


def converse(steps, answers: dict[str, object]) -> list[Call | float]:
    """Run a sequence with an answer for each service; returns its requests."""
    asked, answer = [], None
    try:
        while True:
            asked.append(steps.send(answer))
            answer = answers.get(asked[-1].service) if isinstance(asked[-1], Call) else None
    except StopIteration:
        return asked


def test_a_reboot_names_the_shadows_and_writes_the_profile_again() -> None:
    """xs_sdk's smart reboot does not look at shadows, and a rebooted motor forgets its profile."""
    answers = {"get_motor_registers": RegisterValues.Response(values=[50] * 6)}
    asked = converse(xs_sdk_procedures.reboot(("elbow_shadow",), PROFILE), answers)
    assert [call.service if isinstance(call, Call) else "pause" for call in asked] == [
        "reboot_motors",
        "pause",
        "set_motor_registers",
        "set_motor_registers",
        "get_motor_registers",
    ]
    reboot = asked[0].request
    assert (reboot.cmd_type, reboot.name, reboot.enable) == ("single", "elbow_shadow", False)
    written = {call.request.reg: call.request.value for call in asked[2:4]}
    assert written == {"Profile_Velocity": 50, "Profile_Acceleration": 20}


def test_without_a_known_error_the_reboot_is_left_to_xs_sdk() -> None:
    answers = {"get_motor_registers": RegisterValues.Response(values=[50] * 6)}
    request = converse(xs_sdk_procedures.reboot((), PROFILE), answers)[0].request
    assert (request.cmd_type, request.name, request.smart_reboot) == ("group", "all", True)


def test_a_short_list_of_registers_names_the_motor_that_failed() -> None:
    answers = {"get_motor_registers": RegisterValues.Response(values=[50] * 3)}
    with pytest.raises(SequenceError, match="motor of forearm_roll does not answer"):
        converse(xs_sdk_procedures.write_profile(PROFILE), answers)


def test_a_profile_that_was_not_taken_is_told() -> None:
    answers = {"get_motor_registers": RegisterValues.Response(values=[50, 50, 50, 2000, 50, 50])}
    with pytest.raises(SequenceError, match="2000.*although 50 was written"):
        converse(xs_sdk_procedures.write_profile(PROFILE), answers)
