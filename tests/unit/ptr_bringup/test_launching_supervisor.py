# SPDX-License-Identifier: Apache-2.0
"""Processes of a launch file start, show their output, and end together; none is left behind."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ptr_bringup.launching.arguments import declared_arguments
from ptr_bringup.launching.cli import describe
from ptr_bringup.launching.documents import read_document
from ptr_bringup.launching.interpreter import Process
from ptr_bringup.launching.supervisor import TERMINAL_MARK, Supervisor

ROOT = Path(__file__).resolve().parents[3]
PTR_LAUNCH = """
import argparse, sys
from ptr_bringup.launching import supervisor
from ptr_bringup.launching.cli import register
supervisor.TIMEOUT = 0.5
parser = argparse.ArgumentParser()
register(parser.add_subparsers())
options = parser.parse_args(["launch", *sys.argv[1:]])
sys.exit(options.run(options))
"""


class Launch:
    """`ptr launch` on one file, in a separate process."""

    def __init__(self, folder: Path, body: str) -> None:
        file = folder / "a.launch.xml"
        file.write_text(f"<launch>{body}</launch>")
        prefix = folder / "prefix"
        (prefix / "share/ament_index/resource_index/packages").mkdir(parents=True)
        (prefix / "share/ament_index/resource_index/packages/ptr_bringup").touch()
        environment = os.environ | {
            "AMENT_PREFIX_PATH": str(prefix),
            "ROS_LOG_DIR": str(folder / "logs"),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "ptr_bringup"), os.environ.get("PYTHONPATH", "")]),
        }
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-c", PTR_LAUNCH, str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
        )
        self.output = ""

    def read_until(self, text: str) -> None:
        """Read its output up to a line with `text`."""
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return
        pytest.fail(f"{text!r} was not printed:\n{self.output}")

    def end(self) -> int:
        """Read the rest, and return the exit code."""
        self.output += self.process.stdout.read()
        return self.process.wait(30)

    def log(self, name: str) -> str:
        (path,) = (self.folder / "logs").glob(f"*/{name}.log")
        return path.read_text()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[[str], Launch]]:
    started = []

    def start(body: str) -> Launch:
        started.append(Launch(tmp_path, body))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
        one.end()


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_output_is_marked_shown_and_kept(launch: Callable[[str], Launch]) -> None:
    one = launch(
        '<executable cmd="expr 7 * 6" name="sum" output="screen"/><executable cmd="echo nothing to see" name="quiet"/>'
    )
    assert one.end() == 0
    assert "[sum-1] 42\n" in one.output
    assert "nothing to see" not in one.output
    assert one.log("sum-1") == "42\n"
    assert one.log("quiet-2") == "nothing to see\n"


def test_a_line_for_the_terminal_alone_is_in_no_log_and_in_no_pipe(launch: Callable[[str], Launch]) -> None:
    one = launch("<executable cmd=\"sh -c 'echo ${PTR_TERMINAL_MARK}secret; echo public'\" name='sh' output='screen'/>")
    assert one.end() == 0
    assert one.log("sh-1") == "public\n"
    assert "secret" not in one.output


def test_a_line_for_the_terminal_alone_is_shown_on_one(tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    process = Process("sh", ("sh", "-c", "echo ${PTR_TERMINAL_MARK}secret"), dict(os.environ), on_screen=True)
    assert asyncio.run(Supervisor([process], tmp_path, terminal).run()) == 0
    assert "secret\n" in terminal.getvalue()
    assert TERMINAL_MARK not in terminal.getvalue()
    assert "secret" not in (tmp_path / "sh-1.log").read_text()


def test_logs_are_kept_where_others_can_not_read_them(launch: Callable[[str], Launch]) -> None:
    one = launch('<executable cmd="echo hello" name="hello"/>')
    assert one.end() == 0
    (folder,) = (one.folder / "logs").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_standard_error_is_always_shown(launch: Callable[[str], Launch]) -> None:
    one = launch('<executable cmd="sh -c \'echo bad &gt;&amp;2\'" name="sh"/>')
    assert one.end() == 0
    assert "[sh-1] bad\n" in one.output


def test_the_end_of_a_process_with_on_exit_ends_the_others(launch: Callable[[str], Launch]) -> None:
    one = launch('<executable cmd="sleep 1000" name="long"/><executable cmd="true" name="short" on_exit="shutdown"/>')
    assert one.end() == 0
    assert "ending all processes: short-2 has ended" in one.output
    assert "long-1 ended" in one.output


def test_a_failed_process_makes_the_exit_code_1(launch: Callable[[str], Launch]) -> None:
    one = launch('<executable cmd="sh -c \'exit 3\'" name="sh"/><executable cmd="true"/>')
    assert one.end() == 1
    assert "sh-1 failed with exit code 3" in one.output


def test_a_program_that_is_not_there_ends_the_launch(launch: Callable[[str], Launch]) -> None:
    one = launch('<executable cmd="no_such_program_xyz"/><executable cmd="sleep 1000"/>')
    assert one.end() == 1
    assert "can't start no_such_program_xyz-1: No such file or directory: no_such_program_xyz" in one.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_every_process_once_as_sigint(launch: Callable[[str], Launch], number: int) -> None:
    text = (
        "import signal, time; n = []; signal.signal(signal.SIGINT, lambda *a: n.append(1)); "
        "print(88, flush=True)\nwhile not n: time.sleep(0.01)\ntime.sleep(0.2); print(len(n))"
    ).replace("\n", "&#10;")
    one = launch(f'<executable cmd="{sys.executable} -c \'{text}\'" name="n" output="screen"/>')
    one.read_until("[n-1] 88")
    one.process.send_signal(number)
    assert one.end() == 0
    assert one.log("n-1") == "88\n1\n"


def test_a_process_that_does_not_listen_is_killed_with_its_children(launch: Callable[[str], Launch]) -> None:
    command = "trap : INT TERM; sleep 1000 &amp; echo $$! 88; while :; do sleep 0.1; done".replace("$$", "\\$")
    one = launch(f'<executable cmd="sh -c \'{command}\'" name="deaf" output="screen"/>')
    one.read_until(" 88\n")
    child = int(one.output.rpartition("[deaf-1] ")[2].split()[0])
    one.process.send_signal(signal.SIGINT)
    assert one.end() == 1
    assert "deaf-1 was killed by SIGKILL" in one.output
    assert not alive(child)


def test_processes_end_when_the_launcher_is_killed(launch: Callable[[str], Launch]) -> None:
    one = launch('<executable cmd="sleep 1000" name="long"/>')
    one.read_until("started, pid ")
    pid = int(one.output.split()[-1])
    one.process.kill()
    one.end()
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_process_is_started_again_until_the_launch_ends(launch: Callable[[str], Launch], tmp_path: Path) -> None:
    file = tmp_path / "count"
    one = launch(
        f'<executable cmd="sh -c \'echo x &gt;&gt; {file}\'" respawn="true" name="again"/>'
        f'<executable cmd="sh -c \'until [ `grep -c x {file}` -ge 3 ]; do sleep 0.05; done\'" on_exit="shutdown"/>'
    )
    assert one.end() == 0
    assert len(file.read_text().split()) >= 3


def test_the_end_of_a_process_that_would_start_again_ends_the_others_if_it_is_to(
    launch: Callable[[str], Launch],
) -> None:
    one = launch('<executable cmd="sleep 1000"/><executable cmd="true" respawn="true" on_exit="shutdown" name="once"/>')
    assert one.end() == 0
    assert "ending all processes: once-2 has ended" in one.output


def test_processes_start_in_the_order_of_the_file(launch: Callable[[str], Launch]) -> None:
    names = [f"p{number}" for number in range(12)]
    one = launch("".join(f'<executable cmd="true" name="{name}"/>' for name in names))
    assert one.end() == 0
    assert [line.split()[1].rpartition("-")[0] for line in one.output.splitlines() if "started, pid" in line] == names


def test_arguments_are_shown(tmp_path: Path) -> None:
    file = tmp_path / "a.launch.xml"
    file.write_text('<launch><arg name="task" description="what\n to do"/><arg name="n" default="3"/></launch>')
    text = describe(list(declared_arguments(read_document(file), {}).values()))
    assert "task  (required)\n      what to do" in text
    assert "n  (default: 3)" in text
