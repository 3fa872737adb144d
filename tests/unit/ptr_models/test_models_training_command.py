# SPDX-License-Identifier: Apache-2.0
"""`ptr train`: each kind of run from its command line, its status, and what its folder says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from training_runs import train_command

from ptr_models.cli import main
from ptr_models.common.output_folder import in_use, locked
from ptr_models.inference.policy import Policy
from ptr_models.training.checkpoint import read_checkpoint
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.devices import DeviceError, resolve_device
from ptr_models.training.jsonlines import read_lines
from ptr_models.training.progress_metrics import PROGRESS_METRICS, progress_metrics
from ptr_models.training.runs import checkpoints_of


def fresh(kind: str, bags: Bags, out: Path, *more: str) -> list[str]:
    words = train_command(bags, out, "--target", str(bags.target[0]), *more)
    return ["train", kind, *words[2:]]


def test_joint_training_mixes_from_the_first_update(training_bags: Bags, tmp_path: Path) -> None:
    assert main(fresh("joint", training_bags, tmp_path / "run", "--steps", "2", "--preset", "bc_small")) == 0
    config = TrainingConfig.from_yaml(tmp_path / "run" / "config.yaml")
    assert (config.schedule.target_from, config.schedule.mix, config.schedule.steps) == (0, 0.7, 2)
    assert set(json.loads((tmp_path / "run" / "data.json").read_text())) == {"prior", "target"}


@pytest.mark.parametrize("name", ["cql_target_small", "bc_target_small"])
def test_target_demonstrations_alone_are_enough(name: str, training_bags: Bags, tmp_path: Path) -> None:
    words = fresh("joint", training_bags, tmp_path / "run", "--steps", "2", "--preset", name)
    at = words.index("--data")
    assert main([*words[:at], *words[at + 2 :]]) == 0
    checkpoint = read_checkpoint(tmp_path / "run")
    assert checkpoint.tasks.names == ("put_knife_in_pot",) and checkpoint.step == 2
    assert set(json.loads((tmp_path / "run" / "data.json").read_text())) == {"target"}


def test_a_folder_of_bags_never_becomes_a_run(training_bags: Bags, capsys: pytest.CaptureFixture[str]) -> None:
    folder = training_bags.prior[0]
    before = sorted(folder.iterdir())
    assert main(fresh("joint", training_bags, folder, "--steps", "2")) == 2
    words = ["--target", str(folder), "--out", str(folder), "--steps", "1"]
    assert main(["train", "finetune", "--checkpoint", "ptr_small", *words]) == 2
    assert capsys.readouterr().err.count(f"error: {folder} is not a run of `ptr train` (no config.yaml)") == 2
    assert sorted(folder.iterdir()) == before


def test_fine_tuning_at_another_image_size_is_refused_before_data_are_read(
    training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--target", str(training_bags.target[0]), "--out", str(tmp_path / "run"), "--steps", "1"]
    size = ["--set", "networks.image_size=128", "--cache", str(tmp_path / "cache")]
    assert main(["train", "finetune", "--checkpoint", "ptr_small", *words, *size]) == 2
    assert "the checkpoint sees images of 64 pixels a side, not of 128" in capsys.readouterr().err
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("at", ["run_setup.start_pretraining", "run_setup.Trainer.run", "presets.preset"])
def test_control_c_says_what_is_kept_and_how_to_go_on(
    at: str, training_bags: Bags, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"ptr_models.training.{at}", interrupt)
    assert main(train_command(training_bags, tmp_path / "run", "--steps", "2")) == 130
    text = capsys.readouterr().err
    if at == "run_setup.Trainer.run":
        assert "interrupted: 0 of 2 updates were made; the newest checkpoint is kept, if there is one; " in text
        assert f"ptr train pretrain --resume --out {tmp_path / 'run'}" in text
    else:
        kept = "no update was made" if at == "run_setup.start_pretraining" else "nothing is written yet"
        assert kept in text and "the same command starts again" in text


def test_joint_training_without_demonstrations_is_refused(
    training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "joint", "--data", str(training_bags.prior[0]), "--out", str(tmp_path / "run")]) == 2
    assert "--target" in capsys.readouterr().err


def test_a_file_lies_between_preset_and_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.yaml").write_text("seed: 5\nschedule: {mix: 0.5, log_every: 7}\n")
    command = ["train", "pretrain", "--preset", "ptr_small", "--config", str(tmp_path / "own.yaml"), "--print-config"]
    assert main([*command, "--set", "schedule.mix=0.6", "--steps", "9"]) == 0
    (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    config = TrainingConfig.from_yaml(tmp_path / "printed.yaml")
    assert (config.seed, config.schedule.mix, config.schedule.log_every) == (5, 0.6, 7)
    assert (config.schedule.steps, config.preset) == (9, "ptr_small")


def test_finetuning_ends_with_a_choice_and_goes_on_by_its_own_steps(
    trained: Path, training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "tuned"
    (tmp_path / "own.yaml").write_text("schedule: {checkpoint_every: 1, choose_from: 2, log_every: 1}\n")
    place = ["--out", str(run), "--cache", str(training_bags.cache), "--threads", "1"]
    source = ["--checkpoint", str(trained.parent.parent), "--config", str(tmp_path / "own.yaml")]
    data = ["--data", str(training_bags.prior[0]), "--target", str(training_bags.target[0])]
    assert main(["train", "finetune", *source, *data, *place, "--steps", "3"]) == 0
    choice = json.loads((run / "choice.json").read_text())
    printed = capsys.readouterr().out
    assert f"Chosen: {run}/checkpoints/{choice['chosen']}\nbecause {choice['reason']}" in printed
    assert [item["updates"] for item in choice["candidates"]] == [1, 2, 3]
    assert choice["chosen"] in ("step_00000006", "step_00000007")
    assert "3 of 3 updates (after the 4 of its checkpoint)" in printed
    assert Policy.load(run).checkpoint.path.name == choice["chosen"]

    assert main(["train", "finetune", "--resume", *place, "--steps", "2"]) == 2
    assert f"{run} has already done 3 updates, so --steps 2 leaves none" in capsys.readouterr().err
    assert main(["train", "finetune", "--resume", *place, "--steps", "4"]) == 0
    assert [path.name for path in checkpoints_of(run)][-1] == "step_00000008"
    assert len(json.loads((run / "choice.json").read_text())["candidates"]) == 4


def test_finetuning_that_would_make_no_update_is_refused_and_a_time_alone_is_enough(
    trained: Path, training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = read_checkpoint(trained)
    words = ["train", "finetune", "--checkpoint", str(trained), "--target", str(training_bags.target[0])]
    words += ["--cache", str(training_bags.cache), "--threads", "1", "--out", str(tmp_path / "tuned")]
    ended = ["--set", f"schedule.steps={base.step}"]
    assert main([*words, *ended]) == 2
    assert f"has finished all {base.step} updates of its schedule" in capsys.readouterr().err
    assert not (tmp_path / "tuned").exists()
    assert main([*words, "--seconds", "0.1"]) == 0
    assert checkpoints_of(tmp_path / "tuned")[-1].name > f"step_{base.step:08}"


def test_without_a_critic_the_last_checkpoint_is_chosen_and_the_text_says_why(
    training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "bc"
    assert main(fresh("joint", training_bags, run, "--steps", "6", "--preset", "bc_small")) == 0
    assert main(["analyze", "choose", "--run", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "because it is the last one; bc has no values to go by." in printed
    assert printed.splitlines()[-1].startswith(f"next: ptr sim evaluate --checkpoint {run}/")
    assert main(["analyze", "training", str(run), "--out", str(tmp_path / "training.png")]) == 0
    assert f"next: ptr analyze choose --run {run}" in capsys.readouterr().out
    choice = json.loads((run / "choice.json").read_text())
    assert choice["chosen"] == "step_00000006" and choice["candidates"] == [] and choice["rule"] is None


def test_a_run_folder_says_what_it_was_made_of(
    training_bags: Bags, make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    bad = make_episode(9, root=tmp_path / "more", task="put_carrot_in_pot", outcome="unlabelled").parent
    words = train_command(training_bags, tmp_path / "run", "--steps", "1")
    assert main([*words, "--data", str(bad)]) == 0
    data = json.loads((tmp_path / "run" / "data.json").read_text())["prior"]
    assert (data["episodes"], data["successes"], len(data["bags"])) == (4, 4, 4)
    assert sum(data["steps_of_task"].values()) == data["transitions"]
    (left_out,) = data["left_out"]
    assert left_out["bag"].startswith(str(bad)) and left_out["reason"]
    (start,) = read_lines(tmp_path / "run" / "environment.jsonl")
    assert start["versions"]["torch"] == torch.__version__ and start["step"] == 0
    assert start["commit"] is None or len(start["commit"].removesuffix("-dirty")) == 40


def test_the_status_of_a_run(
    training_bags: Bags, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained.parent.parent
    assert not in_use(run)
    with locked(run):
        assert in_use(run)
        assert main(["train", "status", str(run)]) == 0
    text = capsys.readouterr().out
    for words in ("preset test, ptr on cpu, running", "update 4 of 4", "bellman_error", "1 checkpoints", "newest:"):
        assert words in text
    assert main(["train", "status", str(tmp_path)]) == 2
    assert "not the folder of a run" in capsys.readouterr().err


def test_at_most_four_numbers_are_watched_and_unhealthy_ones_are_marked() -> None:
    metrics = {"bellman_error": 1.0, "cql_gap": -2.0, "q_minus_return": 15.5, "entropy": -7.0, "actor_mse": 0.01}
    shown = [item.show(metrics[item.metric]) for item in progress_metrics("ptr", metrics)]
    assert shown == ["TD 1", "CQL -2", "Q-R 15.5!", "H -7"]
    assert [item.metric for item in progress_metrics("ptr", {"actor_mse": 0.1, "actor_loss": 3.0})] == ["actor_mse"]
    assert [item.metric for item in progress_metrics("new_method", {"a": 1.0, "b": 2.0})] == ["a", "b"]
    assert all(item.healthy and item.label for items in PROGRESS_METRICS.values() for item in items)


def test_a_device_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == "cpu" == resolve_device("cpu")
    with pytest.raises(DeviceError, match="PyTorch sees 0 GPUs"):
        resolve_device("cuda")
    with pytest.raises(DeviceError, match="unknown device 'gpu'"):
        resolve_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == "cuda"
