# SPDX-License-Identifier: Apache-2.0
"""Free text in tables and reports: no markup, no control of the terminal, no HTML."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from ptr_bringup.doctor import cli as doctor
from ptr_bringup.doctor.findings import Finding
from ptr_policy.bulk import evaluate, practice_report
from ptr_policy.bulk.evaluate import BulkTrial
from ptr_policy.bulk.practice import PracticeTrial
from ptr_policy.demo.plan import Plan
from ptr_policy.demo.report import Result, _page

SHOWN: list[Callable[[str], None]] = [
    lambda text: evaluate.show([BulkTrial(text, text, 0, True, 1, None)]),
    lambda text: practice_report.show([PracticeTrial(0, text, True, True, 1, 1, False)]),
]


def doctors(text: str) -> None:
    doctor.show([Finding(text, text, True, "", text)], Console())


@pytest.mark.parametrize(
    ("show", "text"),
    [
        *itertools.product(SHOWN, ["[/red]", "[red]x", "\x1b[2Jx"]),
        *itertools.product([doctors], ["[/red]", "[red]x"]),
    ],
)
def test_a_table_shows_free_text_as_it_was_written(
    show: Callable[[str], None], text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    show(text)
    output = capsys.readouterr().out
    assert text.replace("\x1b", "\\x1b") in output
    assert "\x1b[2J" not in output
    assert "[bold]" not in output


def test_the_demos_page_escapes_what_people_wrote(tmp_path: Path) -> None:
    text = "<script>alert(1)</script>[/red]"
    plan = Plan(tmp_path, 0, text, text, 10, 1, tmp_path, tmp_path, 5, 5)
    result = Result(1, 1, 1.0, (0.2, 1.0), [True], [""])
    report = {"stages": [{"title": text, "seconds": 1.0}], "total_seconds": 1.0, "versions": {text: text}}
    page = _page(plan, report, {"ptr": result, "pretrained": result}, [])
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;[/red]" in page
