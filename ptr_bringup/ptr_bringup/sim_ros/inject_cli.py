# SPDX-License-Identifier: Apache-2.0
"""`ptr inject`: inject a fault into the simulator, for practice and for testing the system's response."""

from __future__ import annotations

import argparse
import math

from rich.console import Console
from rich.table import Table

from ptr_bringup.sim.faults import CLEAR, KINDS
from ptr_bringup.sim.names import teach_names
from ptr_models.common import arguments
from ptr_models.common.namespaces import add_namespace

DESCRIPTION = """\
Inject a fault into the running simulator, as it would occur on a real robot: see how the arm holds and what the page
and the bag report, and practice recovering the arm (ptr arm recover)."""
EPILOG = """\
examples:
  ptr inject --list                                    list the faults
  ptr inject overload --target elbow                   a motor trips and goes limp
  ptr inject joint_states_late --value 0.4 --duration 5
  ptr inject clear                                     end all faults; tripped motors stay tripped"""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `inject` to the command line."""
    teach_names()
    parser = subparsers.add_parser(
        "inject",
        help="inject a fault into the simulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = (*KINDS, CLEAR)
    parser.add_argument("fault", nargs="?", choices=known, metavar="FAULT", help=f"see --list; {CLEAR}: end all")
    parser.add_argument("--target", default="", help="motor, joint or camera that it affects (default: see --list)")
    parser.add_argument("--value", type=arguments.Real(), default=math.nan, help="its strength (default: see --list)")
    parser.add_argument(
        "--duration",
        type=arguments.Real(0.0),
        default=0.0,
        metavar="S",
        help=f"s until it ends (default: until {CLEAR})",
    )
    parser.add_argument("--list", action="store_true", help="list the faults")
    add_namespace(parser)
    parser.set_defaults(run=lambda options: run(options, parser))


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run `ptr inject`."""
    if options.list:
        show(Console())
        return 0
    if options.fault is None:
        parser.error("a FAULT is needed; --list shows them")
    return _inject(options)


def _inject(options: argparse.Namespace) -> int:
    from ptr_bringup.ros.session import Caller, connected
    from ptr_msgs.srv import InjectFault

    request = InjectFault.Request(
        fault=options.fault, target=options.target, value=options.value, duration=options.duration
    )

    def make(caller: Caller) -> tuple[Caller, object]:
        return caller, caller.node.create_client(InjectFault, "simulator/inject")

    with connected("inject", make, options.namespace) as (caller, client):
        print(caller.call(client, request, timeout=10.0).message)
    return 0


def show(console: Console) -> None:
    """Print a table of the faults."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("fault", "what happens", "target", "value"):
        table.add_column(title, overflow="fold")
    for name, kind in KINDS.items():
        target = (kind.target or "all") if kind.targets else ""
        value = "" if kind.value is None else f"{kind.strength} {kind.value:g} {kind.unit}".rstrip()
        table.add_row(name, kind.effect, target, value)
    console.print(table)
