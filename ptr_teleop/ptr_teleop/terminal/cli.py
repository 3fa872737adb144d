# SPDX-License-Identifier: Apache-2.0
"""`ptr teleop`: drive a running robot with this terminal's keyboard."""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys

from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.namespaces import add_namespace
from ptr_models.common.processes import end_process, interrupted_with_parent

POLL_PERIOD = 0.25  # s between two checks of the processes
END_TIMEOUT = 10.0  # s for the node to end

EPILOGUE = """\
examples:
  ptr teleop put_carrot_on_plate                       drive and record with a running robot, also over SSH
  ptr collect put_carrot_on_plate --out data/carrot --device keyboard      start the robot as well
The keys are shown at the start. Ctrl-C ends the session; it first asks what to do with an episode being recorded."""


class TerminalError(PtrError):
    """The keyboard can't be used; the message says why."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "teleop",
        help="drive a running robot with this terminal's keyboard, and record",
        description="Drive the arm with this terminal's keyboard, and record with the running recorder, if there is "
        "one. A status line shows what is recorded, the outcome, who drives and how far the gripper is open.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    about = "task written into recorded episodes, e.g. put_carrot_on_plate"
    arguments.also_by_place(parser, "task", type=arguments.any_task, metavar="TASK", help=about)
    parser.add_argument("--operator", default="", metavar="NAME", help="who drives, written into each bag")
    add_namespace(parser)
    parser.set_defaults(run=lambda options: drive(options.task, options.operator, namespace=options.namespace))


def require_terminal() -> None:
    """Check that keys can be read.

    Raises:
        TerminalError: standard input is not a terminal.
    """
    if not sys.stdin.isatty():
        raise TerminalError("the keyboard needs a terminal, but standard input is not one; use a terminal")


def drive(task: str, operator: str = "", robot: subprocess.Popen[bytes] | None = None, namespace: str = "") -> int:
    """Drive by keys until Ctrl-C, which the node handles; returns its exit code.

    Args:
        task, operator: written into each episode.
        robot: process of the driven robot; driving ends with it. None: started elsewhere.
        namespace: of the robot; empty: none.
    Raises:
        TerminalError: there is no terminal.
    """
    require_terminal()
    before = signal.signal(signal.SIGINT, lambda *_: None)
    node = subprocess.Popen(node_command(task, operator, namespace), preexec_fn=interrupted_with_parent())
    try:
        while node.poll() is None and (robot is None or robot.poll() is None):
            with contextlib.suppress(subprocess.TimeoutExpired):
                node.wait(POLL_PERIOD)
        if node.poll() is None:
            node.terminate()  # with SIGINT it would ask about an episode that has ended
            node.wait(END_TIMEOUT)
    finally:
        end_process(node)
        signal.signal(signal.SIGINT, before)
    return node.returncode


def node_command(task: str, operator: str, namespace: str = "") -> list[str]:
    """The command of the node that reads the keys."""
    values = {"device": "keyboard", "task": task, "operator_name": operator}
    parameters = [word for name, value in values.items() for word in ("-p", f"{name}:={_quoted(value)}")]
    home = ["-r", f"__ns:=/{namespace}"] if namespace else []
    ros = ["--ros-args", "--log-level", "warn", "-r", "__node:=teleop_keyboard", *home, *parameters]
    return [sys.executable, "-m", "ptr_teleop.terminal.node", *ros]


def _quoted(text: str) -> str:
    """A YAML string, whatever the text looks like: `yes`, `1` and the empty text stay strings."""
    return "'" + text.replace("'", "''") + "'"
