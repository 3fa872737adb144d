# SPDX-License-Identifier: Apache-2.0
"""`ptr arm`: show the arm's state, stop and clear it, switch torque, move it, and recover after a motor failure."""

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
  2. asks you to support the arm: without torque it falls, and a rebooting motor loses its torque
  3. waits until an overheated motor has cooled down, then asks you to support the arm again
  4. reboots the motors that have an error
  5. switches the torque on at the arm's current position, so that nothing jumps
  6. clears the stop
  7. moves slowly to the sleep pose, then to the start pose

Each step is checked. If one fails, the command tells you what to do. Keep a hand on the power switch."""
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
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, help_: str, handler: Callable[..., int], description: str = "") -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=description or help_, formatter_class=raw)
        add_namespace(command)
        command.set_defaults(run=lambda options: _with_arm(handler, options))
        return command

    status = add("status", "show the state of the arm and its motors; exit code 1 if something is wrong", _status)
    status.add_argument("--json", action="store_true", help="print JSON")
    add("stop", "stop the arm at once; it stays stopped until `ptr arm clear`", _stop)
    add("clear", "clear the stop; nothing moves until the next command", _clear)
    torque = add("torque", "switch the motors' torque on or off", _torque)
    torque.add_argument("state", choices=("on", "off"), help="on: the motors hold; off: the arm sinks")
    reboot = add("reboot", "reboot the motors that have an error; they come back without torque", _reboot)
    move = add("move", "move slowly to a named pose; ctrl-C ends the move where it is", _move)
    move.add_argument("pose", choices=POSES, help="target pose")
    move.add_argument(
        "--gripper",
        type=arguments.share,
        metavar="0..1",
        help="gripper opening at the end, 0 (closed) to 1 (open) (default: unchanged)",
    )
    recover = add("recover", "recover after a motor failure, step by step", _recover, RECOVER)
    recover.add_argument("--stay", action="store_true", help="skip step 7: the arm stays where it is")
    recover.add_argument(
        "--cool", type=arguments.positive, metavar="DEG_C", help="temperature for step 3 (default: 60)"
    )
    for command in (torque, reboot, recover):
        command.add_argument("--yes", action="store_true", help="don't ask: the arm is simulated or supported by hand")


def _with_arm(handler: Callable[..., int], options: argparse.Namespace) -> int:
    from ptr_bringup.arm.remote import RemoteArm
    from ptr_bringup.ros.session import connected

    with connected("arm_cli", RemoteArm, options.namespace) as arm:
        return handler(arm, options, Terminal(getattr(options, "yes", False)))


class Terminal:
    """The person at this terminal.

    Args:
        assume_yes: don't wait for confirmations.
    """

    def __init__(self, assume_yes: bool) -> None:
        self._assume_yes, self.console = assume_yes, Console()

    def show(self, text: str) -> None:
        """Print a sentence."""
        self.console.print(escape(text), highlight=False)

    def confirm(self, text: str) -> None:
        """Ask to do something, and wait for Enter."""
        self.console.print(f"[bold yellow]{escape(text)}[/]", highlight=False)
        if self._assume_yes:
            return
        try:
            self.console.input("Press Enter when done, ctrl-C to cancel. ")
        except EOFError as error:
            raise PtrError(
                "standard input is closed, so nobody can confirm; use --yes to skip the questions"
            ) from error


def _status(arm: RemoteArm, options: argparse.Namespace, terminal: Terminal) -> int:
    condition = arm.condition()
    if options.json:
        print(json.dumps(as_dict(condition), indent=2))
    else:
        show(condition, terminal.console)
    return 0 if condition.well and not condition.reason else 1


def as_dict(condition: Condition) -> dict[str, object]:
    """A condition as JSON data; null for values that are not measured."""
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
    """Print the motors as a table, followed by their status."""
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
    terminal.show(arm.stop())
    return 0


def _clear(arm: RemoteArm, _: argparse.Namespace, terminal: Terminal) -> int:
    terminal.show(arm.clear())
    return 0


def _torque(arm: RemoteArm, options: argparse.Namespace, terminal: Terminal) -> int:
    if options.state == "off":
        terminal.confirm("Support the arm by hand: without torque it falls.")
    terminal.show(arm.torque(options.state == "on"))
    return 0


def _reboot(arm: RemoteArm, _: argparse.Namespace, terminal: Terminal) -> int:
    terminal.confirm("Support the arm by hand: a rebooting motor loses its torque.")
    terminal.show(arm.reboot())
    return 0


def _move(arm: RemoteArm, options: argparse.Namespace, terminal: Terminal) -> int:
    terminal.show(arm.move(options.pose, options.gripper))
    return 0


def _recover(arm: RemoteArm, options: argparse.Namespace, terminal: Terminal) -> int:
    from ptr_bringup.arm.motors.recovery import COOL_TEMPERATURE, Recovery

    poses = () if options.stay else ("sleep", "start")
    done = Recovery(arm, terminal, poses, COOL_TEMPERATURE if options.cool is None else options.cool).run()
    terminal.console.print("[green]The arm is ready.[/]" if done else "[green]Nothing to recover from.[/]")
    return 0
