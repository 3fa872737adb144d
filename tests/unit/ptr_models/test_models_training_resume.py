# SPDX-License-Identifier: Apache-2.0
"""Interrupted runs: killed, asked to stop, resumed as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_runs import SMALL, prior_only, spawn, train_command, wait_for_checkpoint

from ptr_models.cli import main
from ptr_models.common.output_folder import locked
from ptr_models.training.checkpoint import MODEL, OPTIMIZER, read_checkpoint
from ptr_models.training.data import Bags
from ptr_models.training.jsonlines import read_lines
from ptr_models.training.run_setup import resume, start_pretraining
from ptr_models.training.runs import checkpoints_of, latest_checkpoint
from ptr_models.training.signals import stop_signals

STEPS = 20


def command(bags: Bags, out: Path, switch: int = 8) -> list[str]:
    """A run of both phases whose intervals of metrics (4 updates) and checkpoints (5) do not coincide."""
    more = ["--target", str(bags.target[0]), "--steps", str(STEPS), "--set", f"schedule.target_from={switch}"]
    more += ["--set", "schedule.log_every=4", "--set", "schedule.checkpoint_every=5"]
    return train_command(bags, out, *more)


def resume_command(bags: Bags, out: Path) -> list[str]:
    return ["train", "pretrain", "--resume", "--out", str(out), "--cache", str(bags.cache)]


@pytest.fixture
def whole(training_bags: Bags, training_folder: Path) -> Path:
    """A run that nothing interrupted."""
    run = training_folder / "whole"
    if not run.exists():
        assert main(command(training_bags, run)) == 0
    return run


def assert_same(run: Path, whole: Path) -> None:
    """All metrics and the last weights, to the bit; and nothing is left behind."""
    assert (run / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
    last = f"checkpoints/step_{STEPS:08d}"
    for name in (MODEL, OPTIMIZER):
        assert (run / last / name).read_bytes() == (whole / last / name).read_bytes()
    assert [path.name for path in checkpoints_of(run)] == [path.name for path in checkpoints_of(whole)]
    assert not [path for path in (run / "checkpoints").iterdir() if path.name.startswith(".")]


def test_a_killed_run_goes_on_as_if_nothing_had_happened(training_bags: Bags, tmp_path: Path, whole: Path) -> None:
    run = tmp_path / "killed"
    updates = random.Random().randrange(8, 17)
    process = spawn(command(training_bags, run))
    wait_for_checkpoint(process, run)
    while max((entry["step"] for entry in read_lines(run / "metrics.jsonl")), default=0) < updates:
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    newest = latest_checkpoint(run)
    assert newest is not None and read_checkpoint(newest).step < STEPS
    assert main(resume_command(training_bags, run)) == 0
    assert_same(run, whole)


def test_a_run_killed_while_it_writes_a_checkpoint_goes_on_too(
    training_bags: Bags, tmp_path: Path, whole: Path
) -> None:
    run = tmp_path / "killed"
    program = f"""
        import os, signal, sys
        from ptr_models.cli import main
        from ptr_models.training import checkpoint
        write = checkpoint.save_file
        def dying(tensors, path):
            if path.name == checkpoint.OPTIMIZER and "step_00000008" in str(path):
                path.write_bytes(b"half of it")
                os.kill(os.getpid(), signal.SIGKILL)
            write(tensors, path)
        checkpoint.save_file = dying
        main({command(training_bags, run)!r})
    """
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, timeout=120
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [path for path in (run / "checkpoints").iterdir() if path.name.startswith(".step_00000008")]
    assert latest_checkpoint(run) == run / "checkpoints" / "step_00000005"  # in the first phase
    assert main(resume_command(training_bags, run)) == 0
    assert_same(run, whole)


def test_a_run_that_was_asked_to_stop_says_so_and_goes_on_the_same(
    training_bags: Bags, tmp_path: Path, whole: Path
) -> None:
    process = spawn(command(training_bags, tmp_path / "run"))
    wait_for_checkpoint(process, tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "asked to stop" in out and str(latest_checkpoint(tmp_path / "run")) in out
    assert main(resume_command(training_bags, tmp_path / "run")) == 0
    stopped = int(out.split()[0])
    extra = tmp_path / "run" / "checkpoints" / f"step_{stopped:08d}"
    if not (whole / "checkpoints" / extra.name).exists():
        extra.rename(tmp_path / "extra")
    assert_same(tmp_path / "run", whole)


def test_more_steps_continue_a_finished_run_exactly(training_bags: Bags, tmp_path: Path) -> None:
    def config(steps: int) -> object:
        schedule = replace(SMALL.schedule, steps=steps, target_from=4, log_every=2)
        return replace(SMALL, schedule=schedule)

    start_pretraining(config(6), training_bags, tmp_path / "whole").run()
    start_pretraining(config(3), training_bags, tmp_path / "parts").run()
    assert [entry["step"] for entry in read_lines(tmp_path / "parts" / "metrics.jsonl")] == [2, 3]
    torch.manual_seed(999)
    resume(None, tmp_path / "parts", ["schedule.steps=6"], cache=training_bags.cache).run()
    first, second = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "parts"))
    assert first == second


def test_only_the_first_signal_is_a_request() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_signals() as stop:
        assert not stop
        signal.raise_signal(signal.SIGINT)
        assert stop.signal == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_changed_data_are_told_when_a_run_goes_on(
    training_bags: Bags,
    trained: Path,
    make_episode: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    resume(prior_only(training_bags), trained.parent.parent)
    assert "has changed" not in caplog.text
    more = make_episode(7, root=tmp_path / "more", task="put_carrot_in_pot").parent
    resume(replace(training_bags, prior=(*training_bags.prior, more), target=()), trained.parent.parent)
    assert "prior data has changed since the run started (0 bags removed, 1 new)" in caplog.text
    starts = read_lines(trained.parent.parent / "environment.jsonl")
    assert [start["step"] for start in starts] == [0, 4, 4]


def test_a_run_has_one_writer(training_bags: Bags, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained.parent.parent
    with locked(run):
        assert main(resume_command(training_bags, run)) == 2
    assert f"{run} is in use: process {os.getpid()}" in capsys.readouterr().err


def test_nothing_to_resume_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "pretrain", "--resume", "--out", str(tmp_path)]) == 2
    assert "no checkpoint to resume" in capsys.readouterr().err


def test_metrics_of_a_lost_interval_do_not_come_twice(training_bags: Bags, trained: Path) -> None:
    run = trained.parent.parent
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 5, "actor_loss": 1.0}) + '\n{"step": 6, "actor_')
    resume(prior_only(training_bags), run, ["schedule.steps=6"]).run()
    assert [entry["step"] for entry in read_lines(run / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]
    assert [entry["step"] for entry in read_lines(run / "timing.jsonl")] == [1, 2, 3, 4, 5, 6]
