# SPDX-License-Identifier: Apache-2.0
"""The whole path with the smallest sizes: record over ROS 2, fine-tune, deploy, evaluate, report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from domain_coordinator import domain_id

from ptr_models.common.assets import checkpoint_path
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata

TASK = "take_croissant_out_of_metal_bowl"
SIZES = ["--demonstrations", "2", "--trials", "1", "--steps", "4", "--pretraining-episodes", "2"]


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished run."""
    folder = tmp_path_factory.mktemp("demo")
    with domain_id() as domain:
        environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "XDG_CACHE_HOME": str(folder / "cache")}
        command = [sys.executable, "-m", "ptr_models.cli", "demo", "--task", TASK, "--out", str(folder / "run")]
        command += ["--pretraining", str(folder / "mix"), *SIZES]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


@pytest.mark.timeout(300)
def test_a_run_leaves_bags_a_policy_and_a_report(demonstration: Path) -> None:
    report = json.loads((demonstration / "report.json").read_text())
    assert {stage["name"] for stage in report["stages"]} == {
        "pretraining_data",
        "record",
        "finetune_ptr",
        "evaluate_ptr",
        "finetune_bc",
        "evaluate_bc",
        "evaluate_pretrained",
    }
    for result in report["results"].values():
        assert result["trials"] == 1
        low, high = result["interval"]
        assert 0.0 <= low < high <= 1.0
    page = (demonstration / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(report["figures"]) >= 3  # a trial, values, curves


@pytest.mark.timeout(300)
def test_demonstrations_and_trials_are_bags_that_training_reads(demonstration: Path) -> None:
    recorded = find_episodes([demonstration / "demonstrations"])
    made = find_episodes([demonstration / "evaluation"])
    trials = [path for path in made if read_metadata(path).outcome != "unlabelled"]  # held too long: made again
    assert (len(recorded), len(trials)) == (2, 3)
    for path in (*recorded, *trials):
        episode = read_episode(path)
        assert episode.metadata.task == TASK
        assert len(episode) >= 5


@pytest.mark.timeout(300)
def test_the_new_task_has_a_slot_of_its_own(demonstration: Path) -> None:
    newest = max((demonstration / "ptr" / "checkpoints").iterdir())
    before = json.loads((checkpoint_path("ptr_bernoulli_small") / "checkpoint.json").read_text())
    after = json.loads((newest / "checkpoint.json").read_text())
    assert TASK not in json.dumps(before["tasks"])
    assert TASK in json.dumps(after["tasks"])
    assert after["step"] == before["step"] + 4
