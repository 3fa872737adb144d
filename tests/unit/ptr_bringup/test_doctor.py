# SPDX-License-Identifier: Apache-2.0
"""`ptr doctor` says what is missing and how to get it, and ends with 1 when that is necessary."""

from __future__ import annotations

import argparse
import io
import json
import pwd
from pathlib import Path

import pytest
from rich.console import Console

from ptr_bringup.doctor import checks, cli
from ptr_bringup.doctor.contributed import GROUP, contributed
from ptr_bringup.doctor.findings import AbsentError, Check, Finding, examine, healthy


def absent() -> str:
    raise AbsentError("buy one")


def broken() -> str:
    raise RuntimeError("half of it")


def test_what_is_there_is_ok() -> None:
    finding = examine(Check("arm", "moving", True, lambda: "a WidowX"))
    assert (finding.status, finding.found, finding.advice) == ("ok", "a WidowX", "")


def test_what_is_necessary_and_not_there_is_missing() -> None:
    finding = examine(Check("arm", "moving", True, absent))
    assert (finding.status, finding.advice) == ("missing", "buy one")
    assert not healthy([finding])


def test_what_is_not_needed_by_everyone_is_absent() -> None:
    finding = examine(Check("GPU", "speed", False, absent))
    assert finding.status == "absent"
    assert healthy([finding])


def test_a_check_that_fails_is_a_finding_too() -> None:
    assert examine(Check("arm", "moving", True, broken)).advice == "RuntimeError: half of it"


@pytest.mark.parametrize(("probe", "code"), [(lambda: "yes", 0), (absent, 1)])
def test_exit_code_and_json(
    probe: object, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "all_checks", lambda: [Check("arm", "moving", True, probe)])
    assert cli.run(argparse.Namespace(json=True)) == code
    report = json.loads(capsys.readouterr().out)
    assert report["healthy"] is (code == 0)
    assert report["findings"][0]["name"] == "arm"


def test_the_table_names_what_is_missing() -> None:
    console = Console(record=True, width=120, file=open("/dev/null", "w"))
    cli.show([examine(Check("arm", "moving", True, absent)), examine(Check("GPU", "speed", False, absent))], console)
    text = console.export_text()
    assert "buy one" in text
    assert "Missing and necessary: arm." in text


def test_every_check_has_a_purpose_and_survives_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_separately", lambda program: "not tried here")
    findings = [examine(check) for check in checks.all_checks()]
    assert len({finding.name for finding in findings}) == len(findings) >= 15
    assert all(finding.purpose and (finding.found or finding.advice) for finding in findings)
    assert {f.name: f.status for f in findings}["Python"] == "ok"


class Entry:
    """An entry point of another package."""

    def __init__(self, name: str, rows: object) -> None:
        self.name, self._rows = name, rows

    def load(self) -> object:
        return self._rows


def test_other_packages_contribute_checks() -> None:
    rows = [
        ("glove", "driving by hand", True, lambda: ("a left one", "")),
        ("hat", "the sun", False, lambda: ("", "buy one")),
    ]
    findings = [examine(check) for check in contributed([Entry("wardrobe", lambda: rows)])]
    assert [(f.name, f.status, f.found, f.advice) for f in findings] == [
        ("glove", "ok", "a left one", ""),
        ("hat", "absent", "", "buy one"),
    ]


def test_a_package_whose_checks_cannot_be_listed_is_missing_and_the_others_are_not() -> None:
    def well() -> list[tuple]:
        return [("glove", "driving by hand", True, lambda: ("yes", ""))]

    entries = [Entry("b_well", well), Entry("a_broken", broken), Entry("c_odd", lambda: [("only a name",)])]
    findings = [examine(check) for check in contributed(entries)]
    assert [(f.name, f.status) for f in findings] == [("a_broken", "missing"), ("glove", "ok"), ("c_odd", "missing")]
    assert findings[0].advice == "RuntimeError: half of it"


def test_the_learner_contributes_its_checks_by_its_entry_point() -> None:
    """From installed metadata: after a change, `make setup` is needed first."""
    names = {check.name for check in contributed() if check.necessary}
    assert {"PyTorch", "OpenCV", "rosbags"} <= names, f"no {GROUP} of ptr_models: run `make setup`"


def test_what_is_necessary_comes_first() -> None:
    needed = [check.necessary for check in checks.all_checks()]
    assert needed == sorted(needed, reverse=True)
    assert needed[0] and not needed[-1]


def test_a_check_that_crashes_its_process_is_reported() -> None:
    with pytest.raises(AbsentError, match="killed by SIGABRT"):
        checks._separately("import os; os.abort()")
    with pytest.raises(AbsentError, match="ZeroDivisionError"):
        checks._separately("1 / 0")


def test_too_little_disk_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "MIN_DISK", 1e18)
    with pytest.raises(AbsentError, match="at least 1000000000 GB are recommended"):
        checks._disk()


def test_nodes_of_another_account_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fastdds_1").touch()
    segments = [tmp_path / "fastdds_1", tmp_path / "fastdds_gone"]
    assert checks.other_accounts(segments) == []
    monkeypatch.setattr(checks.os, "geteuid", lambda: 4_000_000)
    (name,) = checks.other_accounts(segments)
    assert name == pwd.getpwuid((tmp_path / "fastdds_1").stat().st_uid).pw_name


def test_what_would_control_the_terminal_is_shown_as_an_escape() -> None:
    output = io.StringIO()
    finding = Finding("c\x1b[2Jamera", "p\x9bictures", True, "", "no [red]\u202eabc\ndef")
    cli.show([finding], Console(file=output, width=200))
    text = output.getvalue()
    assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert r"c\x1b[2Jamera" in text and r"p\x9bictures" in text and r"no [red]\u202eabc" in text
