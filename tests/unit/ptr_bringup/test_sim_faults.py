# SPDX-License-Identifier: Apache-2.0
"""Faults of the simulator: their kinds, durations, and effects on readings and images."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.arm.motors.readings import MOTOR_NAMES, HardwareError
from ptr_bringup.sim.fault_effects import ImageLine, JointLine, JointSample, cool, protect, strike
from ptr_bringup.sim.faults import KINDS, FaultError, Faults
from ptr_bringup.sim.motors import AMBIENT
from ptr_bringup.sim.world import World

NAN = math.nan


def inject(faults: Faults, name: str, target: str = "", value: float = NAN, duration: float = 0.0, now: float = 0.0):
    return faults.inject(name, target, value, duration, now)


def sample(stamp: float) -> JointSample:
    return JointSample(stamp, [stamp + k for k in range(9)], [0.0] * 9, [0.0] * 9)


@pytest.fixture(scope="module")
def laid_world() -> Iterator[World]:
    with World("toykitchen1", "put_carrot_on_plate") as world:
        yield world


@pytest.fixture
def world(laid_world: World) -> World:
    laid_world.reset(0)
    return laid_world


def test_a_fault_lasts_for_its_duration_and_without_one_until_clear() -> None:
    faults = Faults()
    inject(faults, "image_gone", duration=2.0, now=10.0)
    inject(faults, "commands_lost", now=10.0)
    faults.expire(11.9)
    assert "image_gone" in faults
    faults.expire(12.0)
    assert "image_gone" not in faults
    faults.expire(1e9)
    assert "commands_lost" in faults
    faults.clear()
    assert "commands_lost" not in faults


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"name": "image_upside_down"}, "known: joint_states_gone"),
        ({"name": "overload", "target": "camera"}, "waist"),
        ({"name": "commands_lost", "target": "waist"}, "no target"),
        ({"name": "commands_lost", "value": 1.0}, "no strength"),
        ({"name": "joint_states_late", "value": -1.0}, "0.01 to 10"),
        ({"name": "joint_states_late", "value": math.inf}, "0.01 to 10"),
        ({"name": "image_gone", "duration": -1.0}, "duration"),
        ({"name": "image_gone", "duration": NAN}, "duration"),
    ],
)
def test_what_can_not_be_injected_is_refused_with_what_can(arguments: dict, part: str) -> None:
    faults = Faults()
    with pytest.raises(FaultError, match=part):
        inject(faults, **arguments)
    assert faults.summary() == ""


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_a_default_within_its_own_range(name: str) -> None:
    kind, fault = KINDS[name], inject(Faults(), name)
    assert math.isnan(fault.value) if kind.value is None else kind.low <= fault.value <= kind.high
    assert fault.target == kind.target
    assert not kind.target or kind.target in kind.targets


def test_what_is_in_force_is_told_in_one_sentence() -> None:
    faults = Faults()
    inject(faults, "joint_states_late", value=0.25)
    inject(faults, "joint_states_nan")
    inject(faults, "overload")
    assert faults.summary() == "Injected: joint_states_late (delay 0.25 s), joint_states_nan of elbow."


def test_joint_states_pass_unchanged_while_nothing_is_wrong() -> None:
    line, measured = JointLine(Faults()), sample(1.0)
    assert line.deliver(measured) == [measured]


def test_frozen_joint_states_keep_their_values_and_their_stamps_go_on() -> None:
    faults = Faults()
    line = JointLine(faults)
    line.deliver(sample(1.0))
    inject(faults, "joint_states_frozen")
    line.deliver(sample(2.0))
    (arrived,) = line.deliver(sample(3.0))
    assert (arrived.stamp, arrived.positions) == (3.0, sample(2.0).positions)
    faults.clear()
    assert line.deliver(sample(4.0)) == [sample(4.0)]


def test_only_the_joint_that_is_meant_is_not_a_number() -> None:
    faults = Faults()
    inject(faults, "joint_states_nan", "wrist_angle")
    (arrived,) = JointLine(faults).deliver(sample(1.0))
    assert [math.isnan(position) for position in arrived.positions] == [k == 4 for k in range(9)]


def test_no_joint_state_arrives_while_they_are_gone_and_none_of_that_time_afterwards() -> None:
    faults = Faults()
    line = JointLine(faults)
    inject(faults, "joint_states_gone")
    assert line.deliver(sample(1.0)) == []
    faults.clear()
    assert line.deliver(sample(2.0)) == [sample(2.0)]


@given(delay=st.floats(0.01, 1.0), period=st.floats(0.01, 0.2))
def test_late_joint_states_all_arrive_in_order_and_at_least_their_delay_old(delay: float, period: float) -> None:
    faults = Faults()
    inject(faults, "joint_states_late", value=delay)
    line, arrived = JointLine(faults), []
    for step in range(30):
        now = step * period
        new = line.deliver(sample(now))
        assert all(now - late.stamp >= delay - 1e-9 for late in new)
        arrived += new
    faults.clear()
    arrived += line.deliver(sample(30 * period))
    assert [late.stamp for late in arrived] == [step * period for step in range(31)]


def image(brightness: int = 200) -> np.ndarray:
    checks = (np.indices((120, 160)) // 10).sum(axis=0) % 2 * brightness
    return np.repeat(checks[:, :, None].astype(np.uint8), 3, axis=2)


def jpeg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def test_a_frozen_camera_repeats_its_image_to_the_byte() -> None:
    faults = Faults()
    line = ImageLine(faults, "over_shoulder")
    first = line.transmit(jpeg(image(200)))
    inject(faults, "image_frozen")
    assert line.transmit(jpeg(image(100))) == first
    faults.clear()
    assert line.transmit(jpeg(image(100))) == jpeg(image(100))


def test_a_torn_image_ends_without_its_marker_and_reads_grey_below() -> None:
    faults = Faults()
    inject(faults, "image_torn", value=0.5)
    torn = ImageLine(faults, "over_shoulder").transmit(jpeg(image()))
    assert not torn.endswith(b"\xff\xd9")
    seen = cv2.imdecode(np.frombuffer(torn, np.uint8), cv2.IMREAD_GRAYSCALE)
    if seen is not None:  # some decoders refuse it as a whole
        assert seen[:30].std() > 50.0
        assert seen[-20:].std() < 10.0


def test_a_dark_camera_leaves_its_share_of_the_light() -> None:
    faults = Faults()
    inject(faults, "image_dark", value=0.1)
    assert ImageLine(faults, "over_shoulder").expose(image(200)).max() == 20


def test_a_slow_camera_takes_images_at_its_rate_and_a_missing_one_none() -> None:
    faults = Faults()
    inject(faults, "image_slow", value=2.0)
    line = ImageLine(faults, "over_shoulder")
    assert sum(line.due(0.033 * step) for step in range(300)) == pytest.approx(20, abs=1)
    inject(faults, "image_gone")
    assert not line.due(100.0)


def errors(world: World) -> dict[str, HardwareError]:
    return {r.name: r.error for r in world.motors.readings(world.joint_efforts) if r.error}


def limp(world: World) -> list[str]:
    return [r.name for r in world.motors.readings(world.joint_efforts) if not r.torque]


def test_an_overloaded_motor_goes_limp_until_it_is_rebooted_and_switched_on(world: World) -> None:
    strike(inject(Faults(), "overload", "elbow"), world)
    assert errors(world) == {"elbow": HardwareError.OVERLOAD}
    assert limp(world) == ["elbow"]
    world.set_torque(2, True)
    assert limp(world) == ["elbow"]
    world.reboot(2)
    assert errors(world) == {}
    assert limp(world) == ["elbow"]
    world.set_torque(2, True)
    assert limp(world) == []


def test_a_hot_motor_trips_and_trips_again_when_it_is_rebooted_hot(world: World) -> None:
    faults = Faults()
    strike(inject(faults, "overheating", "shoulder", 76.0), world)
    protect(faults, world)
    assert errors(world) == {"shoulder": HardwareError.OVERHEATING}
    world.reboot(1)
    protect(faults, world)
    assert errors(world) == {"shoulder": HardwareError.OVERHEATING}
    cool(world)
    world.reboot(1)
    protect(faults, world)
    assert errors(world) == {}


def test_a_warm_motor_goes_on_holding_and_cools_by_itself(world: World) -> None:
    faults = Faults()
    strike(inject(faults, "warm", "shoulder", 62.0), world)
    protect(faults, world)
    assert (errors(world), limp(world)) == ({}, [])
    assert world.motors.readings(world.joint_efforts)[1].temperature == 62.0
    world.motors.advance(np.zeros(7), 1e4)
    assert world.motors.temperatures[1] == pytest.approx(AMBIENT)


@pytest.mark.parametrize(("target", "without"), [("", list(MOTOR_NAMES)), ("gripper", ["gripper"])])
def test_torque_that_is_switched_off_leaves_no_error(world: World, target: str, without: list[str]) -> None:
    strike(inject(Faults(), "torque_lost", target), world)
    assert (errors(world), limp(world)) == ({}, without)


def test_a_low_supply_is_reported_by_every_motor_and_all_go_on_holding(world: World) -> None:
    """The register Shutdown of the X series is 52 as delivered: neither voltage (1) nor encoder (8) is in it."""
    faults = Faults()
    inject(faults, "voltage_low", value=9.4)
    protect(faults, world)
    assert errors(world) == dict.fromkeys(MOTOR_NAMES, HardwareError.INPUT_VOLTAGE)
    assert limp(world) == []
    assert {r.voltage for r in world.motors.readings(world.joint_efforts)} == {9.4}
    faults.clear()
    protect(faults, world)
    assert world.motors.voltage == 12.0


def test_an_encoder_error_leaves_the_motor_holding(world: World) -> None:
    strike(inject(Faults(), "encoder"), world)
    assert (errors(world), limp(world)) == ({"elbow": HardwareError.ENCODER}, [])


def test_a_new_scene_begins_with_motors_that_are_well(world: World) -> None:
    strike(inject(Faults(), "overload"), world)
    world.reset(1)
    assert (errors(world), limp(world)) == ({}, [])
