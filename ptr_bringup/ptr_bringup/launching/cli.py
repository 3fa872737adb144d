# SPDX-License-Identifier: Apache-2.0
"""`ptr launch`: run a launch file without ROS 2's own launch system."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ptr_bringup.domain import conflict
from ptr_bringup.launching.arguments import Argument, declared_arguments, parse_assignments
from ptr_bringup.launching.documents import SUFFIXES, read_document
from ptr_bringup.launching.errors import LaunchError, known_names
from ptr_bringup.launching.interpreter import Plan, interpret
from ptr_bringup.launching.known_values import require_known
from ptr_bringup.launching.packages import package_share
from ptr_bringup.launching.parameters import ParameterFile
from ptr_bringup.launching.supervisor import Supervisor
from ptr_bringup.ros_environment import set_discovery, unsupported

EPILOG = """examples:
  ptr launch ptr_bringup collect.launch.xml --show-args
  ptr launch ptr_bringup collect.launch.xml task:=put_carrot_in_pot episodes:=10 directory:=data/carrot
  ptr launch path/to/some.launch.xml name:=value

If ROS 2 is installed, `ros2 launch` takes the same arguments and runs the same files."""


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `launch` to the command line."""
    parser = subparsers.add_parser(
        "launch",
        help="run a launch file: ptr launch PACKAGE FILE [name:=value …]",
        description="Run a launch file in ROS 2's XML format.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("package_or_file", help="a package, or the path of a launch file")
    parser.add_argument(
        "rest", nargs="*", metavar="FILE | name:=value", help="launch file of the package, launch arguments"
    )
    parser.add_argument("-s", "--show-args", action="store_true", help="show the file's arguments and exit")
    parser.add_argument("-n", "--dry-run", action="store_true", help="show the commands and exit")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run `ptr launch`."""
    try:
        file, words = find_file(options.package_or_file, options.rest)
        given = parse_assignments(words)
        environment = default_environment(os.environ)
        if options.show_args:
            print(describe(declared_arguments(read_document(file), environment).values()))
            return 0
        plan = interpret(file, given, environment)
        if options.dry_run:
            print(show(plan))
            return 0
        require_known(plan)
        require_own_domain(plan)
        folder = log_folder(environment)
    except LaunchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return supervise(plan, folder)


def require_own_domain(plan: Plan) -> None:
    """Refuse to start a second robot in a domain.

    Raises:
        LaunchError: a node that may run once per domain is already running; the message names a free domain.
    """
    names = [f"{process.namespace}/{process.name}".strip("/") for process in plan.processes]
    if plan.processes and (why := conflict(plan.processes[0].environment, names)):
        raise LaunchError(why)


def supervise(plan: Plan, folder: Path) -> int:
    """Run everything in a launch file's plan; see `Supervisor`."""
    for message in plan.messages:
        print(f"[launch] {message}", flush=True)
    print(f"[launch] logs are in {folder}", flush=True)
    logs = {"ROS_LOG_DIR": str(folder)}
    processes = [dataclasses.replace(p, environment={**p.environment, **logs}) for p in plan.processes]

    async def main() -> int:
        return await Supervisor(processes, folder).run()

    return asyncio.run(main())


def find_file(first: str, rest: Sequence[str]) -> tuple[Path, list[str]]:
    """The launch file, and the words after it.

    Args:
        first: a package, or a path.
        rest: the words after it; the first one is a file name if `first` is a package.
    """
    if os.sep in first or first.endswith((*SUFFIXES, ".py", ".yaml")):
        path = Path(first)
        if not path.is_file():
            raise LaunchError(f"launch file {first} does not exist")
        return path.absolute(), list(rest)
    folder = package_share(first)
    files = {path.name: path for path in sorted(folder.rglob("*.launch.*"))}
    if not rest or ":=" in rest[0]:
        raise LaunchError(f"name a launch file of {first}; {known_names('', files, 'its launch files')}")
    if rest[0] not in files:
        near = known_names(rest[0], files, "its launch files")
        raise LaunchError(f"package {first!r} has no launch file {rest[0]!r}; {near}")
    return files[rest[0]], list(rest[1:])


def default_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """The environment of the processes: nodes stay on this machine unless the user has allowed otherwise."""
    if why := unsupported(inherited):
        raise LaunchError(why)
    environment = dict(inherited)
    environment.setdefault("PYTHONUNBUFFERED", "1")
    set_discovery(environment, str(package_share("ptr_bringup")))
    return environment


def log_folder(environment: Mapping[str, str]) -> Path:
    """A folder for this run's logs: below ROS_LOG_DIR or ~/.ros/log, else a temporary one."""
    home = Path(environment.get("ROS_HOME") or Path.home() / ".ros")
    parent = Path(environment.get("ROS_LOG_DIR") or home / "log")
    folder = parent / f"{time.strftime('%Y-%m-%d-%H-%M-%S')}-launch-{os.getpid()}"
    try:
        folder.mkdir(parents=True, mode=0o700)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="ptr-launch-"))
    return folder


def describe(arguments: Collection[Argument]) -> str:
    """The arguments of a launch file, as `--show-args` prints them."""
    lines = ["Arguments (name:=value):"]
    for argument in arguments:
        default = "required" if argument.default is None else f"default: {argument.default or repr('')}"
        named = ", ".join(choice or repr("") for choice in argument.choices)
        choices = f"; one of: {named}" if named else ""
        lines += ["", f"  {argument.name}  ({default}{choices})", f"      {argument.description or '-'}"]
    return "\n".join(lines) if arguments else "This launch file has no arguments."


def show(plan: Plan) -> str:
    """The commands of a plan, with the contents of parameter files."""
    return "\n".join(shlex.join(map(_word, process.command)) for process in plan.processes)


def _word(word: str | ParameterFile) -> str:
    return word if isinstance(word, str) else f"<{' '.join(word.text.split())}>"
