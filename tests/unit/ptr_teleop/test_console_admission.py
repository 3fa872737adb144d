# SPDX-License-Identifier: Apache-2.0
"""What a door of the console holds, and how much it says."""

from __future__ import annotations

import logging

from ptr_teleop.console.admission import Admission, DoorLimits, OncePerInterval


def test_one_address_does_not_fill_the_door() -> None:
    door = Admission(DoorLimits(connections=5, per_address=2))
    assert [door.refusal("10.0.0.1") for _ in range(3)] == ["", "", "2 connections from one address are open"]
    assert door.refusal("10.0.0.2") == ""


def test_many_addresses_fill_it_up_to_its_limit_and_a_closed_connection_makes_room() -> None:
    door = Admission(DoorLimits(connections=2, per_address=2))
    assert [door.refusal(f"10.0.0.{n}") for n in range(3)] == ["", "", "2 connections are open"]
    door.release("10.0.0.0")
    assert door.refusal("10.0.0.9") == ""


def test_a_line_of_one_kind_is_written_once_per_interval_with_the_number_kept_back() -> None:
    now = [0.0]
    once, logger = OncePerInterval(10.0, lambda: now[0]), logging.getLogger("flooded")

    def line(peer: str) -> logging.LogRecord:
        return logger.makeRecord("flooded", logging.WARNING, "", 0, "refused %s", (peer,), None)

    assert [once.filter(line(str(n))) for n in range(1000)] == [True] + 999 * [False]
    now[0] = 10.0
    last = line("last")
    assert once.filter(last)
    assert last.getMessage() == "refused last (999 similar lines suppressed)"
    assert once.filter(logger.makeRecord("flooded", logging.WARNING, "", 0, "something else", None, None))
