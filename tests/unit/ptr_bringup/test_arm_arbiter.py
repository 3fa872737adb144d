# SPDX-License-Identifier: Apache-2.0
"""Who is in command: priority, silence, hand-back, stop."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ptr_bringup.arm.gate.arbiter import Arbiter, Command, Kind, Mode, Timing
from ptr_bringup.arm.gate.limits import Reason

HUMAN, POLICY = Kind.HUMAN, Kind.POLICY


def command(stamp: float, source: str = "spacemouse", **changes) -> Command:
    """A command that moves along x."""
    fields = {"twist": np.array([0.1, 0, 0, 0, 0, 0]), "gripper": 1.0, "deadman": True, "valid_for": 0.2}
    return Command(stamp=stamp, source=source, **(fields | changes))


@pytest.fixture
def arbiter() -> Arbiter:
    return Arbiter(Timing())


def test_a_human_takes_over_from_the_policy_at_once(arbiter: Arbiter) -> None:
    assert arbiter.offer(POLICY, command(10.0, "policy"), 10.0)[0] == Reason.NONE
    assert arbiter.mode is Mode.POLICY
    assert arbiter.offer(HUMAN, command(10.1), 10.1)[0] == Reason.NONE
    assert arbiter.mode is Mode.TELEOP
    assert arbiter.source == "spacemouse"


def test_the_policy_is_refused_while_a_human_is_in_command(arbiter: Arbiter) -> None:
    arbiter.offer(HUMAN, command(10.0), 10.0)
    reason, detail = arbiter.offer(POLICY, command(10.1, "policy"), 10.1)
    assert reason == Reason.PREEMPTED
    assert "spacemouse" in detail
    assert arbiter.mode is Mode.TELEOP


def test_a_released_deadman_hands_the_arm_back_to_the_policy(arbiter: Arbiter) -> None:
    arbiter.offer(HUMAN, command(10.0), 10.0)
    arbiter.offer(HUMAN, command(10.1, deadman=False), 10.1)
    assert arbiter.mode is Mode.IDLE
    assert arbiter.offer(POLICY, command(10.11, "policy"), 10.11)[0] == Reason.NONE
    assert arbiter.mode is Mode.POLICY


def test_an_idle_human_does_not_disturb_the_policy(arbiter: Arbiter) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.0)
    arbiter.offer(HUMAN, command(10.1, deadman=False), 10.1)
    assert arbiter.mode is Mode.POLICY
    assert arbiter.source == "policy"


def test_a_second_human_is_refused_until_the_first_has_released_or_fallen_silent(arbiter: Arbiter) -> None:
    arbiter.offer(HUMAN, command(10.0), 10.0)
    reason, detail = arbiter.offer(HUMAN, command(10.1, "webxr"), 10.1)
    assert reason == Reason.PREEMPTED
    assert detail == "The command of webxr was refused: spacemouse is in command."
    arbiter.offer(HUMAN, command(10.2, deadman=False), 10.2)
    assert arbiter.offer(HUMAN, command(10.3, "webxr"), 10.3)[0] == Reason.NONE
    arbiter.check_timeout(11.0)
    assert arbiter.offer(HUMAN, command(11.0), 11.0)[0] == Reason.NONE
    assert arbiter.source == "spacemouse"


def test_a_release_of_another_human_does_not_hand_the_arm_to_the_policy(arbiter: Arbiter) -> None:
    arbiter.offer(HUMAN, command(10.0), 10.0)
    arbiter.offer(HUMAN, command(10.1, "webxr", deadman=False), 10.1)
    assert arbiter.offer(POLICY, command(10.15, "policy"), 10.15)[0] == Reason.PREEMPTED
    assert arbiter.source == "spacemouse"


@pytest.mark.parametrize("kind", [HUMAN, POLICY])
def test_half_a_second_of_silence_holds_the_arm(arbiter: Arbiter, kind: Kind) -> None:
    arbiter.offer(kind, command(10.0), 10.0)
    arbiter.check_timeout(10.499)
    assert arbiter.mode in (Mode.TELEOP, Mode.POLICY)
    arbiter.check_timeout(10.501)
    assert arbiter.mode is Mode.HOLD
    assert arbiter.source == ""


def test_a_command_that_is_valid_for_longer_than_that_is_carried_out_whole(arbiter: Arbiter) -> None:
    """As those of a policy at 1 Hz."""
    arbiter.offer(POLICY, command(10.0, "policy", valid_for=1.0), 10.0)
    arbiter.check_timeout(10.999)
    assert arbiter.mode is Mode.POLICY
    arbiter.check_timeout(11.001)
    assert arbiter.mode is Mode.HOLD


def test_the_next_command_of_the_same_source_ends_the_hold(arbiter: Arbiter) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.0)
    arbiter.check_timeout(11.0)
    assert arbiter.offer(POLICY, command(11.0, "policy"), 11.0)[0] == Reason.NONE
    assert arbiter.mode is Mode.POLICY


def test_a_human_who_fell_silent_keeps_the_policy_out_until_released(arbiter: Arbiter) -> None:
    arbiter.offer(HUMAN, command(10.0), 10.0)
    arbiter.check_timeout(11.0)
    assert arbiter.offer(POLICY, command(11.0, "policy"), 11.0)[0] == Reason.PREEMPTED
    arbiter.offer(HUMAN, command(11.1, deadman=False), 11.1)
    assert arbiter.mode is Mode.IDLE
    assert arbiter.offer(POLICY, command(11.2, "policy"), 11.2)[0] == Reason.NONE


@pytest.mark.parametrize("hand_back", ["clear", "move"])
def test_clearing_or_moving_also_ends_a_humans_silence(arbiter: Arbiter, hand_back: str) -> None:
    arbiter.offer(HUMAN, command(10.0), 10.0)
    arbiter.check_timeout(11.0)
    if hand_back == "clear":
        arbiter.clear()
    else:
        assert arbiter.start_move(11.0) == ""
        arbiter.end_move()
    assert arbiter.offer(POLICY, command(11.2, "policy"), 11.2)[0] == Reason.NONE


@pytest.mark.parametrize(("age", "reason"), [(0.29, Reason.NONE), (0.31, Reason.STALE_COMMAND)])
def test_a_command_older_than_0_3_s_is_refused(arbiter: Arbiter, age: float, reason: Reason) -> None:
    assert arbiter.offer(HUMAN, command(10.0), 10.0 + age)[0] == reason


def test_a_command_from_the_future_is_refused_like_an_old_one(arbiter: Arbiter) -> None:
    assert arbiter.offer(HUMAN, command(20.0), 10.0)[0] == Reason.STALE_COMMAND


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["twist", "gripper", "valid_for", "stamp"])
def test_a_command_that_is_not_finite_is_refused(arbiter: Arbiter, bad: float, where: str) -> None:
    value = np.array([0, 0, 0, 0, 0, bad]) if where == "twist" else bad
    changed = command(10.0, **{where: value}) if where != "stamp" else command(bad)
    assert arbiter.offer(HUMAN, changed, 10.0)[0] == Reason.NOT_FINITE
    assert arbiter.mode is Mode.IDLE


def test_a_stop_stays_until_it_is_cleared(arbiter: Arbiter) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.0)
    arbiter.stop("a test")
    for kind in Kind:
        assert arbiter.offer(kind, command(10.1), 10.1)[0] == Reason.STOPPED
    arbiter.check_timeout(20.0)
    assert arbiter.mode is Mode.PROTECTIVE_STOP
    assert "a test" in arbiter.start_move(20.0)
    arbiter.clear()
    assert arbiter.mode is Mode.IDLE
    assert arbiter.offer(POLICY, command(20.0, "policy"), 20.0)[0] == Reason.NONE


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("period", [0.02, 0.2, 1.0])
def test_clearing_a_stop_does_not_move_the_arm_for_who_went_on_commanding(
    arbiter: Arbiter, kind: Kind, period: float
) -> None:
    """At 1 Hz the command before the stop is the only one in that time, so it counts too."""
    times = 10.0 + period * np.arange(5)
    arbiter.offer(kind, command(times[0], valid_for=period), times[0])
    arbiter.stop("a test")
    arbiter.offer(kind, command(times[1], valid_for=period), times[1])
    arbiter.clear()
    for time in times[2:]:
        reason, detail = arbiter.offer(kind, command(time, valid_for=period), time)
        assert reason == Reason.PREEMPTED
        assert "its deadman was held while the arm was stopped" in detail
        assert arbiter.mode is Mode.IDLE


@pytest.mark.parametrize("before", ["released during the stop", "released after it", "silent", "a human"])
def test_after_a_stop_a_command_counts_that_is_given_again(arbiter: Arbiter, before: str) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.0)
    arbiter.stop("a test")
    if before == "released during the stop":
        arbiter.offer(POLICY, command(10.1, "policy", deadman=False), 10.1)
    arbiter.clear()
    if before == "released after it":
        arbiter.offer(POLICY, command(10.15, "policy", deadman=False), 10.15)
    now, kind, source = 10.71 if before == "silent" else 10.2, POLICY, "policy"
    if before == "a human":
        kind, source = HUMAN, "spacemouse"
    assert arbiter.offer(kind, command(now, source), now)[0] == Reason.NONE


def held(arbiter: Arbiter, since: float, now: float) -> list[float]:
    """Duration of each twist in force."""
    return [seconds for _, seconds in arbiter.twists(since, now)]


def test_a_twist_holds_for_as_long_as_it_is_valid_and_no_longer(arbiter: Arbiter) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.0)
    assert held(arbiter, 9.98, 10.02) == pytest.approx([0.02])
    assert held(arbiter, 10.1, 10.15) == pytest.approx([0.05])
    assert held(arbiter, 10.19, 10.25) == pytest.approx([0.01])
    assert held(arbiter, 10.25, 10.3) == []


def test_a_step_that_arrives_early_waits_for_the_end_of_the_one_before(arbiter: Arbiter) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.005)
    arbiter.offer(POLICY, command(10.2, "policy"), 10.201)
    assert held(arbiter, 10.201, 10.3) == pytest.approx([0.004, 0.095])
    assert held(arbiter, 10.3, 10.6) == pytest.approx([0.105])


def test_a_step_waits_20_ms_at_most(arbiter: Arbiter) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.1)
    arbiter.offer(POLICY, command(10.2, "policy"), 10.2)
    assert held(arbiter, 10.2, 10.5) == pytest.approx([0.02, 0.2])


def test_a_source_that_sends_before_its_commands_end_replaces_its_commands(arbiter: Arbiter) -> None:
    arbiter.offer(HUMAN, command(10.0, valid_for=0.1), 10.0)
    arbiter.offer(HUMAN, command(10.05, valid_for=0.1), 10.05)
    assert held(arbiter, 10.05, 10.3) == pytest.approx([0.1])


def test_another_source_does_not_finish_the_formers_step(arbiter: Arbiter) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.005)
    arbiter.offer(HUMAN, command(10.2), 10.201)
    assert held(arbiter, 10.201, 10.5) == pytest.approx([0.2])


def test_a_release_ends_the_step_at_once(arbiter: Arbiter) -> None:
    arbiter.offer(POLICY, command(10.0, "policy"), 10.005)
    arbiter.offer(POLICY, command(10.2, "policy"), 10.201)
    arbiter.offer(POLICY, command(10.202, "policy", deadman=False), 10.202)
    assert held(arbiter, 10.202, 10.5) == []


def test_a_move_is_refused_while_a_human_drives_but_not_after(arbiter: Arbiter) -> None:
    arbiter.offer(HUMAN, command(10.0), 10.0)
    assert "spacemouse is driving" in arbiter.start_move(10.1)
    assert arbiter.start_move(10.3) == ""
    assert "already moving" in arbiter.start_move(10.3)


def test_a_human_takes_the_arm_from_a_move_but_a_policy_does_not(arbiter: Arbiter) -> None:
    arbiter.start_move(10.0)
    assert arbiter.offer(POLICY, command(10.1, "policy"), 10.1)[0] == Reason.PREEMPTED
    assert arbiter.mode is Mode.MOVING
    assert arbiter.offer(HUMAN, command(10.1), 10.1)[0] == Reason.NONE
    assert arbiter.mode is Mode.TELEOP


def test_two_policies_of_one_name_are_both_refused_until_one_has_gone(arbiter: Arbiter) -> None:
    def offer(now: float, publisher: str) -> Reason:
        return arbiter.offer(POLICY, command(now, "policy"), now, publisher=publisher)[0]

    assert offer(10.0, "first") == Reason.NONE
    assert offer(10.1, "second") == Reason.PREEMPTED
    assert arbiter.mode is Mode.IDLE
    assert arbiter.twists(10.1, 10.2) == []
    assert offer(10.2, "first") == Reason.PREEMPTED
    assert offer(10.61, "first") == Reason.NONE  # the second has been silent for more than 0.5 s


def test_two_policies_of_one_hertz_are_both_refused(arbiter: Arbiter) -> None:
    assert arbiter.offer(POLICY, command(10.0, "one", valid_for=1.0), 10.0)[0] == Reason.NONE
    assert arbiter.offer(POLICY, command(10.7, "other", valid_for=1.0), 10.7)[0] == Reason.PREEMPTED
    assert arbiter.mode is Mode.IDLE


def test_a_policy_that_releases_leaves_the_arm_to_the_next_at_once(arbiter: Arbiter) -> None:
    assert arbiter.offer(POLICY, command(10.0, "policy"), 10.0, publisher=1)[0] == Reason.NONE
    arbiter.offer(POLICY, command(10.1, "policy", deadman=False), 10.1, publisher=1)
    assert arbiter.offer(POLICY, command(10.2, "policy"), 10.2, publisher=2)[0] == Reason.NONE


def test_policies_of_two_names_are_told_apart_without_publishers(arbiter: Arbiter) -> None:
    assert arbiter.offer(POLICY, command(10.0, "one"), 10.0)[0] == Reason.NONE
    reason, detail = arbiter.offer(POLICY, command(10.1, "other"), 10.1)
    assert reason == Reason.PREEMPTED
    assert "2 policies" in detail


def test_the_age_of_a_command_is_that_of_its_own_clock(arbiter: Arbiter) -> None:
    assert arbiter.offer(HUMAN, command(1.7e9, "spacemouse"), 10.0, age=0.01)[0] == Reason.NONE
    assert arbiter.offer(HUMAN, command(1.7e9, "spacemouse"), 10.1, age=0.31)[0] == Reason.STALE_COMMAND
    assert arbiter.offer(HUMAN, command(1.7e9, "spacemouse"), 10.1, age=-0.31)[0] == Reason.STALE_COMMAND


def test_two_people_with_the_same_kind_of_device_are_told_apart(arbiter: Arbiter) -> None:
    arbiter.offer(HUMAN, command(10.0, "page_keyboard"), 10.0, publisher="first")
    reason, detail = arbiter.offer(HUMAN, command(10.1, "page_keyboard"), 10.1, publisher="second")
    assert reason == Reason.PREEMPTED
    assert detail == "The command of page_keyboard was refused: another page_keyboard is in command."
    arbiter.offer(HUMAN, command(10.15, "page_keyboard", deadman=False), 10.15, publisher="second")
    assert arbiter.mode is Mode.TELEOP, "the second one's release is not the first one's"
    arbiter.offer(HUMAN, command(10.2, "page_keyboard", deadman=False), 10.2, publisher="first")
    assert arbiter.offer(HUMAN, command(10.3, "page_keyboard"), 10.3, publisher="second")[0] == Reason.NONE


def test_a_command_with_a_field_out_of_its_bounds_moves_nothing(arbiter: Arbiter) -> None:
    reason, detail = arbiter.offer(POLICY, command(10.0, "policy", problem="its valid_for is 1000 s"), 10.0)
    assert reason == Reason.OUT_OF_RANGE
    assert detail == "The command of policy was refused: its valid_for is 1000 s."
    assert arbiter.mode is Mode.IDLE
