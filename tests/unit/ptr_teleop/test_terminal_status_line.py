# SPDX-License-Identifier: Apache-2.0
"""The line at the bottom of a terminal that drives: what it says, and how sentences stay above it."""

from __future__ import annotations

import io

from ptr_teleop.terminal.status_line import CLEAR, StatusLine, View, line_of


class Terminal(io.StringIO):
    """A terminal of 100 columns."""

    def isatty(self) -> bool:
        return True


def test_while_recording_the_line_says_for_how_long_and_who_drives() -> None:
    view = View("recording", 72.4, "put_carrot_on_plate", 3, 10, "you drive", 0.02, "50%", "discard", "it lasts 0.4 s")
    assert line_of(view) == ("RECORDING 1:12 put_carrot_on_plate | saved 3/10 | you drive | gripper closed | speed 50%")


def test_between_episodes_the_line_says_what_the_audit_found() -> None:
    view = View(
        "ready", saved=3, arm="policy drives", gripper=0.4, recommendation="discard", finding="it lasts 0.4 s only"
    )
    assert line_of(view) == ("ready | saved 3 | policy drives | gripper 40% open | audit: discard: it lasts 0.4 s only")
    assert line_of(View("ready", saved=1, arm="nobody drives", recommendation="keep")).endswith("audit: keep")


def test_what_is_not_heard_is_said() -> None:
    assert line_of(View(speed="100%")) == "no recorder | no arm | speed 100%"


def test_a_task_or_finding_can_not_control_the_terminal() -> None:
    assert "\x1b" not in line_of(View("recording", task="x\x1b[2J"))


def test_the_line_is_written_when_it_changes_and_fits_the_terminal() -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.show("a" * 300)
    line.show("a" * 300)
    assert terminal.getvalue() == CLEAR + "a" * 99


def test_sentences_stay_above_the_line() -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.show("ready")
    line.print("saved")
    assert terminal.getvalue() == f"{CLEAR}ready{CLEAR}saved\n{CLEAR}ready"
    line.end()
    assert terminal.getvalue().endswith("ready\n")


def test_in_a_file_there_are_sentences_and_no_line() -> None:
    file = io.StringIO()
    line = StatusLine(file)
    line.show("ready")
    line.print("saved")
    line.end()
    assert file.getvalue() == "saved\n"
