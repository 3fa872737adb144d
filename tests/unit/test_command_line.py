# SPDX-License-Identifier: Apache-2.0
"""Every command of `ptr`, found by walking its parsers: what is wrong is one sentence, before anything starts."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptr_bringup.sim.tasks import TASKS, Task
from ptr_models import cli
from ptr_models.algorithms.config import CHOICES
from ptr_models.common import arguments
from ptr_models.common.arguments import Checkpoint, Episodes, Existing, Name, OneOf, Output, Real, Whole, leaves

PARSER, BROKEN = cli.build_parser()
COMMANDS = [
    (words, leaf)
    for words, leaf in leaves(PARSER)
    if words and leaf.get_default("run") is not None or words[:1] == ("arm",)
]
ARGUMENTS = [(words, leaf, action) for words, leaf in COMMANDS for action in leaf._actions]
WITHOUT_VALUE = (
    argparse._HelpAction,
    argparse._StoreTrueAction,
    argparse._SubParsersAction,
    argparse._VersionAction,
)
FREE = {"annotator", "note", "exclude", "names", "name", "camera", "source", "operator", "policy", "target"}
FREE |= {"instruction", "package_or_file", "rest", "robot"}
"""Arguments whose words are the user's own, or are looked up where a robot or a launch file is."""


def name_of(value: object) -> str:
    words, _, action = value  # type: ignore[misc]
    return f"{'-'.join(words)}-{action.dest}"


def wrong_values(action: argparse.Action, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """What this argument must refuse, and what the sentence says about it."""
    kind, file, folder = action.type, tmp_path / "file", tmp_path / "folder"
    file.touch()
    folder.mkdir(exist_ok=True)
    if action.choices is not None:
        yield "nonsense", "there is no "
    elif isinstance(kind, Whole):
        yield "ten", "a whole number is needed, not 'ten'"
        yield "-7", "is needed, not -7"
        if kind.low > 0:
            yield "0", "is needed, not 0"
    elif isinstance(kind, Real):
        yield "much", "a number is needed, not 'much'"
        yield "nan", "a number is needed, not 'nan'"
    elif isinstance(kind, Name):
        yield "the carrot on the plate", "the_carrot_on_the_plate" if kind.free else "the nearest is "
        if not kind.free:
            yield "put_carot_on_plate" if kind.kind == "task" else "toykitchn1", "the nearest is "
    elif isinstance(kind, OneOf):
        yield "nonsense", "the nearest is "
    elif isinstance(kind, Existing):
        yield str(tmp_path / "missing"), "missing does not exist; give "
        if not kind.file:
            yield str(file), "file is a file; give a folder"
        if not kind.folder:
            yield str(folder), "folder is a folder; give a file"
        if isinstance(kind, Checkpoint):
            yield str(folder), "is neither a checkpoint nor a run that has one"
    elif isinstance(kind, Output):
        yield str(file / "below"), "file is a file"
        yield (str(file), "file is a file") if kind.folder else (str(folder), "folder is a folder; give a file")
        if kind.endings:
            yield str(tmp_path / "new.unknown"), "new.unknown does not end in ."
    if isinstance(kind, (Existing, Output)):
        yield "", "a path is needed"


def test_every_package_brings_its_commands() -> None:
    assert not BROKEN
    assert len(COMMANDS) > 45


@pytest.mark.parametrize("argument", ARGUMENTS, ids=map(name_of, ARGUMENTS))
def test_what_is_wrong_with_an_argument_is_one_sentence(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    argument: tuple[tuple[str, ...], argparse.ArgumentParser, argparse.Action],
) -> None:
    words, leaf, action = argument
    if isinstance(action, WITHOUT_VALUE):
        return
    checked = action.choices is not None or action.type not in (None, str, int, float, Path)
    assert checked or action.dest in FREE, "give it a type of ptr_models.common.arguments"
    for value, expected in wrong_values(action, tmp_path):
        if action.option_strings:
            repeated = [value] * (action.nargs if isinstance(action.nargs, int) else 1)
            with pytest.raises(SystemExit) as ended:
                PARSER.parse_args([*words, action.option_strings[-1], *repeated])
            assert ended.value.code == 2
            text = capsys.readouterr().err
        else:  # those before it would have to be there
            with pytest.raises(argparse.ArgumentError) as caught:
                leaf._check_value(action, leaf._get_value(action, value))
            text = f"error: {caught.value}\n"
        assert expected in text
        assert re.fullmatch(r"error: [^\n]+\n", text), text


def test_a_folder_that_is_read_only_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)  # root may write everywhere
    for kind in (arguments.output_folder, arguments.output_file):
        with pytest.raises(argparse.ArgumentTypeError, match="new cannot be written: .* is not writable"):
            kind(str(tmp_path / "new"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(argparse.ArgumentTypeError, match="is not readable"):
        arguments.existing_folder(str(tmp_path))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("collect put_carot_on_plate --out {new}", "the nearest is put_carrot_on_plate"),
        ("collect put_carrot_on_plate", "the following arguments are required: --out"),
        ("collect --out {new}", "one of the arguments --task TASK is required"),
        ("table", "name their folder with --data"),
        ("table --data {old} --out {new}", "old holds no complete episode"),
        ("table --data {old} --checkpoint prt={old}", "the nearest is ptr"),
        ("table --data {old} --task put_carrot_on_plate:nowhere", "the nearest is toykitchen"),
        ("evaluate --out {new}", "needs --task"),
        ("train finetune --out {new}", "name it with --checkpoint"),
        ("train pretrain --out {new}", "name their folders with --data"),
        ("train pretrain --data {old} --out {new}", "holds no complete episode"),
        ("train pretrain --out {new} --resume", "no checkpoint to resume"),
        ("inspect {old}", "old is empty; give the folder of an episode"),
        ("launch nonsense", "nonsense"),
        ("sim", None),
        ("nonsense", "there is no command 'nonsense'; the nearest is "),
    ],
)
def test_what_is_wrong_with_a_command_is_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], words: str, message: str | None
) -> None:
    (tmp_path / "old").mkdir()
    code = cli.main(words.format(new=tmp_path / "new", old=tmp_path / "old").split())
    text = capfd.readouterr().err
    assert code == (0 if message is None else 2)
    assert (message or "") in text
    assert "Traceback" not in text and text.count("error: ") == (message is not None)
    assert not (tmp_path / "new" / "collect.log").exists()


@pytest.mark.parametrize(("words", "leaf"), COMMANDS, ids=["-".join(words) for words, _ in COMMANDS])
def test_every_command_explains_itself(words: tuple[str, ...], leaf: argparse.ArgumentParser) -> None:
    text = leaf.format_help()
    assert leaf.description or leaf.epilog, "it has no description"
    for action in leaf._actions:
        assert action.help or isinstance(action, argparse._SubParsersAction), f"{action.dest} has no help"
    assert "==SUPPRESS==" not in text


def test_the_methods_of_the_table_are_listed_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", "--list"]) == 0
    assert "autoregressive_bc" in capsys.readouterr().out


def test_one_word_means_one_thing() -> None:
    """The same option has the same type everywhere, and several tasks or kitchens go by the same name as one."""
    kinds: dict[str, set[object]] = {}
    for _, _, action in ARGUMENTS:
        for name in action.option_strings:
            kinds.setdefault(name, set()).add(type(action.type))
    for name in ("--episodes", "--trials", "--steps", "--seed", "--max-steps", "--earliest"):
        assert kinds[name] == {Whole}, name
    for name, kind in (("--data", Episodes), ("--target", Episodes), ("--run", Existing)):
        assert kinds[name] - {type(None), type(arguments.Real())} <= {kind, Output}, name
    assert kinds["--out"] == {Output}
    assert not {"--tasks", "--kitchens", "--demonstrations", "--limit", "--decodings", "--seeds"} & set(kinds)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sim collect --out {new} --tasks put_carrot_in_pot --kitchens toykitchen1",) * 2,
        ("sim evaluate --checkpoint ptr_small --tasks put_carrot_in_pot --kitchens toykitchen1 --episodes 3",) * 2,
        ("table --data {old} --demonstrations 3 --pretraining 5 --seeds 1 2",) * 2,
        ("demo --demonstrations 3 --pretraining {old}",) * 2,
    ],
)
def test_old_spellings_still_work(tmp_path: Path, old: str, new: str) -> None:
    renamed = {"--tasks": "--task", "--kitchens": "--kitchen", "--seeds": "--seed", "--demonstrations": "--episodes"}
    places = {"new": tmp_path / "new", "old": tmp_path}
    before = old.format(**places).split()
    after = [renamed.get(word, word) for word in new.format(**places).split()]
    if before[1] == "evaluate":
        after = ["--trials" if word == "--episodes" else word for word in after]
    assert vars(PARSER.parse_args(before)) == vars(PARSER.parse_args(after))


def test_ways_of_choosing_actions_are_those_of_the_algorithms() -> None:
    assert arguments.WAYS == CHOICES


def test_the_help_is_ordered_as_one_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    text = capsys.readouterr().out
    places = [text.index(f"\n{title}:\n") for title, _ in cli.STAGES]
    assert places == sorted(places)
    listed = [name for _, names in cli.STAGES for name in names]
    assert set(PARSER.subcommands.choices) <= set(listed), "every command of the suite has its place"


def environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), **more}


def test_the_tab_key_completes_commands_tasks_and_folders(tmp_path: Path) -> None:
    def offered(line: str) -> list[str]:
        answer = tmp_path / "answer"
        asked = environment(
            _ARGCOMPLETE="1",
            _ARGCOMPLETE_IFS="\n",
            _ARGCOMPLETE_STDOUT_FILENAME=str(answer),
            COMP_LINE=line,
            COMP_POINT=str(len(line)),
        )
        subprocess.run([sys.executable, "-m", "ptr_models.cli"], env=asked, cwd=tmp_path, check=True, timeout=60)
        return [word.strip() for word in answer.read_text().split("\n")]

    (tmp_path / "demonstrations").mkdir()
    (tmp_path / "demo.txt").touch()
    assert offered("ptr coll") == ["collect"]
    assert "put_carrot_on_plate" in offered("ptr collect --task put_carrot_")
    assert offered("ptr inspect dem") == ["demo.txt", "demonstrations/"]
    assert offered("ptr train status --run dem") == ["demonstrations/"]


def test_each_shell_gets_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        assert "ptr" in capsys.readouterr().out


def test_whoever_reads_only_the_first_lines_gets_no_traceback() -> None:
    words = [sys.executable, "-m", "ptr_models.cli", "sim", "tasks"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) in (0, 1)


def saved(out: Path) -> list[Path]:
    """Bags that are complete."""
    return [bag for bag in out.glob("*/*.mcap") if not bag.parent.name.endswith(".partial")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "bags"
    words = [sys.executable, "-m", "ptr_models.cli", "sim", "collect", "--no-images", "--jobs", "1"]
    words += ["--task", "put_carrot_on_plate", "--kitchen", "toykitchen1", "--out", str(out), "--episodes", "5000"]
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # background jobs begin with it ignored
    ) as process:
        try:
            deadline = time.monotonic() + 60.0
            while not saved(out):
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.05)
            process.send_signal(number)
            _, text = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in text
    assert (
        f"interrupted: {len(saved(out))} of 5000 demonstrations are in {out}; the same command continues from here"
        in text
    )


ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def documented(text: str) -> list[str]:
    """The commands in the blocks of code of a text, lines that go on joined, but for those with gaps."""
    text = text.replace("\\\n", " ")
    lines = re.findall(r"^(?: {4}| {2})?(?:\.venv/bin/)?ptr ((?:(?!  +[a-z]|#|(?<=\s)>|\| ).)*)", text, re.MULTILINE)
    return [line for line in lines if not re.search(r"…|COMMAND|\bPACKAGE\b", line)]


@pytest.mark.parametrize(("words", "leaf"), COMMANDS, ids=["-".join(words) for words, _ in COMMANDS])
def test_examples_in_the_help_are_understood(
    words: tuple[str, ...], leaf: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (Existing, Episodes, Checkpoint, Output):
        monkeypatch.setattr(kind, "__call__", lambda self, text: arguments.path(text))
    for command in documented(f"{leaf.description}\n{leaf.epilog}"):
        PARSER.parse_args(shlex.split(re.sub(r"(?<! ) {3,}(?=[^- ]).*", "", command)))


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_documented_commands_are_understood(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their paths are not there, and the names of episodes are placeholders; all else is checked."""
    for kind in (Existing, Episodes, Checkpoint, Output):
        monkeypatch.setattr(kind, "__call__", lambda self, text: arguments.path(text))
    text = page.read_text(encoding="utf-8")
    for line in re.findall(r"^OTHER_TASKS: .* = \((Task\(.*?\)),\)$", text, re.MULTILINE):
        task = eval(line, {"Task": Task})  # a task that the page adds
        monkeypatch.setitem(TASKS, task.name, task)
    for command in documented(text):
        words = shlex.split(command)
        try:
            PARSER.parse_args(words)
        except SystemExit as ended:
            assert ended.code == 0, f"{page}: ptr {command}"
