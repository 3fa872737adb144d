# SPDX-License-Identifier: Apache-2.0
"""The command line: it teaches, adds what others bring, and turns errors into one sentence."""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from rich.console import Console

from ptr_models import cli
from ptr_models.common import assets
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import command_text
from ptr_models.episodes.inspection import EpisodeReport
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.overview import both_ends, findings, show_overview
from ptr_models.episodes.reader import read_episode, read_metadata


class Entry:
    """An entry point of another package."""

    def __init__(self, name: str, register: Callable[[], object]) -> None:
        self.name = name
        self.load = register


@pytest.fixture
def add_command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    entries: list[Entry] = []
    monkeypatch.setattr(cli, "entry_points", lambda group: entries)
    monkeypatch.setattr(cli, "OWN", {"inspect": cli.OWN["inspect"]})

    def add(name: str, load: Callable[[], object]) -> None:
        entries.append(Entry(name, load))

    return add


def command(run: Callable[[argparse.Namespace], int | None]) -> Callable[[], object]:
    def register(subparsers: argparse._SubParsersAction) -> None:
        subparsers.add_parser("greet", help="say hello").set_defaults(run=run)

    return lambda: register


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    for name in ("import", "inspect", "recover", "examples:"):
        assert name in text


def test_other_packages_add_commands(add_command: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    add_command("greet", command(lambda options: print("hello")))
    assert cli.main(["greet"]) == 0
    assert capsys.readouterr().out == "hello\n"


def test_a_broken_package_is_reported_and_does_not_break_the_others(
    add_command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> object:
        raise ImportError("No module named 'rclpy'")

    def half(subparsers: argparse._SubParsersAction) -> None:
        subparsers.add_parser("half", help="half a command")
        raise ValueError("unfinished")

    add_command("arm", broken)
    add_command("half", lambda: half)
    add_command("greet", command(lambda options: 3))
    assert cli.main(["greet"]) == 3
    errors = capsys.readouterr().err
    assert "the command 'arm' is not available: ImportError: No module named 'rclpy'" in errors
    assert "'half' is not available: ValueError: unfinished" in errors
    assert cli.main([]) == 0
    assert "half a command" not in capsys.readouterr().out


def test_errors_are_one_sentence_and_exit_code_two(
    add_command: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(options: argparse.Namespace) -> int:
        raise PtrError("the carrot is missing; put one on the counter")

    add_command("greet", command(fail))
    assert cli.main(["greet"]) == 2
    assert capsys.readouterr().err == "error: the carrot is missing; put one on the counter\n"
    assert cli.main(["--debug", "greet"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_control_c_ends_with_130(add_command: Callable[..., None]) -> None:
    def interrupt(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    add_command("greet", command(interrupt))
    assert cli.main(["greet"]) == 130


def test_episodes_and_replay_import_no_torch() -> None:
    check = (
        "import sys, ptr_models.episodes.inspection, ptr_models.episodes.writer, ptr_models.replay\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], env=os.environ.copy()).returncode == 0


def test_inspect_shows_streams_and_steps_and_writes_a_contact_sheet(
    make_episode: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_episode(steps=12)
    sheet = tmp_path / "sheet.png"
    assert cli.main(["inspect", str(folder), "--sheet", str(sheet)]) == 0
    text = capsys.readouterr().out
    assert "put_carrot_in_pot" in text
    assert "usable: 12 control steps" in text
    assert cv2.imread(str(sheet)).shape == (2 * 128, 8 * 128, 3)


def test_inspect_prints_json(make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["inspect", str(make_episode(steps=10)), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)[0]
    rates = {stream["topic"]: (stream["count"], stream["rate"]) for stream in report["streams"]}
    assert rates["/arm/state"] == (11, pytest.approx(5.0))
    assert report["steps"] == 10


def test_inspect_of_a_folder_goes_on_after_a_damaged_bag(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = make_episode(0), make_episode(1)
    bag = first / "episode_0000.mcap"
    bag.write_bytes(bag.read_bytes()[:1000])
    assert cli.main(["inspect", str(first.parent)]) == 2
    text = capsys.readouterr().out
    assert "cut off or damaged" in text
    assert second.name in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere does not exist"),
        (["{bag}", "--sheet", "/no/such/folder/x.png"], "cannot be written"),
        (["{bag}", "--sheet", "x.nonsense"], "x.nonsense does not end in .png"),
    ],
)
def test_inspect_refuses_in_one_sentence(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    folder = make_episode()
    assert cli.main(["inspect", *(word.format(bag=folder) for word in words)]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert "Traceback" not in errors


def test_label_sets_the_outcome_and_keeps_the_history(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_episode(outcome="unlabelled")
    assert cli.main(["label", "success", str(folder), "--by", "anna"]) == 0
    assert cli.main(["label", "partial", str(folder), "--score", "0.5", "--note", "dropped it"]) == 0
    metadata = read_metadata(folder)
    assert (metadata.outcome, metadata.score) == ("partial", 0.5)
    assert [label.outcome for label in metadata.labels] == ["success", "partial"]
    assert metadata.labels[0].annotator == "anna"
    capsys.readouterr()
    assert cli.main(["label", "success", str(folder), "--score", "7"]) == 2
    assert capsys.readouterr().err == "error: argument --score: 0 to 1 is needed, not 7; see ptr label --help\n"


def test_a_checkpoint_is_found_by_name_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTR_CHECKPOINTS", str(tmp_path))
    (tmp_path / "small").mkdir()
    assert assets.checkpoint_path("small") == tmp_path / "small"
    assert assets.checkpoint_path(tmp_path / "small") == tmp_path / "small"
    with pytest.raises(PtrError, match="there is no checkpoint 'big'.*small"):
        assets.checkpoint_path("big")


def test_a_module_run_reads_an_episode(make_episode: Callable[..., Path]) -> None:
    folder = make_episode()
    result = subprocess.run(
        [sys.executable, "-m", "ptr_models.cli", "inspect", str(folder)],
        env=os.environ.copy(),
        capture_output=True,
    )
    assert result.returncode == 0
    assert f"{len(read_episode(folder))} control steps".encode() in result.stdout


def test_inspect_of_a_folder_says_totals_first_then_a_line_an_episode(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (task, outcome) in enumerate(
        [("put_carrot_in_pot", "success")] * 2 + [("put_knife_in_pot", "failure")]
    ):
        folder = make_episode(number, steps=10 + number, task=task, outcome=outcome, operator="anna")
    assert cli.main(["inspect", str(folder.parent)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 episodes, 33 steps, 0.1 minutes; 0 not usable for training")
    assert lines[1].split() == ["by", "task", "put_carrot_in_pot", "2,", "put_knife_in_pot", "1"]
    assert lines[2].split() == ["by", "outcome", "success", "2,", "failure", "1"]
    assert lines[3].split() == ["by", "operator", "anna", "3"]
    assert [line for line in lines if line.startswith("episode_000")] and "usable:" not in "\n".join(lines)


def test_findings_that_differ_in_numbers_are_counted_together() -> None:
    def report(*findings: str) -> EpisodeReport:
        return dataclasses.replace(REPORT, findings=findings)

    found = findings([report("lost 5 of 100 images", "the arm stood"), report("lost 7 of 90 images")])
    assert found == [(2, "e.g. lost 5 of 100 images"), (1, "the arm stood")]


def test_a_busy_computer_is_told_once_with_a_count_and_briefly_per_episode() -> None:
    def report(use: int) -> EpisodeReport:
        why = f": the computer was busy, {use}% of its processors were in use"
        slow = [f"/camera/{name}/image/compressed came at 4.2 Hz, 30 Hz were asked for" for name in ("left", "right")]
        paused = "/camera/left/image/compressed paused for 1.00 s, 4 Hz on average"
        return dataclasses.replace(REPORT, findings=(*(text + why for text in (*slow, paused)), "the arm stood"))

    reports, output = [report(97), report(95)], io.StringIO()
    assert (2, "e.g. the computer was busy, 97% of its processors were in use") in findings(reports)
    show_overview(reports, 0, Console(file=output, width=80))
    text = output.getvalue()
    assert text.count("of its processors were in use") == 1
    assert text.count("    the arm stood; the computer was busy (2 streams slow or paused)") == 2


def test_of_long_names_both_ends_are_shown() -> None:
    assert both_ends("toykitchen1-put_carrot_in_pot-s0-000123", 12) == "toykitc…0123"
    assert both_ends("short", 12) == "short"


@pytest.mark.parametrize("name", ["toykitchen_target1-put_sweet_potato_on_plate-standard-human-s0-{:06d}",
                                  "20261129-101112-{:03d}-put_sweet_potato_on_plate"])  # fmt: skip
@pytest.mark.parametrize("width", [80, 120])
def test_in_a_narrow_terminal_each_episode_has_a_line_whose_name_tells_it_apart(name: str, width: int) -> None:
    reports = [
        dataclasses.replace(
            REPORT,
            path=Path(name.format(k)),
            metadata=EpisodeMetadata("a", "put_sweet_potato_on_plate"),
            findings=("camera over_shoulder: 3 of 190 images are torn, and the operator waited",) * (k == 1),
        )
        for k in range(3)
    ]
    output = io.StringIO()
    show_overview(reports, 0, Console(file=output, width=width, force_terminal=True, color_system=None))
    lines = output.getvalue().splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("episode "))
    assert max(len(line.rstrip()) for line in lines[start:]) <= width
    named = [line.split()[0] for line in lines[start + 1 :] if not line.startswith(" ")]
    assert len(set(named)) == 3 and all("…" in it or it == name.format(k) for k, it in enumerate(named))
    assert " ".join(" ".join(lines[start:]).split()).count("3 of 190 images are torn, and the operator waited") == 1


def test_names_that_are_written_to_a_file_are_whole() -> None:
    output, name = io.StringIO(), "toykitchen_target1-put_sweet_potato_on_plate-standard-human-s0-000017"
    show_overview([dataclasses.replace(REPORT, path=Path(name))], 0, Console(file=output, width=80))
    lines = output.getvalue().splitlines()
    row = next(k for k, line in enumerate(lines) if name in line)
    assert lines[row - 1].split() == ["episode", "task", "outcome", "steps", "s"]


REPORT = EpisodeReport(Path("a"), EpisodeMetadata("a", "t"), 1.0, (), 3, "", None, "keep", ())


@pytest.mark.parametrize(
    ("called", "path", "told"),
    [
        ("lab/.venv/bin/ptr", "", ".venv/bin/ptr inspect data"),
        ("elsewhere/bin/ptr", "", "{folder}/elsewhere/bin/ptr inspect data"),
        ("lab/.venv/bin/ptr", "lab/.venv/bin", "ptr inspect data"),
        ("lab/node.py", "", ".venv/bin/ptr inspect data"),
        ("lab/node.py", "lab/.venv/bin", "ptr inspect data"),
    ],
)
def test_a_command_that_comes_next_is_one_that_this_shell_finds(
    called: str, path: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / called
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    (tmp_path / "lab").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "lab")
    monkeypatch.setattr(sys, "argv", [str(program)])
    beside = tmp_path / "lab/.venv/bin/ptr"
    beside.parent.mkdir(parents=True, exist_ok=True)
    beside.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(beside.with_name("python")))
    monkeypatch.setenv("PATH", str(tmp_path / path) if path else "/nowhere")
    assert command_text("inspect", "data") == told.format(folder=tmp_path)
