# SPDX-License-Identifier: Apache-2.0
"""Interrupted runs: killed, asked to stop, resumed as if nothing had happened."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_runs import SMALL, losses, spawn, train_command, wait_for_checkpoint

from ptr_models.cli import main
from ptr_models.training import checkpoint as checkpoints
from ptr_models.training.checkpoint import read_checkpoint
from ptr_models.training.runs import latest_checkpoint
from ptr_models.training.session import (
    Bags,
    resume,
    start_pretraining,
)


def test_a_resumed_run_equals_one_that_was_never_stopped(training_bags: Bags, tmp_path: Path) -> None:
    config = replace(SMALL, schedule=replace(SMALL.schedule, steps=6, target_from=4))
    whole = start_pretraining(config, training_bags, tmp_path / "whole").run()
    half = replace(config, schedule=replace(config.schedule, steps=3))
    start_pretraining(half, training_bags, tmp_path / "parts").run()
    torch.manual_seed(999)
    again = resume(training_bags, tmp_path / "parts", ["schedule.steps=6"]).run()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for name in (checkpoints.MODEL, checkpoints.OPTIMISER):
        assert (whole.checkpoint / name).read_bytes() == (again.checkpoint / name).read_bytes()


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = spawn(train_command(training_bags, killed, "--steps", "1000000"))
    wait_for_checkpoint(process, killed)
    process.kill()
    process.communicate()
    newest = latest_checkpoint(killed)
    assert newest is not None
    end = read_checkpoint(newest).step + 3
    assert main(train_command(training_bags, killed, "--steps", str(end), "--resume")) == 0
    assert main(train_command(training_bags, whole, "--steps", str(end))) == 0
    assert f"step_{end:08d}" in capsys.readouterr().out
    first, second = (run / "checkpoints" / f"step_{end:08d}" / checkpoints.MODEL for run in (killed, whole))
    assert first.read_bytes() == second.read_bytes()


def test_a_terminated_run_saves_and_ends_cleanly(training_bags: Bags, tmp_path: Path) -> None:
    process = spawn(train_command(training_bags, tmp_path / "run", "--steps", "1000000"))
    wait_for_checkpoint(process, tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "asked to stop" in out
    assert str(latest_checkpoint(tmp_path / "run")) in out
