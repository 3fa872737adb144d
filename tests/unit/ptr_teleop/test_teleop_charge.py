# SPDX-License-Identifier: Apache-2.0
"""Two devices at once: whoever pressed first is in charge, and the other is told the name."""

from __future__ import annotations

from ptr_teleop.charge import Charge


def test_nobody_else_is_in_charge_at_first() -> None:
    assert Charge().other(0.0) is None


def test_another_source_that_holds_its_deadman_is_in_charge_until_it_releases_it() -> None:
    charge = Charge()
    charge.hear("keyboard", True, 100.0, 0.0)
    assert charge.other(0.1) == "keyboard"
    charge.hear("keyboard", False, 100.2, 0.2)
    assert charge.other(0.2) is None


def test_a_source_that_fell_silent_for_half_a_second_is_not_in_charge_any_more() -> None:
    charge = Charge()
    charge.hear("keyboard", True, 100.0, 0.0)
    assert charge.other(0.5) == "keyboard"
    assert charge.other(0.51) is None


def test_who_pressed_first_stays_in_charge() -> None:
    first, second = Charge(), Charge()
    first.press(100.0)
    second.press(100.001)
    first.hear("second", True, 100.001, 0.0)
    second.hear("first", True, 100.0, 0.0)
    assert first.other(0.01) is None
    assert second.other(0.01) == "first"


def test_holding_on_does_not_make_a_press_later() -> None:
    charge = Charge()
    charge.press(100.0)
    charge.hear("late", True, 100.5, 0.5)
    charge.press(101.0)
    assert charge.other(0.6) is None


def test_a_press_after_a_release_is_a_new_one() -> None:
    charge = Charge()
    charge.press(100.0)
    charge.release()
    charge.hear("keyboard", True, 100.5, 0.5)
    charge.press(100.6)
    assert charge.other(0.6) == "keyboard"


def test_the_release_of_a_third_does_not_free_the_arm() -> None:
    charge = Charge()
    charge.hear("keyboard", True, 100.0, 0.0)
    charge.hear("joy", False, 100.1, 0.1)
    charge.hear("joy", True, 100.2, 0.2)
    assert charge.other(0.3) == "keyboard"
