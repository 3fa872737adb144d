# SPDX-License-Identifier: Apache-2.0
"""Several processes that share each batch learn what one process learns, and end together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_runs import train_command, wait_for_checkpoint

from ptr_models.cli import main
from ptr_models.networks import data_parallel
from ptr_models.networks.data_parallel import Shard, averaging_gradients, normal, sharded, uniform
from ptr_models.training.checkpoint import MODEL, OPTIMIZER
from ptr_models.training.data import Bags
from ptr_models.training.distributed import ALONE, Group, GroupError, joined
from ptr_models.training.jsonlines import read_lines
from ptr_models.training.prefetch import augmented
from ptr_models.training.presets import preset
from ptr_models.training.run_setup import start_pretraining

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}


def both_phases(bags: Bags, out: Path, steps: int) -> list[str]:
    more = ["--target", str(bags.target[0]), "--steps", str(steps), "--set", "schedule.target_from=3"]
    return train_command(bags, out, *more, "--set", "schedule.log_every=2", "--set", "algorithm.ema_decay=0.9")


def test_two_processes_learn_what_one_learns(training_bags: Bags, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "ptr_models", *both_phases(training_bags, shared, 5)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Checkpoint:") == 1  # of the first process alone
    assert main(both_phases(training_bags, alone, 5)) == 0
    for name in (MODEL, OPTIMIZER):
        one, two = (load_file(run / "checkpoints" / "step_00000005" / name) for run in (alone, shared))
        assert one.keys() == two.keys()
        for key in one:  # weights, Adam's moments, log-temperature; the mixture begins after 3 updates
            torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-5, msg=key)
    first, second = (read_lines(run / "metrics.jsonl") for run in (alone, shared))
    assert [entry["step"] for entry in second] == [2, 4, 5]
    for a, b in zip(first, second, strict=True):
        assert b == pytest.approx(a, rel=1e-4, abs=1e-5)


def test_a_process_that_dies_ends_the_other_one(training_bags: Bags, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "ptr_models", *both_phases(training_bags, tmp_path / "run", 1_000_000)]
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    first, second = (
        subprocess.Popen(
            command, env=ENVIRONMENT | place | {"RANK": rank}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for rank in ("0", "1")
    )
    try:
        wait_for_checkpoint(first, tmp_path / "run")
        second.send_signal(signal.SIGKILL)
        _, errors = first.communicate(timeout=60)
    finally:
        first.kill()
        second.kill()
        second.communicate()
    assert first.returncode == 2
    last = errors.strip().splitlines()[-1]
    assert last.startswith("error: process 0 of 2 has lost another process") and "--resume" in last


def test_noise_and_gradients_of_a_shared_batch_are_those_of_the_whole() -> None:
    torch.manual_seed(3)
    whole_normal, whole_uniform = normal(6, 2, 7), uniform(6, 4)
    parts = []
    for index in range(3):
        torch.manual_seed(3)
        with sharded(Shard(index, 3, lambda values: lambda: values / 2)):
            parts.append((normal(2, 2, 7), uniform(2, 4)))
            weight, bias = torch.ones(2, 3, requires_grad=True), torch.ones(3, requires_grad=True)
            with averaging_gradients([torch.optim.Adam([weight]), torch.optim.Adam([bias])]):
                (weight.sum() + 4 * bias.sum()).backward()
            assert (weight.grad == 0.5).all() and (bias.grad == 2.0).all()
    assert torch.equal(torch.cat([noise for noise, _ in parts]), whole_normal)
    assert torch.equal(torch.cat([noise for _, noise in parts]), whole_uniform)


def test_exchanges_start_during_the_backward_pass_last_layer_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_parallel, "BUCKET_BYTES", 1)
    first, unused, last = (torch.nn.Parameter(torch.ones(size)) for size in (2, 3, 4))
    events: list[str] = []

    def start_mean(values: torch.Tensor) -> Callable[[], torch.Tensor]:
        events.append(f"start {len(values)}")
        return lambda: events.append(f"wait {len(values)}") or values / 2

    hidden = first * 3.0
    hidden.register_hook(lambda _: events.append("first layer's turn"))
    with (
        sharded(Shard(0, 2, start_mean)),
        averaging_gradients([torch.optim.Adam([first, unused, last])]),
    ):
        (hidden.sum() * last).sum().backward()
    assert events[:2] == ["start 4", "first layer's turn"]
    assert events[2:] == ["start 2", "wait 4", "wait 2"]
    assert first.grad is not None and first.grad.tolist() == [6.0, 6.0]
    assert last.grad is not None and last.grad.tolist() == [3.0] * 4
    assert unused.grad is None
    hidden = first * 1.0  # no hook is left behind
    hidden.sum().backward()
    assert len(events) == 5


@pytest.mark.parametrize("preset_name", ["ptr_small", "bet_small", "r3m_bc_small", "v_ptr_small"])
def test_parts_of_a_batch_are_its_rows_in_order(preset_name: str, training_bags: Bags, tmp_path: Path) -> None:
    config = replace(preset(preset_name), batch_size=12, device="cpu", threads=1)
    config = replace(config, schedule=replace(config.schedule, target_from=0))
    trainer = start_pretraining(config, training_bags, tmp_path / "run")
    state = trainer.source.state_dict()

    def read(part: int, parts: int) -> Any:
        trainer.source.load_state_dict(state)
        rows = slice(part * 12 // parts, (part + 1) * 12 // parts)
        batch = trainer.source.sample(12, 0, rows)
        return augmented(batch, config.data.augmentation, 0, 0, (part, parts))

    whole, parts = read(0, 1), [read(part, 3) for part in range(3)]
    names = [item.name for item in fields(whole) if item.name != "video"]  # numbered within a part
    for name in (name for name in names if getattr(whole, name) is not None):
        together = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(together, getattr(whole, name), name)
    after = trainer.source.state_dict()
    read(0, 1)
    assert trainer.source.state_dict() == after  # what others read is drawn, too


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    Group(0, 4).require_divisor(64)
    with pytest.raises(GroupError, match="batch_size 10 is not a multiple of 4"):
        Group(0, 4).require_divisor(10)


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as group:
        assert group is ALONE and group.is_main and group.highest(3) == 3
        assert torch.equal(group.mean(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))
        group.require_equal(float("inf"), "anything")
