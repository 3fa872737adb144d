# SPDX-License-Identifier: Apache-2.0
"""Two devices at once: whoever pressed first is in authority, and the other is told the name."""

from __future__ import annotations

from ptr_teleop.control_authority import ControlAuthority


def test_nobody_else_is_in_charge_at_first() -> None:
    assert ControlAuthority().other(0.0) is None


def test_another_source_that_holds_its_deadman_is_in_charge_until_it_releases_it() -> None:
    authority = ControlAuthority()
    authority.receive("keyboard", True, 100.0, 0.0)
    assert authority.other(0.1) == "keyboard"
    authority.receive("keyboard", False, 100.2, 0.2)
    assert authority.other(0.2) is None


def test_a_source_that_fell_silent_for_half_a_second_is_not_in_charge_any_more() -> None:
    authority = ControlAuthority()
    authority.receive("keyboard", True, 100.0, 0.0)
    assert authority.other(0.5) == "keyboard"
    assert authority.other(0.51) is None


def test_who_pressed_first_stays_in_charge() -> None:
    first, second = ControlAuthority(), ControlAuthority()
    first.press(100.0)
    second.press(100.001)
    first.receive("second", True, 100.001, 0.0)
    second.receive("first", True, 100.0, 0.0)
    assert first.other(0.01) is None
    assert second.other(0.01) == "first"


def test_holding_on_does_not_make_a_press_later() -> None:
    authority = ControlAuthority()
    authority.press(100.0)
    authority.receive("late", True, 100.5, 0.5)
    authority.press(101.0)
    assert authority.other(0.6) is None


def test_a_press_after_a_release_is_a_new_one() -> None:
    authority = ControlAuthority()
    authority.press(100.0)
    authority.release()
    authority.receive("keyboard", True, 100.5, 0.5)
    authority.press(100.6)
    assert authority.other(0.6) == "keyboard"


def test_the_release_of_a_third_does_not_free_the_arm() -> None:
    authority = ControlAuthority()
    authority.receive("keyboard", True, 100.0, 0.0)
    authority.receive("joy", False, 100.1, 0.1)
    authority.receive("joy", True, 100.2, 0.2)
    assert authority.other(0.3) == "keyboard"
