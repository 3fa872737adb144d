# SPDX-License-Identifier: Apache-2.0
"""Small runs for the tests of training: configuration, commands, processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from ptr_models.algorithms import AlgorithmConfig
from ptr_models.networks import NetworkConfig
from ptr_models.training.config import ScheduleConfig, TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.runs import latest_checkpoint

SMALL = TrainingConfig(
    preset="test",
    batch_size=10,
    threads=1,
    networks=NetworkConfig(encoder="tiny", image_size=64, latent=16, hidden=(16, 16, 16)),
    algorithm=AlgorithmConfig(ema_decay=0.9),
    schedule=ScheduleConfig(steps=4, log_every=1, checkpoint_every=100),
)


def prior_only(bags: Bags) -> Bags:
    """Without the target data."""
    return replace(bags, target=())


def losses(folder: Path) -> list[tuple[int, float, float]]:
    """Step, critic loss and actor loss of each entry of a run's metrics."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [(entry["step"], entry["critic_loss"], entry["actor_loss"]) for entry in map(json.loads, lines)]


def train_command(bags: Bags, out: Path, *more: str) -> list[str]:
    """Words behind `ptr` for pre-training with small networks; a checkpoint each third update, all metrics."""
    sections = ("networks.latent=16", "networks.hidden=[16,16,16]", "networks.precision=fp32", "batch_size=8")
    sections += ("schedule.checkpoint_every=3", "schedule.log_every=1", "algorithm.bc_steps=0")
    values = [word for section in sections for word in ("--set", section)]
    place = ["--data", str(bags.prior[0]), "--out", str(out), "--cache", str(bags.cache), "--threads", "1"]
    return ["train", "pretrain", *place, *values, *more]


def spawn(command: list[str]) -> subprocess.Popen[str]:
    """Start `ptr` as a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-m", "ptr_models.cli", *command]
    return subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(process: subprocess.Popen[str], run: Path) -> None:
    """Until a run has a checkpoint."""
    deadline = time.monotonic() + 120
    while latest_checkpoint(run) is None:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.02)
