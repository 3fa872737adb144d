# SPDX-License-Identifier: Apache-2.0
"""Command lines of `ptr arm` and `ptr inject`, and the display of a condition."""

from __future__ import annotations

import argparse
import io
import json
import math

import pytest
from rich.console import Console

from ptr_bringup.arm import cli as arm_cli
from ptr_bringup.arm.gate.arbiter import Mode
from ptr_bringup.arm.motors.health import Level
from ptr_bringup.arm.motors.readings import HardwareError, MotorReading
from ptr_bringup.arm.motors.recovery import Condition
from ptr_bringup.sim.faults import KINDS
from ptr_bringup.sim_ros import inject_cli
from ptr_models.common.errors import PtrError

CONDITION = Condition(
    Mode.PROTECTIVE_STOP,
    Level.FAULT,
    "The elbow motor has tripped.",
    (
        MotorReading("shoulder", 41.0, 12.0, -1.59),
        MotorReading("elbow", 55.0, 11.9, math.nan, HardwareError.OVERLOAD, False),
    ),
    "The arm is stopped.",
)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    subparsers = parser.add_subparsers()
    arm_cli.register(subparsers)
    inject_cli.register(subparsers)
    return parser.parse_args(words)


@pytest.mark.parametrize(
    "words",
    [
        ("arm", "status", "--json"),
        ("arm", "stop"),
        ("arm", "clear"),
        ("arm", "torque", "off", "--yes"),
        ("arm", "reboot"),
        ("arm", "move", "home", "--gripper", "0.5"),
        ("arm", "recover", "--stay", "--cool", "45"),
        ("inject", "overload", "--target", "elbow"),
        ("inject", "clear"),
    ],
)
def test_every_command_is_known(words: tuple[str, ...]) -> None:
    assert callable(parse(*words).run)


@pytest.mark.parametrize(
    "words",
    [
        ("arm",),
        ("arm", "torque"),
        ("arm", "move", "moon"),
        ("arm", "move", "home", "--gripper", "1.5"),
        ("inject", "image_upside_down"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        parse(*words)
    assert refused.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_the_table_shows_what_is_off_and_why() -> None:
    out = io.StringIO()
    arm_cli.show(CONDITION, Console(file=out, width=120))
    elbow = next(line for line in out.getvalue().splitlines() if line.startswith("elbow"))
    assert elbow.split() == ["elbow", "55", "11.9", "nan", "off", "OVERLOAD"]
    assert "The elbow motor has tripped." in out.getvalue()
    assert "The arm is stopped." in out.getvalue()


def test_the_json_of_a_condition_is_strict_json_with_null_for_what_is_not_measured() -> None:
    text = json.dumps(arm_cli.as_dict(CONDITION), allow_nan=False)
    elbow = json.loads(text)["motors"][1]
    assert elbow == {
        "name": "elbow", "temperature": 55.0, "voltage": 11.9, "effort": None, "error": 32, "torque": False
    }  # fmt: skip


def test_where_nobody_reads_the_motors_the_status_says_so_instead_of_a_table() -> None:
    unread = Condition(Mode.IDLE, None, "This driver does not read the motors.", ())
    out = io.StringIO()
    arm_cli.show(unread, Console(file=out, width=120))
    assert out.getvalue().splitlines() == ["This driver does not read the motors.", "mode IDLE"]
    assert (arm_cli.as_dict(unread)["level"], arm_cli.as_dict(unread)["motors"]) == (None, [])


def test_the_list_names_every_fault_and_its_default() -> None:
    out = io.StringIO()
    inject_cli.show(Console(file=out, width=160))
    listed = {line.split()[0] for line in out.getvalue().splitlines()[1:]}
    assert set(KINDS) <= listed
    assert "delay 0.5 s" in out.getvalue()


def test_a_fault_without_a_name_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    options = parse("inject")
    with pytest.raises(SystemExit):
        options.run(options)
    assert "--list" in capsys.readouterr().err


def test_nobody_to_answer_is_an_error_and_not_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(PtrError, match="--yes"):
        arm_cli.Terminal(assume_yes=False).confirm("Support the arm.")
    arm_cli.Terminal(assume_yes=True).confirm("Support the arm.")
