# SPDX-License-Identifier: Apache-2.0
"""`ptr collect`: a session of demonstrations, with a progress bar."""

from __future__ import annotations

import argparse
import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ptr_bringup.ros.own_domain import sentence_of, take_own_domain
from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_atomically
from ptr_models.common.guidance import next_step, resumable
from ptr_models.common.namespaces import STARTS, add_namespace
from ptr_models.common.output_folder import require_unused
from ptr_models.common.processes import end_process, interrupted_with_parent
from ptr_models.contract import Contract
from ptr_models.contract_cli import adjusted, camera_name, read_contract
from ptr_models.episodes.episode_discovery import episodes_so_far
from ptr_models.episodes.quality import DISCARD
from ptr_teleop.devices import device_names
from ptr_teleop.recorder.files import audit
from ptr_teleop.terminal.cli import drive, require_terminal

KEYBOARD = "keyboard"
DRIVEN_BY_NODES = ("joy", "twist")
"""Devices whose driver is a ROS node that the user starts."""
POLL_PERIOD = 0.25  # s between two checks of the folder
TAIL = 15  # lines of the log shown after a failure
ADDRESS = re.compile(r"the console is at (\S+)")

DESCRIPTION = """\
Record demonstrations, one bag each. This starts the robot, teleoperation and the recorder, like
`ptr launch ptr_bringup collect.launch.xml`, and shows how many are saved. In simulation a scripted operator
drives by default. To drive yourself, use --device keyboard (the keys of this terminal), spacemouse, webxr,
page_keyboard, joy or twist. Ctrl-C ends the session and keeps what is saved."""


class CollectError(PtrError):
    """The session could not run to its end; the message says why."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "collect",
        help="record demonstrations",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    about = "task to demonstrate, e.g. put_sweet_potato_on_plate; ptr sim tasks lists the simulated ones"
    arguments.also_by_place(parser, "task", type=arguments.any_task, metavar="TASK", help=about)
    about = "folder that gets one bag per demonstration"
    parser.add_argument("--out", required=True, type=arguments.output_folder, metavar="DIR", help=about)
    parser.add_argument(
        "--episodes", type=arguments.count, default=10, metavar="N", help="demonstrations to save (default: 10)"
    )
    parser.add_argument(
        "--robot", choices=("sim", "wx250s"), default="sim", help="the simulated arm or the real one (default: sim)"
    )
    parser.add_argument(
        "--kitchen",
        type=arguments.kitchen,
        default="toykitchen1",
        metavar="NAME",
        help="simulated kitchen (default: toykitchen1)",
    )
    parser.add_argument(
        "--seed", type=arguments.seed, default=0, metavar="N", help="seed of the simulated scenes (default: 0)"
    )
    parser.add_argument(
        "--device", choices=device_names(), default="scripted", help="what drives the arm (default: scripted)"
    )
    parser.add_argument("--operator", default="", metavar="NAME", help="who drives the arm, written into each bag")
    arguments.add_image_size(parser)
    arguments.add_cameras(parser, camera_name, "those of the contract")
    about = "contract to record with, as written by ptr contract make (default: the suite's)"
    parser.add_argument("--contract", type=arguments.existing_file, metavar="FILE.json", help=about)
    add_namespace(parser, STARTS)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Start the launch file, drive by keyboard or show progress, and wait until it ends."""
    by_keys = getattr(options, "device", "") == KEYBOARD
    if by_keys:
        require_terminal()
    if getattr(options, "robot", "") == "sim" and arguments.known("task"):
        _require_known(options.task, options.cameras)
    require_unused(options.out)
    take_domain(options)
    options.out.mkdir(parents=True, exist_ok=True)
    command = launch_command(options, contract_file(options))
    log = options.out / "collect.log"
    known = saved_episodes(options.out)

    def saved() -> set[Path]:
        return saved_episodes(options.out) - known

    with _resumable(saved, options), started(command, log) as process:
        if by_keys:
            print(f"starting the robot; its log is {log}")
            drive(options.task, options.operator, process, options.namespace)
            ended_by_person = process.poll() is None
            print(f"{len(saved())} of {options.episodes} demonstrations are saved in {options.out}")
        else:
            _watch(process, log, options, saved)
            ended_by_person = False
    found = doubtful(sorted(saved()))
    for line in found:
        print(line)
    if found:
        print(f"to replace what you discard, run the same command with --episodes {len(found)}")
    if process.returncode and not ended_by_person:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL:])
        raise CollectError(f"the session ended with code {process.returncode}; the end of {log}:\n{tail}")
    next_step("inspect", options.out, about="shows what is in them; ptr discard removes bad ones")


def take_domain(options: argparse.Namespace) -> None:
    """Give a simulated session its own ROS domain, and print which.

    The user's domain is kept for a real arm, for a robot with a namespace, and for devices driven by the user's nodes.
    """
    alone = not getattr(options, "namespace", "")
    if alone and getattr(options, "robot", "") == "sim" and options.device not in DRIVEN_BY_NODES:
        domain = take_own_domain()
        if domain is not None:
            print(sentence_of(domain))


@contextlib.contextmanager
def started(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in its own session with its output in a log; it is ended when the context is left."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=interrupted_with_parent(),
        )
        try:
            yield process
        finally:
            end_process(process)


def _watch(
    process: subprocess.Popen[bytes], log: Path, options: argparse.Namespace, saved: Callable[[], set[Path]]
) -> None:
    """Show how many episodes are saved until the session ends."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    address = ""
    with Progress(*columns) as progress:
        progress.console.print(f"starting the robot; its log is {log}", markup=False, soft_wrap=True)
        bar = progress.add_task(options.task, total=options.episodes)
        while process.poll() is None:
            if not address and (address := console_address(log)):
                progress.console.print(f"the console is at {address}")
            progress.update(bar, completed=len(saved()))
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_PERIOD)
        progress.update(bar, completed=len(saved()))


def _resumable(saved: Callable[[], set[Path]], options: argparse.Namespace) -> contextlib.AbstractContextManager[None]:
    """On an interrupt, say how many demonstrations are saved and how to record the rest."""

    def done() -> str:
        left = options.episodes - len(saved())
        if left <= 0:
            return f"all {options.episodes} demonstrations are saved in {options.out}"
        more = f"to record the other {left}, run the same command with --episodes {left}"
        return f"{len(saved())} of {options.episodes} demonstrations are saved in {options.out}; {more}"

    return resumable(done, f"ptr inspect {options.out} shows what was recorded")


def _require_known(task: str, cameras: Sequence[str]) -> None:
    """Reject a task or camera that the simulator does not have.

    Raises:
        CollectError: unknown name; the message names the nearest one.
    """
    try:
        arguments.task(task)
        for camera in cameras:
            arguments.camera(camera)
    except argparse.ArgumentTypeError as error:
        raise CollectError(str(error)) from None


def contract_file(options: argparse.Namespace) -> Path | None:
    """File of the contract that the session records with; None: the suite's own. `--image-size` writes one.

    Raises:
        PtrError: the file given with --contract is not a contract.
    """
    given = getattr(options, "contract", None)
    contract = read_contract(given) if given else Contract().with_cameras(cameras_of(options))
    if getattr(options, "image_size", None) is None:
        return given
    file = options.out / "contract.json"
    write_atomically(file, adjusted(contract, options.image_size).to_json() + "\n")
    return file


def cameras_of(options: argparse.Namespace) -> list[str]:
    """The cameras of the session: those of --camera, or those of its contract."""
    given = getattr(options, "contract", None)
    contract = read_contract(given) if given else Contract()
    return getattr(options, "cameras", None) or [camera.name for camera in contract.cameras]


def launch_command(options: argparse.Namespace, contract: Path | None = None) -> list[str]:
    """The command that starts the session."""
    values = {
        "task": options.task,
        "robot": options.robot,
        "kitchen": options.kitchen,
        "seed": options.seed,
        "episodes": options.episodes,
        "cameras": ",".join(cameras_of(options)),
        "device": "none" if options.device == KEYBOARD else options.device,
        "directory": options.out,
    }
    if options.operator:
        values["operator_name"] = options.operator
    if options.namespace:
        values["namespace"] = options.namespace
    if contract is not None:
        values["contract_file"] = contract
    words = [f"{name}:={value}" for name, value in values.items()]
    return [sys.executable, "-m", "ptr_models.cli", "launch", "ptr_bringup", "collect.launch.xml", *words]


def console_address(log: Path) -> str:
    """Address of the operator's page, from the session's log; empty: not in the log yet."""
    found = ADDRESS.search(log.read_text(errors="replace"))
    return found.group(1) if found else ""


def saved_episodes(folder: Path) -> set[Path]:
    """Finished episodes in a folder."""
    return set(episodes_so_far(folder))


def doubtful(episodes: Iterable[Path]) -> list[str]:
    """One line for each episode that the audit would discard."""
    lines = []
    for path in episodes:
        judged = audit(path)
        if judged.recommendation == DISCARD:
            lines.append(f"{path.name}: better discarded, or recorded again: {'; '.join(judged.findings)}")
    return lines
