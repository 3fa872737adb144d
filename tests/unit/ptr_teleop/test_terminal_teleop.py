# SPDX-License-Identifier: Apache-2.0
"""Driving at a terminal: what is said of the recorder, how Ctrl-C ends, and the command that starts it."""

from __future__ import annotations

import argparse
import io
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("ptr_msgs.msg")

from ptr_msgs.msg import EpisodeStatus  # noqa: E402
from ptr_teleop import cli as collect  # noqa: E402
from ptr_teleop.devices.base import Button  # noqa: E402
from ptr_teleop.terminal import cli  # noqa: E402
from ptr_teleop.terminal.node import TerminalTeleop  # noqa: E402
from ptr_teleop.terminal.status_line import StatusLine, View  # noqa: E402


class Recorder:
    """Remembers the buttons."""

    def __init__(self) -> None:
        self.pressed: list[Button] = []

    def press(self, button: Button, device: str) -> None:
        self.pressed.append(button)


class Terminal(TerminalTeleop):
    """The node without ROS."""

    def __init__(self) -> None:
        self.said = io.StringIO()
        self._line, self._recorder = StatusLine(self.said), Recorder()
        self._episode, self._episode_at, self._interrupts, self._answered = None, 0.0, 0, 0
        self._device = argparse.Namespace(source="keyboard")

    def _view(self, recorder: str) -> View:
        return View(recorder)

    def hear(self, state: int, message: str = "", **fields: object) -> str:
        """What is said because of a status."""
        begin = len(self.said.getvalue())
        self._on_episode(EpisodeStatus(state=state, message=message, **fields))
        return self.said.getvalue()[begin:]

    def interrupt(self) -> int | None:
        self._interrupts += 1
        self._update()
        return self.exit_code


def test_what_became_of_an_episode_is_said_once_with_its_findings() -> None:
    terminal = Terminal()
    assert terminal.hear(EpisodeStatus.IDLE, "ready") == ""  # as it was before this began
    assert terminal.hear(EpisodeStatus.RECORDING, "recording e1") == "recording e1\n"
    saved = {"recommendation": "discard", "findings": ["it lasts 0.4 s only"], "episode_id": "e1"}
    said = terminal.hear(EpisodeStatus.IDLE, "saved e1 (success)", **saved)
    assert said == "saved e1 (success)\n  - it lasts 0.4 s only\n  x discards it, r records the next one\n"
    assert terminal.hear(EpisodeStatus.IDLE, "saved e1 (success)", **saved) == ""


def test_when_the_last_wanted_episode_is_saved_that_is_said() -> None:
    terminal = Terminal()
    terminal.hear(EpisodeStatus.IDLE, "saved e9", saved=9, goal=10)
    assert "all 10 are saved; Ctrl-C ends" in terminal.hear(EpisodeStatus.IDLE, "saved e10", saved=10, goal=10)
    assert "all 10" not in terminal.hear(EpisodeStatus.IDLE, "saved e11", saved=11, goal=10)


def test_ctrl_c_ends_at_once_where_nothing_is_recorded() -> None:
    terminal = Terminal()
    assert terminal.interrupt() == 0
    terminal = Terminal()
    terminal.hear(EpisodeStatus.IDLE)
    assert terminal.interrupt() == 0


def test_ctrl_c_during_an_episode_asks_and_ends_once_it_is_answered() -> None:
    terminal = Terminal()
    terminal.hear(EpisodeStatus.RECORDING)
    assert terminal.interrupt() is None
    assert "enter save as success   f save as failure   x discard" in terminal.said.getvalue()
    terminal.hear(EpisodeStatus.SAVING)
    terminal._update()
    assert terminal.exit_code is None  # the audit is still to come
    terminal.hear(EpisodeStatus.IDLE)
    terminal._update()
    assert (terminal.exit_code, terminal._recorder.pressed) == (0, [])


def test_a_second_ctrl_c_keeps_the_episode_unlabelled() -> None:
    terminal = Terminal()
    terminal.hear(EpisodeStatus.RECORDING)
    terminal.interrupt()
    terminal.interrupt()
    terminal._update()
    assert terminal._recorder.pressed == [Button.KEEP]
    assert terminal.exit_code is None
    terminal._episode_at -= 5.0  # it saves on a busy machine
    terminal._update()
    assert terminal.exit_code is None
    terminal._episode_at -= 60.0  # it is gone
    terminal._update()
    assert terminal.exit_code == 0


def test_texts_reach_the_node_as_texts() -> None:
    words = cli.node_command("1e3", "it's me: yes")
    values = [yaml.safe_load(word.partition(":=")[2]) for word in words if ":=" in word and "__node" not in word]
    assert values == ["keyboard", "1e3", "it's me: yes"]
    assert not any("__ns" in word for word in words)


def test_the_node_goes_into_the_namespace_of_its_robot() -> None:
    assert "__ns:=/lab/left" in cli.node_command("t", "", "lab/left")


def test_without_a_terminal_nothing_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(cli.TerminalError, match="needs a terminal"):
        cli.drive("put_carrot_on_plate")
    options = argparse.Namespace(out=tmp_path / "data", task="t", episodes=1, device="keyboard")
    with pytest.raises(cli.TerminalError, match="needs a terminal"):
        collect.run(options)
    assert not options.out.exists()


@pytest.fixture
def in_a_terminal() -> Iterator[None]:
    """Standard input is a terminal."""
    person, computer = pty.openpty()
    before = os.dup(0)
    os.dup2(computer, 0)
    yield
    os.dup2(before, 0)
    for file in (person, computer, before):
        os.close(file)


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A stand-in of the node that waits; the file that says how it was ended."""
    said = tmp_path / "said"
    program = textwrap.dedent(f"""
        import pathlib, signal, sys, time
        said = pathlib.Path({str(said)!r})
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: (said.write_text(str(int(number))), sys.exit(0)))
        said.write_text("runs")
        time.sleep(60.0)
    """)
    monkeypatch.setattr(cli, "node_command", lambda *_: [sys.executable, "-c", program])
    monkeypatch.setattr(cli, "POLL_PERIOD", 0.02)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    return said


def test_the_node_ends_with_the_robot_without_a_question(in_a_terminal: None, node: Path) -> None:
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(node)!r}).exists(): time.sleep(0.02)\ntime.sleep(0.3)"
    robot = subprocess.Popen([sys.executable, "-c", wait])
    assert cli.drive("t", robot=robot) == 0
    assert node.read_text() == str(int(signal.SIGTERM))


def test_ctrl_c_is_left_to_the_node(in_a_terminal: None, node: Path) -> None:
    interrupt = (
        f"import os, pathlib, signal, time\nsaid = pathlib.Path({str(node)!r})\n"
        "while not said.exists() or said.read_text() != 'runs': time.sleep(0.02)\n"
        f"os.kill({os.getpid()}, signal.SIGINT)\ntime.sleep(0.5)"
    )
    robot = subprocess.Popen([sys.executable, "-c", interrupt])
    before = signal.getsignal(signal.SIGINT)
    began = time.monotonic()
    cli.drive("t", robot=robot)  # not interrupted itself: it goes on until the robot ends
    assert time.monotonic() - began > 0.4
    assert signal.getsignal(signal.SIGINT) is before
