# SPDX-License-Identifier: Apache-2.0
"""One writer for each output folder: the second one is told who the first is, and a dead one holds nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptr_models import cli
from ptr_models.common.output_folder import (
    LOCK,
    FolderInUseError,
    FolderNotWritableError,
    FolderTakenError,
    holds_run,
    in_use,
    is_empty,
    locked,
    require_unused,
)

HOLD = """
import pathlib, sys, time
from ptr_models.common.output_folder import locked
folder = pathlib.Path(sys.argv.pop(1))
with locked(folder):
    print("has it", flush=True)
    time.sleep(60.0)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes into a folder of its own, `out`."""
    program = [sys.executable, "-c", HOLD, str(tmp_path / "out"), "train", "finetune"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None and process.stdout.readline() == "has it\n"
        yield process
        process.kill()


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    pattern = rf"out is in use: process {writer.pid} \(-c train finetune, since \d\d:\d\d\) writes to it"
    with pytest.raises(FolderInUseError, match=pattern), locked(tmp_path / "out"):
        pass
    with pytest.raises(FolderInUseError, match=pattern):
        require_unused(tmp_path / "out")
    assert in_use(tmp_path / "out")


def test_the_lock_of_a_killed_process_is_gone(tmp_path: Path, writer: subprocess.Popen[str]) -> None:
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert (tmp_path / "out" / LOCK).is_file()
    require_unused(tmp_path / "out")
    with locked(tmp_path / "out"):
        assert in_use(tmp_path / "out")
    assert not in_use(tmp_path / "out")


def test_a_folder_with_nothing_but_the_lock_counts_as_empty(tmp_path: Path) -> None:
    with locked(tmp_path):
        assert is_empty(tmp_path)
    (tmp_path / "a").touch()
    assert not is_empty(tmp_path)


def test_a_run_is_told_from_a_folder_of_something_else(tmp_path: Path) -> None:
    assert not holds_run(tmp_path / "none", "ptr demo", "plan.json")
    (tmp_path / "trials").mkdir()
    assert not holds_run(tmp_path, "ptr demo", "plan.json", besides=("trials",))
    with pytest.raises(FolderTakenError, match=r"is not a run of `ptr demo` \(no plan.json\), so it is left alone"):
        holds_run(tmp_path, "ptr demo", "plan.json")
    (tmp_path / "plan.json").touch()
    assert holds_run(tmp_path, "ptr demo", "plan.json")


def test_looking_makes_no_folder(tmp_path: Path) -> None:
    require_unused(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotWritableError, match="file is a file, not a folder"), locked(tmp_path / "file"):
        pass


COMMANDS = (
    "demo --out {out}",
    "collect put_carrot_on_plate --out {out}",
    "sim collect --out {out} --episodes 1 --no-images",
    "sim practice --task put_carrot_on_plate --reset take_carrot_out_of_metal_bowl --kitchen toykitchen1 "
    "--out {parent} --labels --checkpoint {parent}",
    "table --data {parent} --out {out}",
    "evaluate --task put_carrot_on_plate --out {out}",
    "train pretrain --data {parent} --out {out}",
    "train joint --target {parent} --out {out}",
    "train finetune --resume --out {out}",
    "train online --resume --labels --out {out}",
    "train classifier --checkpoint {parent} --target {parent} --out {out}",
    "import bridge {record} --out {out}",
)


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(text.split()[:2]) for text in COMMANDS])
def test_every_command_that_writes_refuses_a_folder_that_another_one_fills(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    out, record = tmp_path / "trials", tmp_path / "a.tfrecord"
    record.write_bytes(b"x")
    (tmp_path / "checkpoint.json").write_text("{}")
    words = command.format(out=out, parent=tmp_path, record=record).split()
    with locked(out):
        before = sorted(tmp_path.rglob("*"))
        assert cli.main(words) == 2
    text = capfd.readouterr().err
    assert f"{out} is in use: process {os.getpid()}" in text
    assert "Traceback" not in text
    assert sorted(tmp_path.rglob("*")) == before
