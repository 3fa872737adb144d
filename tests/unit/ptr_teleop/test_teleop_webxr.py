# SPDX-License-Identifier: Apache-2.0
"""WebXR: the frame, the clock of the headset, the packets, and what a controller's buttons do."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.common.rotations import matrix_from_quaternion
from ptr_teleop.clutch import ArmTarget, Clutch, State
from ptr_teleop.devices.base import Button, DeviceError
from ptr_teleop.devices.packet_latency import MAX_AGE, TIMEOUT, Arrival, PacketLatency
from ptr_teleop.devices.packets import MAX_SIZE, PacketError
from ptr_teleop.devices.webxr import BASE_FROM_WEBXR, Frame, WebXRDevice
from ptr_teleop.devices.webxr_packet import parse

FRAME_TIME = 1 / 72
RIGHT, UP, BACK = np.eye(3)
UNIT = [0.0, 0.0, 0.0, 1.0]
unit = st.floats(-1.0, 1.0)


def controller(**fields: Any) -> dict[str, Any]:
    """A hand of a packet: released, at the origin, pointing forward."""
    rest = {"position": [0.0, 1.0, 0.0], "orientation": UNIT, "grip": 0.0, "trigger": 0.0, "a": False, "b": False}
    return rest | {"stick": [0.0, 0.0], "stick_pressed": False} | fields


def packet(sequence: int = 0, t: float = 0.0, session: str = "s", **hands: Any) -> str:
    return json.dumps({"v": 1, "session": session, "seq": sequence, "t": t * 1e3, "hands": hands})


class Headset:
    """Sends packets at 72 Hz to a device; its clock is 1000 s behind."""

    def __init__(self, device: WebXRDevice, session: str = "s") -> None:
        self.device, self.session = device, session
        self.now, self.clock, self.sequence = 50.0, -1000.0, -1

    def send(self, delay: float = 0.0, name: str = "right", wait: float = FRAME_TIME, **fields: Any) -> Any:
        """One packet with the right hand like this; returns what the device reads then."""
        self.now += wait
        self.sequence += 1
        sent = self.now + self.clock - delay
        hands = {name: controller(**fields)} if fields.pop("tracked", True) else {}
        self.device.on_packet(packet(self.sequence, sent, self.session, **hands), self.now)
        return self.device.read(self.now)


@pytest.fixture
def headset() -> Headset:
    return Headset(WebXRDevice(0.1))


# --- the frame --------------------------------------------------------------------------------------------


def test_axes_of_the_room_become_axes_of_the_base() -> None:
    frame = Frame()
    assert frame.position(-BACK) == pytest.approx([1, 0, 0])  # forward
    assert frame.position(-RIGHT) == pytest.approx([0, 1, 0])  # left
    assert frame.position(UP) == pytest.approx([0, 0, 1])
    assert np.linalg.det(BASE_FROM_WEBXR) == pytest.approx(1.0)


def test_who_points_to_the_right_and_says_forward_drives_to_the_right() -> None:
    frame = Frame()
    assert frame.calibrate(RIGHT)
    assert frame.yaw == pytest.approx(-math.pi / 2)
    assert frame.position(RIGHT) == pytest.approx([1, 0, 0], abs=1e-12)
    assert frame.position(-BACK) == pytest.approx([0, 1, 0], abs=1e-12)
    assert frame.position(UP) == pytest.approx([0, 0, 1])


@given(st.floats(-math.pi, math.pi), st.floats(-0.9, 0.9))
def test_whatever_heading_is_called_forward_becomes_forward(heading: float, tilt: float) -> None:
    frame = Frame(yaw=0.3)
    ray = math.cos(tilt) * (math.sin(heading) * RIGHT - math.cos(heading) * BACK) + math.sin(tilt) * UP
    assert frame.calibrate(ray)
    assert frame.position(ray) == pytest.approx([math.cos(tilt), 0, math.sin(tilt)], abs=1e-9)


def test_a_controller_that_points_up_says_nothing_about_forward() -> None:
    frame = Frame(yaw=0.3)
    assert not frame.calibrate(UP)
    assert frame.yaw == 0.3


@given(
    st.tuples(unit, unit, unit), st.floats(-3.0, 3.0), st.floats(-math.pi, math.pi), st.tuples(unit, unit, unit, unit)
)
def test_a_turn_about_an_axis_of_the_room_is_a_turn_about_that_axis_in_the_base(
    axis: tuple[float, ...], angle: float, yaw: float, start: tuple[float, ...]
) -> None:
    length, norm = np.linalg.norm(axis), np.linalg.norm(start)
    if length < 0.1 or norm < 0.1:
        return
    axis, start = np.array(axis) / length, np.array(start) / norm
    turn = np.append(axis * math.sin(angle / 2), math.cos(angle / 2))
    frame = Frame(yaw)
    after = frame.rotation @ matrix_from_quaternion(turn) @ matrix_from_quaternion(start)
    got = after @ frame.orientation(start).T
    mapped = np.append(frame.position(axis) * math.sin(angle / 2), math.cos(angle / 2))
    assert got == pytest.approx(matrix_from_quaternion(mapped), abs=1e-9)


# --- the link ---------------------------------------------------------------------------------------------


def test_the_age_of_a_packet_does_not_depend_on_what_the_senders_clock_says() -> None:
    link = PacketLatency()
    for k in range(10):
        link.receive("s", k, 9e8 + 0.1 * k, 5.0 + 0.1 * k)
    assert link.age(5.9) == pytest.approx(0.0, abs=1e-3)
    assert link.age(6.1) == pytest.approx(0.2, abs=1e-3)


def test_a_packet_that_waited_on_the_way_is_old_when_it_arrives() -> None:
    link = PacketLatency()
    link.receive("s", 0, 0.0, 5.0)
    link.receive("s", 1, 0.1, 5.4)
    assert link.age(5.4) == pytest.approx(0.3, abs=1e-3)
    link.receive("s", 2, 0.4, 5.41)  # the queue drains
    assert link.age(5.41) == pytest.approx(0.01, abs=1e-3)


def test_packets_that_overtook_each_other_are_old() -> None:
    link = PacketLatency()
    arrivals = [link.receive("s", k, 0.1 * k, 0.1 * k) for k in (0, 2, 1, 2, 3)]
    assert arrivals == [Arrival.FIRST, Arrival.ACCEPTED, Arrival.OUTDATED, Arrival.OUTDATED, Arrival.ACCEPTED]


@pytest.mark.parametrize("jump", [-3600.0, -0.05, 0.7, 1e6])
def test_a_clock_that_is_set_is_noticed_and_measured_again(jump: float) -> None:
    link = PacketLatency()
    for k in range(5):
        link.receive("s", k, 0.014 * k, 9.0 + 0.014 * k)
    assert link.receive("s", 5, 0.07 + jump, 9.07) is Arrival.JUMPED
    assert link.age(9.07) == 0.0
    assert link.receive("s", 6, 0.084 + jump, 9.084) is Arrival.ACCEPTED


def test_clocks_that_drift_apart_do_not_make_packets_old() -> None:
    link = PacketLatency()
    for k in range(36_000):  # an hour at 10 Hz, the sender's clock is 100 ppm slow
        link.receive("s", k, 0.1 * k * (1 - 1e-4), 0.1 * k)
    assert link.age(0.1 * k) < 0.01


def test_a_second_sender_waits_until_the_first_is_silent() -> None:
    link = PacketLatency()
    link.receive("first", 0, 0.0, 0.0)
    assert link.receive("second", 0, 0.0, 0.9) is Arrival.FOREIGN
    assert link.receive("second", 1, 0.2, TIMEOUT) is Arrival.FIRST


# --- packets ----------------------------------------------------------------------------------------------


def test_a_packet_is_read_as_documented() -> None:
    hand = controller(position=[0.1, 1.2, -0.3], orientation=[0, 0.7071, 0, 0.7071], grip=1, trigger=0.25, a=True)
    got = parse(packet(7, 1.5, right=hand))
    assert (got.session, got.sequence, got.sent) == ("s", 7, 1.5)
    right = got.hands["right"]
    assert right.position.tolist() == [0.1, 1.2, -0.3]
    assert right.ray == pytest.approx([-1, 0, 0], abs=1e-4)  # a quarter turn to the left: it points to the left
    assert (right.grip, right.trigger, right.a, right.b) == (1.0, 0.25, True, False)
    assert np.linalg.norm(right.orientation) == pytest.approx(1.0, abs=1e-12)


def test_the_ray_of_a_packet_goes_before_that_of_its_pose() -> None:
    got = parse(packet(right=controller(ray=[1.0, 0.0, 0.0])))
    assert got.hands["right"].ray.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("[" * 4000, "not JSON"),
        ("[1]", "list, not an object"),
        ('{"v": 2}', "version is 2"),
        ('{"v": true}', "version is True"),
        ("x" * (MAX_SIZE + 1), f"at most {MAX_SIZE}"),
        ('{"v": 1, "seq": 0, "t": NaN, "hands": {}}', "NaN is not a number"),
        ('{"v": 1, "seq": 0, "t": 1e999, "hands": {}}', "t is inf"),
        ('{"v": 1, "seq": 0, "t": 1' + "0" * 400 + ', "hands": {}}', "t is 1000"),
        ('{"v": 1, "seq": -1, "t": 0, "hands": {}}', "seq is -1"),
        ('{"v": 1, "seq": true, "t": 0, "hands": {}}', "seq holds True"),
        ('{"v": 1, "seq": 0, "t": 0, "hands": []}', "hands is not an object"),
        (packet(third=controller()), "hands is not an object with keys among right, left, none"),
        (packet(right=3), "a hand is not an object"),
        (packet(right=controller(position=[0, 0])), "position is .0, 0., not 3 numbers"),
        (packet(right=controller(position=[0, 0, "1"])), "position holds '1', not a number"),
        (packet(right=controller(position=[0, 0, 51])), "position is 51"),
        (packet(right=controller(orientation=[0, 0, 0, 0])), "not a unit quaternion, its length is 0.000"),
        (packet(right=controller(ray=[0, 0, 0])), "ray is not a unit vector"),
        (packet(right=controller(grip=1.5)), "grip is 1.5, outside"),
        (packet(right=controller(a=1)), "a is 1, not true or false"),
        (packet(session="x" * 65), "session is"),
    ],
)
def test_a_packet_that_is_wrong_is_refused_with_the_field(text: str, why: str) -> None:
    with pytest.raises(PacketError, match=why):
        parse(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=12,
)
FIELDS = ("v", "session", "seq", "t", "hands", "right", *controller(), "ray")


@given(st.lists(st.tuples(st.sampled_from(FIELDS), json_values), min_size=1, max_size=4))
def test_whatever_is_in_a_packet_it_is_taken_or_refused(changes: list[tuple[str, Any]]) -> None:
    whole = json.loads(packet(right=controller()))
    for key, value in changes:
        where = whole if key in whole else whole.get("hands")
        if key in controller() or key == "ray":
            where = where.get("right") if isinstance(where, dict) else where
        if isinstance(where, dict):
            where[key] = value
    device = WebXRDevice(0.1)
    device.on_packet(json.dumps(whole), 0.0)
    reading = device.read(0.0)
    if reading is not None and reading.hand is not None:
        assert np.isfinite(reading.hand.position).all() and np.isfinite(reading.hand.rotation).all()


@given(st.text(max_size=200))
def test_any_text_is_taken_or_refused(text: str) -> None:
    device = WebXRDevice(0.1)
    device.on_packet(text, 0.0)
    assert device.read(0.0) is None
    assert device.values()["refused"] == "1"


# --- the device -------------------------------------------------------------------------------------------


def test_the_grip_is_the_deadman_and_the_trigger_closes(headset: Headset) -> None:
    assert not headset.send().deadman
    reading = headset.send(grip=0.9, trigger=0.25, position=[0.0, 1.0, -0.04])
    assert reading.deadman
    assert (reading.gripper, reading.trigger) == (0.75, True)
    assert reading.hand.position == pytest.approx([0.04, 0, 1.0])


def test_a_packet_older_than_the_limit_holds_the_arm_until_fresh_ones_come(headset: Headset) -> None:
    headset.send()
    headset.send(grip=1.0)
    assert not headset.device.read(headset.now + MAX_AGE).lost
    assert headset.device.read(headset.now + MAX_AGE + 0.02).lost
    assert "s old: the arm holds" in headset.device.notices()[0]
    assert headset.send(grip=1.0, wait=1.0, delay=0.4).lost  # it arrives, but it was long on the way
    assert headset.send(grip=1.0).deadman
    assert headset.device.notices() == []


def test_a_headset_that_is_taken_off_holds_the_arm(headset: Headset) -> None:
    clutch, arm = Clutch(None, armed=True), ArmTarget(np.zeros(3), np.eye(3), 0.0)
    clutch.advance(headset.send(), arm)
    clutch.advance(headset.send(grip=1.0, trigger=1.0), arm)
    requested = clutch.advance(headset.send(tracked=False), arm)
    assert clutch.state is State.LOST
    assert (requested.deadman, requested.gripper, requested.twist.any()) == (True, 0.0, False)
    assert "not tracked" in headset.device.notices()[0]


@pytest.mark.parametrize(
    "jump", [{"position": [0.06, 1.0, 0.0]}, {"orientation": [0, math.sin(0.35), 0, math.cos(0.35)]}]
)
def test_a_jump_of_the_pose_holds_until_the_grip_is_released(headset: Headset, jump: dict) -> None:
    headset.send()
    headset.send(grip=1.0)
    assert headset.send(grip=1.0, **jump).lost
    assert "the controller jumped by" in headset.device.notices()[0]
    assert headset.send(grip=1.0, **jump).lost
    assert not headset.send(**jump).lost
    assert headset.send(grip=1.0, **jump).deadman


def test_a_fast_hand_and_a_gap_between_packets_are_no_jump(headset: Headset) -> None:
    headset.send()
    headset.send(grip=1.0)
    for k in range(1, 20):
        assert headset.send(grip=1.0, position=[0.03 * k, 1.0, 0.0]).deadman  # 2 m/s
    assert headset.send(grip=1.0, position=[0.03 * 19 + 0.12, 1.0, 0.0], wait=0.1).deadman


def test_a_jump_of_the_clock_holds_until_the_grip_is_released(headset: Headset) -> None:
    headset.send()
    headset.send(grip=1.0)
    headset.clock += 60.0
    assert headset.send(grip=1.0).lost
    assert "clock jumped" in headset.device.notices()[0]
    headset.send()
    assert headset.send(grip=1.0).deadman


def test_a_and_b_start_save_fail_and_discard(headset: Headset) -> None:
    presses = []
    for fields in ({}, {"a": True}, {"a": True}, {}, {"b": True}, {}, {"b": True}):
        headset.send(**fields)
        presses.append(headset.device.presses())
    assert presses == [set(), {Button.TOGGLE}, set(), set(), set(), {Button.FAIL}, set()]
    headset.send(b=True, wait=1.0)
    assert headset.device.presses() == {Button.DISCARD}


def test_the_thumb_stick_sets_the_scale_within_its_bounds(headset: Headset) -> None:
    headset.send()
    scales = [headset.send(stick=[0.0, 1.0], wait=0.1).hand.scale for _ in range(20)]
    assert scales[0] == pytest.approx(0.95)
    assert scales[-1] == pytest.approx(0.2)
    assert headset.send(stick=[0.0, -1.0], wait=0.1).hand.scale == pytest.approx(0.25)
    assert headset.send(stick=[0.0, 0.2], wait=0.1).hand.scale == pytest.approx(0.25)


def test_pressing_the_stick_says_where_forward_is_but_not_while_driving(headset: Headset) -> None:
    headset.send()
    headset.send(grip=1.0, stick_pressed=True, ray=[1.0, 0.0, 0.0])
    assert "release the grip" in headset.device.notices()[0]
    headset.send()
    reading = headset.send(stick_pressed=True, ray=[1.0, 0.0, 0.0], position=[1.0, 0.0, 0.0])
    assert "forward is set" in headset.device.notices()[0]
    assert reading.hand.position == pytest.approx([1, 0, 0], abs=1e-12)


def test_a_phone_drives_when_the_hand_is_not_there(headset: Headset) -> None:
    headset.send(name="none")
    assert headset.send(name="none", grip=1.0).deadman


def test_the_other_hand_does_not_drive(headset: Headset) -> None:
    headset.send(name="left")
    assert headset.send(name="left", grip=1.0).lost


def test_a_second_headset_is_refused_while_the_first_drives(headset: Headset) -> None:
    headset.send()
    headset.send(grip=1.0)
    other = Headset(headset.device, "other")
    other.now = headset.now
    other.send(grip=0.0, wait=0.001)
    assert "second sender" in headset.device.notices()[0]
    assert headset.send(grip=1.0).deadman


def test_a_hand_that_does_not_exist_is_refused() -> None:
    with pytest.raises(DeviceError, match="right or left"):
        WebXRDevice(0.1, hand="third")
