# SPDX-License-Identifier: Apache-2.0
"""Free text is printed as it is: it is no markup, and it does not control the terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ptr_models.cli import main
from ptr_models.common.plain_text import for_markup, plain
from ptr_models.episodes.inspection import inspect, show


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("put carrot on plate", "put carrot on plate"),
        ("Möhre 人参", "Möhre 人参"),
        ("\x1b[2J\x1b[H", r"\x1b[2J\x1b[H"),
        ("\x9b2J", r"\x9b2J"),
        ("a\rb\nc\x00", r"a\rb\nc\x00"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_controls_a_terminal_is_shown_as_an_escape(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize("text", ["[/red]", "[red] carrot", "[link=file:///etc]x[/link]", "\\[red]", "x\\", "[bold]\\"])
def test_brackets_are_no_markup(text: str) -> None:
    output = io.StringIO()
    Console(file=output, width=200).print(f"[red]{for_markup(text)}[/red].")
    assert output.getvalue() == f"{text}.\n"


@pytest.mark.parametrize("instruction", ["[/red]", "[red] carrot", "\x1b[2Jgone", "a\rb"])
def test_an_instruction_is_inspected_as_it_was_written(make_episode: Callable[..., Path], instruction: str) -> None:
    folder = make_episode(instruction=instruction, operator=instruction, kitchen=instruction)
    output = io.StringIO()
    show(inspect(folder), Console(file=output, width=200))
    assert output.getvalue().count(plain(instruction)) == 3
    assert not set("\x1b\r") & set(output.getvalue())


def test_a_folder_with_a_hostile_name_is_named_in_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "\x1b[2J[/red]")]) == 2
    assert r"\x1b[2J[/red] does not exist" in capsys.readouterr().err
