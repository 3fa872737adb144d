# SPDX-License-Identifier: Apache-2.0
"""Motor health: OK, warning or fault, and a sentence that names the motor, its value and what to do."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.motors.health import SIMULATED, WIDOWX, Judgment, Level, MotorHealth, Thresholds
from ptr_bringup.arm.motors.readings import MOTOR_NAMES, HardwareError, MotorReading, Motors
from ptr_bringup.sim.arm_mjcf import JOINT_EFFORT_LIMITS
from ptr_bringup.sim.fault_effects import TEMPERATURE_LIMIT

WELL = MotorReading("", temperature=30.0, voltage=12.0, effort=0.0)
EASY = dataclasses.replace(WIDOWX, effort_limits=(100.0,) * 6)


def reading(stamp: float = 0.0, without: tuple[str, ...] = (), **changes: dict) -> Motors:
    """A reading of seven healthy motors, except for the given changes."""
    return Motors(
        stamp,
        tuple(
            dataclasses.replace(WELL, name=name, **changes.get(name, {})) for name in MOTOR_NAMES if name not in without
        ),
    )


def judged(motors: Motors, health: MotorHealth | None = None) -> Judgment:
    return (health or MotorHealth(WIDOWX)).judge(motors, motors.stamp)


def test_motors_at_ease_are_well() -> None:
    assert judged(reading()) == Judgment(Level.OK, "All motors are OK.")


def test_the_effort_limits_of_the_real_arm_are_those_of_the_bridge_robots() -> None:
    assert WIDOWX.effort_limits == pytest.approx((1360.0, 1700.0, 1020.0, 1020.0, 1020.0, 1190.0))


def test_the_simulated_arm_can_exceed_each_limit_and_trips_where_the_thresholds_say() -> None:
    assert all(most > limit for most, limit in zip(JOINT_EFFORT_LIMITS, SIMULATED.effort_limits, strict=True))
    assert SIMULATED.temperature_limit == WIDOWX.temperature_limit == TEMPERATURE_LIMIT == 72.0


@pytest.mark.parametrize(
    ("error", "torque", "words"),
    [
        (HardwareError.OVERLOAD, False, ("shoulder", "overload", "no torque", "support the arm")),
        (HardwareError.OVERHEATING, False, ("shoulder", "72 deg C", "20 min")),
        (HardwareError.ELECTRICAL_SHOCK, False, ("electrical shock",)),
        (HardwareError.ENCODER, True, ("encoder", "cables")),
        (HardwareError.INPUT_VOLTAGE, True, ("input voltage", "9.4 V")),
        (HardwareError.OVERLOAD | HardwareError.OVERHEATING, False, ("overload and overheating",)),
        (HardwareError(128), False, ("error 128",)),
    ],
)
def test_a_hardware_error_is_a_fault(error: HardwareError, torque: bool, words: tuple[str, ...]) -> None:
    change = {"error": error, "torque": torque, "temperature": 72.0, "voltage": 9.4}
    judgment = judged(reading(shoulder=change))
    assert judgment.level is Level.FAULT
    for word in words:
        assert word in judgment.message
    assert "ptr arm recover" in judgment.message


def test_torque_that_is_off_is_a_fault_also_without_an_error() -> None:
    one = judged(reading(elbow={"torque": False}))
    assert one.level is Level.FAULT
    assert "the elbow motor is off" in one.message
    two = judged(reading(elbow={"torque": False}, gripper={"torque": False}))
    assert "the elbow and gripper motors are off" in two.message
    every = judged(reading(**{name: {"torque": False} for name in MOTOR_NAMES}))
    assert "every motor" in every.message


def test_a_trip_is_told_before_what_else_is_wrong() -> None:
    judgment = judged(reading(waist={"temperature": 65.0}, gripper={"error": HardwareError.OVERLOAD, "torque": False}))
    assert judgment.level is Level.FAULT
    assert "gripper" in judgment.message


def test_a_warm_motor_prompts_a_rest_until_it_has_cooled() -> None:
    health = MotorHealth(WIDOWX)
    levels = [
        judged(reading(t, shoulder={"temperature": value}), health).level
        for t, value in enumerate((59.0, 60.0, 59.0, 55.0, 54.0, 59.0))
    ]
    assert levels == [Level.OK, Level.WARN, Level.WARN, Level.WARN, Level.OK, Level.OK]


def test_the_prompt_says_which_motor_how_warm_and_how_long_to_rest() -> None:
    message = judged(reading(gripper={"temperature": 61.0})).message
    assert message == (
        "The gripper motor is at 61 deg C and trips at 72: let the arm rest in its sleep pose for about 16 min."
    )


def test_after_a_trip_by_heat_a_motor_rests_for_twenty_minutes_and_a_cold_one_not_at_all() -> None:
    """ROBOTIS e-manual, Temperature Limit(31): wait 20 minutes."""
    assert WIDOWX.rest(72.0) == pytest.approx(20.0, abs=0.5)
    assert WIDOWX.rest(30.0) == 0.0


def test_a_push_above_the_limit_is_a_fault_once_it_lasts_and_over_when_it_ends() -> None:
    health = MotorHealth(EASY)
    efforts = {0.0: 150.0, 0.4: -150.0, 0.6: 150.0, 0.7: 20.0}
    levels = [judged(reading(t, elbow={"effort": e}), health).level for t, e in efforts.items()]
    assert levels == [Level.OK, Level.OK, Level.FAULT, Level.OK]


def test_a_load_that_is_carried_for_long_prompts_a_rest_before_it_trips() -> None:
    health = MotorHealth(EASY)
    prompted = None
    for t in range(120):
        judgment = judged(reading(float(t), shoulder={"effort": 70.0}), health)
        if judgment.level is Level.WARN:
            prompted = prompted if prompted is not None else t
            assert "shoulder" in judgment.message
    # 0.7^2 (1 - exp(-t / 30 s)) reaches 0.6^2 after 40 s
    assert prompted == pytest.approx(30.0 * math.log(0.49 / (0.49 - 0.36)), abs=1.5)
    levels = [judged(reading(float(t), shoulder={"effort": 10.0}), health).level for t in range(120, 160)]
    assert levels[0] is Level.WARN
    assert levels[-1] is Level.OK


def test_the_effort_of_the_gripper_is_not_judged() -> None:
    health = MotorHealth(EASY)
    assert {judged(reading(float(t), gripper={"effort": 1e4}), health).level for t in range(60)} == {Level.OK}


def test_a_limit_of_zero_is_a_limit() -> None:
    health = MotorHealth(dataclasses.replace(EASY, effort_limits=(0.0,) * 6, overload_time=0.0))
    assert judged(reading(0.0, waist={"effort": 0.1}), health).level is Level.FAULT


@pytest.mark.parametrize(
    ("voltage", "level"), [(10.9, Level.WARN), (11.0, Level.OK), (14.8, Level.OK), (15.0, Level.WARN)]
)
def test_a_supply_outside_of_its_range_is_told(voltage: float, level: Level) -> None:
    assert judged(reading(**{name: {"voltage": voltage} for name in MOTOR_NAMES})).level is level


@pytest.mark.parametrize("silent", ["left out", "without values"])
def test_a_motor_that_does_not_answer_for_long_is_a_fault(silent: str) -> None:
    health = MotorHealth(WIDOWX)
    blank = {"temperature": math.nan, "voltage": math.nan, "torque": False}

    def without_elbow(t: float) -> Motors:
        return reading(t, without=("elbow",)) if silent == "left out" else reading(t, elbow=blank)

    assert judged(reading(0.0), health).level is Level.OK
    assert judged(without_elbow(2.9), health).level is Level.OK
    judgment = judged(without_elbow(3.0), health)
    assert judgment.level is Level.FAULT
    assert "elbow" in judgment.message
    assert judged(reading(3.1), health).level is Level.OK


def test_a_motor_that_was_never_heard_of_is_a_fault_after_the_same_time() -> None:
    health = MotorHealth(WIDOWX)
    assert judged(reading(10.0, without=("waist",)), health).level is Level.OK
    assert judged(reading(13.0, without=("waist",)), health).level is Level.FAULT


def test_readings_that_stop_while_the_arm_is_heard_are_a_fault() -> None:
    health = MotorHealth(WIDOWX)
    assert health.judge(reading(10.0), now=0.0).level is Level.OK
    assert health.judge(reading(10.0), now=2.9).level is Level.OK
    judgment = health.judge(reading(10.0), now=3.1)
    assert judgment.level is Level.FAULT
    assert "last read 3 s ago" in judgment.message
    assert health.judge(reading(13.2), now=3.2).level is Level.OK


def test_when_everything_falls_silent_the_motors_are_not_to_blame() -> None:
    """The gate holds an arm whose joint states are late; that clears by itself when they come back."""
    health = MotorHealth(WIDOWX)
    assert health.judge(reading(10.0), now=10.0).level is Level.OK
    assert health.judge(reading(10.0), now=10.0).level is Level.OK
    assert health.judge(reading(60.0), now=10.25).level is Level.OK


def test_values_that_a_driver_does_not_measure_are_not_judged() -> None:
    blank = {"temperature": math.nan, "voltage": math.nan, "effort": math.nan}
    assert judged(reading(**dict.fromkeys(MOTOR_NAMES, blank))).level is Level.OK


@pytest.mark.parametrize("jump", [-1e6, -20.0, 20.0, 1e6])
def test_a_clock_that_is_set_makes_no_fault_and_hides_none(jump: float) -> None:
    """A push and a silent motor both count from their start, regardless of stamps."""
    health = MotorHealth(EASY)
    pushed, silent = {"effort": 150.0}, ("waist",)
    assert health.judge(reading(100.0), now=5.0).level is Level.OK
    for now, level in ((5.1, Level.OK), (5.5, Level.OK), (5.6, Level.FAULT)):
        assert health.judge(reading(100.0 + now + jump, elbow=pushed), now).level is level
    for now, level in ((5.7, Level.OK), (8.5, Level.OK), (8.6, Level.FAULT)):
        assert health.judge(reading(100.0 + now - jump, without=silent), now).level is level


@given(st.floats(20.0, 71.9), st.floats(11.2, 14.6), st.floats(-59.0, 59.0), st.integers(0, 6))
def test_no_reading_below_the_trips_stops_the_arm(temperature: float, voltage: float, effort: float, k: int) -> None:
    change = {"temperature": temperature, "voltage": voltage, "effort": effort}
    assert judged(reading(**{MOTOR_NAMES[k]: change}), MotorHealth(EASY)).level is not Level.FAULT


@pytest.mark.parametrize(
    "wrong",
    [
        {"effort_limits": (1.0, 2.0)},
        {"temperature_warning": 50.0, "temperature_recovery": 55.0},
        {"temperature_warning": 80.0},
    ],
)
def test_thresholds_that_contradict_each_other_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="effort_limits|motor_temperature_recovery"):
        Thresholds(**{"effort_limits": (1.0,) * 6, "effort_unit": "mA", **wrong})
