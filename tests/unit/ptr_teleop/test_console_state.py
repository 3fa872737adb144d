# SPDX-License-Identifier: Apache-2.0
"""What pages are shown: streams that die, curves that go on, and numbers that JSON knows."""

from __future__ import annotations

import asyncio
import json
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.state import ConsoleState, Cursors, EventLog, Received, StreamMonitor

PERIOD = 0.1  # s between two states that a page gets


@pytest.fixture
def state() -> ConsoleState:
    return ConsoleState(["wrist"], [], {"/camera/wrist": 0.5, "/arm/state": 0.5})


def dead(state: ConsoleState, now: float) -> list[str]:
    return [row["name"] for row in state.snapshot(Cursors(), now)["streams"] if not row["alive"]]


def test_a_stream_is_dead_within_a_second_of_its_last_message() -> None:
    monitor = StreamMonitor({"/camera/wrist": 0.5})
    assert monitor.report(0.0) == [{"name": "/camera/wrist", "alive": False, "age": None, "rate": 0.0}]
    for tick in range(31):
        monitor.receive("/camera/wrist", tick / 30)
    (row,) = monitor.report(1.0)
    assert row["alive"] and row["rate"] == pytest.approx(30.0)
    (row,) = monitor.report(2.0 - PERIOD)
    assert not row["alive"] and row["rate"] == 0.0
    monitor.receive("/camera/wrist", 2.0)
    assert monitor.report(2.0)[0]["alive"]


def test_a_stream_that_only_the_recorder_hears_goes_red_with_it_within_a_second(state: ConsoleState) -> None:
    streams = [
        {"name": "/arm/executed", "required": True, "age": 0.1, "rate": 50.0, "lost": 0},
        {"name": "/policy/step", "required": False, "age": None, "rate": 0.0, "lost": 0},
        {"name": "/arm/state", "required": True, "age": 0.0, "rate": 50.0, "lost": 0},
    ]
    for name in ("/camera/wrist", "/arm/state"):
        state.streams.receive(name, 9.9)
    state.recorder = Received({"streams": streams}, at=10.0)
    assert dead(state, 10.2) == []
    assert dead(state, 10.0 + 1.0 - PERIOD) == ["/camera/wrist", "/arm/state", "recorder", "/arm/executed"]


def test_a_page_is_told_which_robot_it_is_of() -> None:
    assert ConsoleState([], [], {}).hello()["robot"] == ""
    assert ConsoleState([], [], {}, robot="left").hello()["robot"] == "left"


def test_a_page_gets_each_point_once_and_a_late_one_gets_the_newest(state: ConsoleState) -> None:
    early, late = Cursors(), Cursors()
    for point in range(5):
        state.points.append(point)
    assert state.snapshot(early, 0.0)["points"] == [0, 1, 2, 3, 4]
    for point in range(5, 1000):
        state.points.append(point)
    assert state.snapshot(early, 0.0)["points"] == list(range(400, 1000))
    assert state.snapshot(late, 0.0)["points"][-1] == 999
    assert state.snapshot(early, 0.0)["points"] == []


def test_what_fell_silent_is_not_shown_as_if_it_were_true(state: ConsoleState) -> None:
    state.arm = Received({"mode": "teleop"}, at=10.0)
    assert state.snapshot(Cursors(), 10.5)["arm"] == {"mode": "teleop"}
    assert state.snapshot(Cursors(), 11.5)["arm"] is None


@given(st.lists(st.sampled_from(["append", "read"]), max_size=60), st.integers(1, 8))
def test_a_journal_gives_what_is_new_and_still_there_in_order(steps: list[str], length: int) -> None:
    journal, cursor, written, unread = EventLog(length), 0, 0, []
    for step in steps:
        if step == "append":
            journal.append(written)
            unread.append(written)
            written += 1
        else:
            entries, cursor = journal.since(cursor)
            assert entries == unread[-length:]
            unread = []


def test_a_frame_is_the_newest_and_its_reader_is_woken_by_another_thread() -> None:
    frame, got = NewestFrame(), []

    async def read() -> None:
        number = 0
        while len(got) < 3:
            number, jpeg = await asyncio.wait_for(frame.after(number), 2.0)
            got.append(jpeg)
            threading.Timer(0.01, frame.put, [lambda: b"%d" % len(got)]).start()

    frame.put(lambda: b"old")
    frame.put(lambda: b"first")
    asyncio.run(read())
    assert got == [b"first", b"1", b"2"]
    frame.put(lambda: b"nobody waits any more")


def test_messages_become_values_that_json_knows() -> None:
    pytest.importorskip("ptr_msgs.msg")
    from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

    from ptr_msgs.msg import ArmState, EpisodeStatus, PolicyStep, SafetyEvent, StreamHealth
    from ptr_teleop.console import policy_views, views

    arm = ArmState(mode=ArmState.PROTECTIVE_STOP, gripper_position=math.nan)
    arm.measured_pose.position.x = math.inf
    step = PolicyStep(step=3, q=math.nan, q_spread=0.5, q_mode=-1.0)
    status = EpisodeStatus(streams=[StreamHealth(topic="/arm/state", age=-1.0, rate=math.nan)], free_gb=math.inf)
    teleop = DiagnosticStatus(level=DiagnosticStatus.WARN, values=[KeyValue(key="devices", value="webxr,none")])
    safety = SafetyEvent(reason=SafetyEvent.WORKSPACE_LIMIT | SafetyEvent.STOPPED, message="x" * 5000)
    shown = [
        views.arm_view(arm),
        policy_views.policy_point(step),
        policy_views.policy_view(step),
        views.recorder_view(status),
        views.teleop_view(teleop),
        views.safety_view(safety),
    ]
    json.dumps(shown, allow_nan=False)
    assert shown[0]["mode"] == "stopped" and shown[0]["position"][0] is None
    assert shown[1] == [3, None, 0.5, -1.0]
    assert policy_views.policy_point(PolicyStep(step=4, held=True)) == [4, None, None, None]  # nothing was decided
    assert shown[3]["streams"][0]["age"] is None
    assert shown[4]["devices"] == ["webxr", "none"] and shown[4]["level"] == "warn"
    assert [reason["grade"] for reason in shown[5]["reasons"]] == ["clip", "refuse"]
    assert len(shown[5]["detail"]) <= 400


def test_every_reason_of_the_gate_has_words() -> None:
    pytest.importorskip("ptr_msgs.msg")
    from ptr_msgs.msg import SafetyEvent
    from ptr_teleop.console.views import REASONS

    constants = {name: getattr(SafetyEvent, name) for name in dir(SafetyEvent) if name.isupper() and name != "NONE"}
    bits = {value for value in constants.values() if isinstance(value, int)}
    assert len(bits) >= 12
    assert set(REASONS) == bits


@settings(max_examples=40)
@given(st.text(), st.floats(), st.lists(st.text(), max_size=3))
def test_any_evaluation_summary_can_be_shown(text: str, value: float, outcomes: list[str]) -> None:
    pytest.importorskip("ptr_msgs.msg")
    from ptr_msgs.msg import EvaluationSummary
    from ptr_teleop.console.policy_views import evaluation_view

    counts = {"planned": 4, "judged": 2, "successes": 1, "interval_low": value, "interval_high": 0.8}
    view = evaluation_view(EvaluationSummary(task=text, policy=text, outcomes=[*outcomes, "failure"], **counts))
    json.dumps(view, allow_nan=False)
    assert view["low"] == (round(value, 4) if math.isfinite(value) else None) and view["high"] == 0.8
    assert len(view["task"]) <= 400 and view["outcomes"][-1] == "failure"


def test_motors_are_shown_with_their_errors_in_words() -> None:
    pytest.importorskip("ptr_msgs.msg")
    from ptr_msgs.msg import MotorState, MotorStates
    from ptr_teleop.console.views import motors_view

    # 0x24 of the register Hardware Error Status of the Dynamixel X series: overheating (bit 2) and overload (bit 5)
    tripped = MotorState(
        name="shoulder", temperature=72.4, voltage=math.nan, effort=-1234.5, hardware_error_status=0x24
    )
    unknown = MotorState(name="elbow", effort=1.234, torque_enabled=True, hardware_error_status=0x80)
    view = motors_view(MotorStates(level=MotorStates.FAULT, message="m" * 5000, motors=[tripped, unknown]))
    json.dumps(view, allow_nan=False)
    assert view["level"] == "fault" and len(view["message"]) <= 400
    shoulder, elbow = view["motors"]
    assert shoulder == {
        "name": "shoulder",
        "temperature": 72.0,
        "voltage": None,
        "effort": -1234.0,
        "torque": False,
        "errors": ["overheating", "overload"],
    }
    assert (elbow["effort"], elbow["torque"], elbow["errors"]) == (1.23, True, ["error 128"])
    assert motors_view(MotorStates(level=77))["level"] == "fault"  # what is not known is not taken for good


def test_of_several_reports_of_one_camera_the_gravest_counts() -> None:
    pytest.importorskip("ptr_msgs.msg")
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

    from ptr_teleop.console.views import camera_views

    def status(name: str, level: bytes, state: str) -> DiagnosticStatus:
        values = [KeyValue(key="problems", value=state)]
        return DiagnosticStatus(name=name, level=level, message=f"it is {state}", values=values)

    reports = [
        status("camera wrist", DiagnosticStatus.ERROR, "frozen"),
        status("camera_monitor: camera wrist", DiagnosticStatus.OK, ""),
        status("camera_monitor: camera over_shoulder", DiagnosticStatus.WARN, "dark"),
        status("camera", DiagnosticStatus.ERROR, "missing"),
        status("wrist", DiagnosticStatus.ERROR, "missing"),
        status("a second camera wrist_left", DiagnosticStatus.ERROR, "missing"),
    ]
    found = camera_views(DiagnosticArray(status=reports), ["wrist", "over_shoulder", "left"])
    assert found == {
        "wrist": {"level": "error", "state": "frozen", "message": "it is frozen"},
        "over_shoulder": {"level": "warn", "state": "dark", "message": "it is dark"},
    }


def test_in_a_namespace_a_report_of_another_robots_camera_does_not_count() -> None:
    pytest.importorskip("ptr_msgs.msg")
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    from ptr_teleop.console.views import camera_views

    names = ("right/camera wrist", "camera wrist", "left/camera wrist")
    reports = [DiagnosticStatus(name=name, level=DiagnosticStatus.OK, message=name) for name in names]
    found = camera_views(DiagnosticArray(status=reports), ["wrist"], "left/")
    assert {name: view["message"] for name, view in found.items()} == {"wrist": "left/camera wrist"}
    plain = camera_views(DiagnosticArray(status=reports), ["wrist"])
    assert plain["wrist"]["message"] == "camera wrist"


def test_the_status_of_the_policy_has_numbers_where_they_can_be_read() -> None:
    pytest.importorskip("ptr_msgs.msg")
    from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

    from ptr_teleop.console.policy_views import policy_status_view

    values = {"checkpoint": "runs/a", "q_low": "-2.125", "q_high": "nan", "drift": "True", "held_steps": "3"}
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    view = policy_status_view(DiagnosticStatus(level=DiagnosticStatus.WARN, message="Q has drifted", values=pairs))
    assert (view["level"], view["q_low"], view["q_high"], view["drift"]) == ("warn", -2.125, None, True)
    assert (view["checkpoint"], view["held_steps"], view["late_steps"]) == ("runs/a", "3", "")
    empty = policy_status_view(DiagnosticStatus(level=DiagnosticStatus.STALE))
    assert (empty["level"], empty["q_low"], empty["drift"]) == ("error", None, False)
    assert (empty["takes_goal"], empty["goal"]) == (False, "")
    told = {"task_conditioning": "goal_image", "goal": "data/carrot/episode_0003"}
    pairs = [KeyValue(key=key, value=value) for key, value in told.items()]
    by_goal = policy_status_view(DiagnosticStatus(level=DiagnosticStatus.OK, values=pairs))
    assert (by_goal["takes_goal"], by_goal["goal"]) == (True, "data/carrot/episode_0003")


def test_no_checkpoint_is_named_while_trials_are_labelled_blind(state: ConsoleState) -> None:
    state.policy_status = {"level": "ok", "checkpoint": "runs/the_better_one"}
    state.evaluation = {"policy": "the_better_one", "judged": 3}
    assert state.snapshot(Cursors(), 0.0)["policy_status"]["checkpoint"] == "runs/the_better_one"
    for phase in ("staging", "ready", "running", "label", "review", "done"):
        state.trial = {"phase": phase, "policy_label": "B"}
        assert "the_better_one" not in json.dumps(state.snapshot(Cursors(), 0.0))
    state.trial = {"phase": "ready", "policy_label": "the_better_one", "blind": False}  # a single checkpoint
    assert state.snapshot(Cursors(), 0.0)["policy_status"]["checkpoint"] == "runs/the_better_one"
    state.trial = {"phase": "idle", "policy_label": ""}
    assert state.snapshot(Cursors(), 0.0)["evaluation"]["policy"] == "the_better_one"


@settings(max_examples=40)
@given(st.text())
def test_a_trial_is_shown_if_its_phase_is_known(text: str) -> None:
    pytest.importorskip("ptr_msgs.msg")
    from ptr_msgs.msg import EvaluationTrial
    from ptr_teleop.console.policy_views import trial_view

    assert trial_view(EvaluationTrial(phase=f"{text}?")) is None
    view = trial_view(EvaluationTrial(phase="label", index=2, planned=20, policy_label="B", message=text))
    assert view is not None
    json.dumps(view, allow_nan=False)
    assert (view["phase"], view["number"], view["planned"], view["policy_label"]) == ("label", 3, 20, "B")
    assert len(view["message"]) <= 400 and view["takeover_steps"] == 0


@pytest.mark.parametrize("said", [False, True])
def test_a_running_trial_can_be_judged_when_the_evaluator_says_so(said: bool) -> None:
    pytest.importorskip("ptr_msgs.msg")
    from ptr_msgs.msg import EvaluationTrial
    from ptr_teleop.console.policy_views import trial_view

    view = trial_view(EvaluationTrial(phase="running", may_label=said))
    assert view is not None and view["may_label"] is said
