# SPDX-License-Identifier: Apache-2.0
"""`ptr arm`: how the arm is, stop and release, torque, moves, and the guided way back after a motor has failed."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.namespaces import add_namespace

if TYPE_CHECKING:
    from ptr_bringup.arm.motors.recovery import Condition
    from ptr_bringup.arm.remote import RemoteArm

DESCRIPTION = """\
Control the arm from a terminal, through the running arm node (ptr launch ptr_bringup robot.launch.xml ...).

After a fault, `ptr arm status` says what is wrong, and `ptr arm recover` guides you through the recovery."""
RECOVER = """\
Recover after a motor has failed or torque was lost:

  1. says what is wrong
  2. asks you to support the arm: without torque it falls, and a rebooting motor releases
  3. waits until a motor that tripped by heat has cooled down, and asks you to support the arm again
  4. reboots the motors that have an error
  5. switches the torque on, where the arm is at that moment: nothing jumps
  6. releases the stop
  7. moves slowly to the sleep pose, then to the start pose

Each step is checked, and says what to do if it fails. Keep a hand on the power switch."""
POSES = ("start", "home", "sleep")
STYLES = {"OK": "green", "WARN": "yellow", "FAULT": "bold red"}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `arm` to the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = subparsers.add_parser(
        "arm",
        help="show the arm's state, stop it, switch torque, move and recover it",
        description=DESCRIPTION,
        formatter_class=raw,
    )
    kinds = parser.add_subparsers(title="what to do", metavar="COMMAND", required=True)

    def add(name: str, help_: str, work: Callable[..., int], description: str = "") -> argparse.ArgumentParser:
        kind = kinds.add_parser(name, help=help_, description=description or help_, formatter_class=raw)
        add_namespace(kind)
        kind.set_defaults(run=lambda options: _with_arm(work, options))
        return kind

    status = add("status", "show the state of the arm and its motors; exit code 1 if something is wrong", _status)
    status.add_argument("--json", action="store_true", help="for programs")
    add("stop", "stop the arm at once; it stays stopped until `ptr arm clear`", _stop)
    add("clear", "release the stop; nothing moves before a new command", _clear)
    torque = add("torque", "switch the motors' torque on or off", _torque)
    torque.add_argument("state", choices=("on", "off"), help="on: the motors hold; off: the arm sinks")
    reboot = add("reboot", "reboot the motors that have an error; they come back without torque", _reboot)
    move = add("move", "move slowly to a named pose; ctrl-C ends the move where it is", _move)
    move.add_argument("pose", choices=POSES, help="where to")
    move.add_argument(
        "--gripper",
        type=arguments.share,
        metavar="0..1",
        help="opening, 0 (closed) to 1 (open), at the end (default: as it is)",
    )
    recover = add("recover", "recover after a motor failure, step by step", _recover, RECOVER)
    recover.add_argument("--stay", action="store_true", help="leave out step 7: the arm stays where it is")
    recover.add_argument(
        "--cool", type=arguments.positive, metavar="DEG_C", help="temperature for step 3 (default: 60)"
    )
    for kind in (torque, reboot, recover):
        kind.add_argument("--yes", action="store_true", help="don't ask; the arm is simulated, or supported by hand")


def _with_arm(work: Callable[..., int], options: argparse.Namespace) -> int:
    from ptr_bringup.arm.remote import RemoteArm
    from ptr_bringup.ros.session import connected

    with connected("arm_cli", RemoteArm, options.namespace) as arm:
        return work(arm, options, Terminal(getattr(options, "yes", False)))


class Terminal:
    """The person at this terminal.

    Args:
        sure: questions count as answered.
    """

    def __init__(self, sure: bool) -> None:
        self._sure, self.console = sure, Console()

    def tell(self, text: str) -> None:
        """Print a sentence."""
        self.console.print(escape(text), highlight=False)

    def confirm(self, text: str) -> None:
        """Ask to do something, and wait for Enter."""
        self.console.print(f"[bold yellow]{escape(text)}[/]", highlight=False)
        if self._sure:
            return
        try:
            self.console.input("Press Enter when that is so, ctrl-C to leave it. ")
        except EOFError as error:
            raise PtrError("nobody can answer here; with --yes nothing is asked") from error


def _status(arm: RemoteArm, options: argparse.Namespace, terminal: Terminal) -> int:
    condition = arm.condition()
    if options.json:
        print(json.dumps(as_dict(condition), indent=2))
    else:
        show(condition, terminal.console)
    return 0 if condition.well and not condition.reason else 1


def as_dict(condition: Condition) -> dict[str, object]:
    """A condition as JSON has it; what is not measured is null."""
    motors = []
    for reading in condition.readings:
        values = dataclasses.asdict(reading) | {"error": int(reading.error)}
        motors.append({k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()})
    return {
        "mode": condition.mode.name,
        "level": None if condition.level is None else condition.level.name,
        "message": condition.message,
        "reason": condition.reason,
        "motors": motors,
    }


def show(condition: Condition, console: Console) -> None:
    """Print the motors as a table, and what is to be said of them."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("motor", "deg C", "V", "effort", "torque", "error"):
        table.add_column(title)
    for reading in condition.readings:
        torque = "on" if reading.torque else "[bold red]off[/]"
        error = f"[bold red]{reading.error.name}[/]" if reading.error else ""
        values = f"{reading.temperature:.0f}", f"{reading.voltage:.1f}", f"{reading.effort:.2f}"
        table.add_row(reading.name, *values, torque, error)
    if condition.readings:
        console.print(table, end="\n\n")
    style = STYLES["WARN" if condition.level is None else condition.level.name]
    console.print(f"[{style}]{escape(condition.message)}[/]", highlight=False)
    console.print(f"mode {condition.mode.name}", highlight=False)
    if condition.reason:
        console.print(f"[yellow]{escape(condition.reason)}[/]", highlight=False)


def _stop(arm: RemoteArm, _: argparse.Namespace, terminal: Terminal) -> int:
    terminal.tell(arm.stop())
    return 0


def _clear(arm: RemoteArm, _: argparse.Namespace, terminal: Terminal) -> int:
    terminal.tell(arm.clear())
    return 0


def _torque(arm: RemoteArm, options: argparse.Namespace, terminal: Terminal) -> int:
    if options.state == "off":
        terminal.confirm("Support the arm with your hand: without torque it falls.")
    terminal.tell(arm.torque(options.state == "on"))
    return 0


def _reboot(arm: RemoteArm, _: argparse.Namespace, terminal: Terminal) -> int:
    terminal.confirm("Support the arm with your hand: a motor that reboots lets go.")
    terminal.tell(arm.reboot())
    return 0


def _move(arm: RemoteArm, options: argparse.Namespace, terminal: Terminal) -> int:
    terminal.tell(arm.move(options.pose, options.gripper))
    return 0


def _recover(arm: RemoteArm, options: argparse.Namespace, terminal: Terminal) -> int:
    from ptr_bringup.arm.motors.recovery import COOL, Recovery

    poses = () if options.stay else ("sleep", "start")
    done = Recovery(arm, terminal, poses, COOL if options.cool is None else options.cool).run()
    terminal.console.print("[green]The arm is ready.[/]" if done else "[green]There is nothing to recover from.[/]")
    return 0
