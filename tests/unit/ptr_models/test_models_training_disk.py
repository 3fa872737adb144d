# SPDX-License-Identifier: Apache-2.0
"""Full disks: the last good checkpoint stays, and what is secondary does not end a run."""

from __future__ import annotations

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter
from training_runs import prior_only, train_command

from ptr_models.common.errors import PtrError
from ptr_models.training import checkpoint as checkpoints
from ptr_models.training.checkpoint import CheckpointError, read_checkpoint
from ptr_models.training.data import Bags
from ptr_models.training.jsonlines import JsonLines, read_lines
from ptr_models.training.run_setup import resume
from ptr_models.training.runs import (
    checkpoints_of,
    latest_checkpoint,
    prune_checkpoints,
    remove_leftovers,
    resolve_checkpoint,
)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB, which holds one checkpoint or two of 7 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system; the same fault is injected in the next test")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_ends_a_run_in_a_sentence_and_keeps_its_checkpoint(training_bags: Bags, small_disk: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = train_command(prior_only(training_bags), small_disk / "run", "--steps", "100")
    program = [sys.executable, "-m", "ptr_models", *command]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: the disk is full: the checkpoint") and last.endswith("earlier ones are kept")
    assert "Traceback" not in done.stderr
    kept = checkpoints_of(small_disk / "run")
    assert [read_checkpoint(path).step for path in kept] == [3, 6][: len(kept)] and kept
    assert sorted(kept[0].parent.iterdir()) == kept


def test_a_write_that_fails_keeps_the_last_good_checkpoint(
    trained: Path, training_bags: Bags, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    trainer = resume(prior_only(training_bags), trained.parent.parent, ["schedule.steps=5"])
    with pytest.raises(CheckpointError, match="disk is full"):
        trainer.run()
    assert [path.name for path in trained.parent.iterdir()] == [trained.name]
    assert latest_checkpoint(trained.parent.parent) == trained


def test_lines_that_do_not_fit_wait_until_they_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = JsonLines(tmp_path / "metrics.jsonl", keep=lambda _: True)
    lines.append({"step": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))  # the second line is cut in its middle
    try:
        lines.append({"step": 2})
        lines.append({"step": 3})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caplog.text.count("cannot be written") == 1
    assert [entry["step"] for entry in read_lines(tmp_path / "metrics.jsonl")] == [1]
    lines.append({"step": 4})
    text = (tmp_path / "metrics.jsonl").read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == [1, 2, 3, 4]


def test_training_goes_on_where_curves_cannot_be_written(
    trained: Path, training_bags: Bags, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    trainer = resume(prior_only(training_bags), trained.parent.parent, ["schedule.steps=6"])
    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    assert trainer.run().step == 6
    assert caplog.text.count("TensorBoard curves can no longer be written") == 1


def test_metrics_that_are_no_file_are_refused(trained: Path, training_bags: Bags) -> None:
    run = trained.parent.parent
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()
    with pytest.raises(PtrError, match="metrics.jsonl cannot be opened"):
        resume(prior_only(training_bags), run, ["schedule.steps=6"]).run()


def make_checkpoints(run: Path, *steps: int) -> None:
    for step in steps:
        folder = run / "checkpoints" / f"step_{step:08d}"
        folder.mkdir(parents=True)
        (folder / "checkpoint.json").write_text("{}")


def test_the_newest_checkpoints_and_milestones_stay(tmp_path: Path) -> None:
    make_checkpoints(tmp_path, 10, 20, 30, 40, 50)
    assert prune_checkpoints(tmp_path, 0, lambda step: False) == []
    gone = prune_checkpoints(tmp_path, 2, lambda step: step == 20)
    assert [path.name for path in gone] == ["step_00000010", "step_00000030"]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step_00000020",
        "step_00000040",
        "step_00000050",
    ]


def test_half_a_checkpoint_is_none_and_goes(tmp_path: Path) -> None:
    make_checkpoints(tmp_path, 99_999_999, 100_000_000)
    (tmp_path / "checkpoints" / "step_200000000").mkdir()  # without an index
    half = tmp_path / "checkpoints" / ".step_00000030.17.tmp"
    half.mkdir()
    assert [path.name for path in checkpoints_of(tmp_path)] == ["step_99999999", "step_100000000"]
    remove_leftovers(tmp_path)
    assert not half.exists()


def test_a_run_folder_stands_for_its_chosen_or_newest_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        resolve_checkpoint(tmp_path)
    make_checkpoints(tmp_path, 10, 20)
    newest = tmp_path / "checkpoints" / "step_00000020"
    assert resolve_checkpoint(newest) == newest == resolve_checkpoint(tmp_path)
    (tmp_path / "choice.json").write_text('{"chosen": "step_00000010"}')
    assert resolve_checkpoint(tmp_path).name == "step_00000010"
    wrong = {'{"chosen": "step_00000015"}': "does not exist", "{": "is not JSON", "[]": "choice.json"}
    for text, words in wrong.items():
        (tmp_path / "choice.json").write_text(text)
        with pytest.raises(CheckpointError, match=words):
            resolve_checkpoint(tmp_path)
