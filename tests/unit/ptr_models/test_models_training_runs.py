# SPDX-License-Identifier: Apache-2.0
"""Runs: pre-training, fine-tuning, what their folder holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_runs import SMALL, losses, prior_only

from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract, ContractError
from ptr_models.training import checkpoint as checkpoints
from ptr_models.training.checkpoint import read_checkpoint
from ptr_models.training.config import TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.metric_averager import TrainingError
from ptr_models.training.run_setup import start_finetuning, start_pretraining
from ptr_models.training.runs import checkpoint_step, checkpoints_of


def test_pretraining_writes_configuration_metrics_and_a_checkpoint(training_bags: Bags, tmp_path: Path) -> None:
    outcome = start_pretraining(SMALL, prior_only(training_bags), tmp_path / "run", ["open_oven"]).run()
    assert (outcome.step, outcome.reason) == (4, "steps")
    checkpoint = read_checkpoint(outcome.checkpoint)
    assert checkpoint.step == 4 and checkpoint.contract == Contract()
    assert checkpoint.tasks.names == ("open_door", "put_carrot_in_pot", "take_lime_out_of_pot")
    assert TrainingConfig.from_yaml(tmp_path / "run" / "config.yaml") == checkpoint.config
    assert [step for step, *_ in losses(tmp_path / "run")] == [1, 2, 3, 4]
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_finetuning_carries_everything_over_and_takes_a_spare_slot(
    trained: Path, training_bags: Bags, tmp_path: Path
) -> None:
    trainer = start_finetuning(trained, training_bags, tmp_path / "tuned", ["schedule.steps=6"])
    assert trainer.step == 4
    before = (
        checkpoints.model_tensors(trainer.algorithm),
        checkpoints.moments(trainer.algorithm, torch.float32),
    )
    for tensors, file in zip(before, (checkpoints.MODEL, checkpoints.OPTIMIZER), strict=True):
        stored = checkpoints.load_file(trained / file)
        assert stored.keys() == tensors.keys() and all(torch.equal(stored[name], tensors[name]) for name in stored)
    outcome = trainer.run()
    tuned = read_checkpoint(outcome.checkpoint)
    assert outcome.step == 6 and tuned.tasks.names[-1] == "put_knife_in_pot"
    assert tuned.tasks.slots == read_checkpoint(trained).tasks.slots
    assert trainer.source.sample(10, 4).task.tolist().count(2) == 1


def test_finetuning_without_demonstrations_is_refused(trained: Path, training_bags: Bags, tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="--target"):
        start_finetuning(trained, prior_only(training_bags), tmp_path / "tuned")


def test_a_run_is_not_overwritten(training_bags: Bags, trained: Path) -> None:
    with pytest.raises(PtrError, match="--resume"):
        start_pretraining(SMALL, prior_only(training_bags), trained.parent.parent)


def test_bags_of_another_contract_are_refused(trained: Path, make_episode: Callable[..., Path], tmp_path: Path) -> None:
    make_episode(5, root=tmp_path / "other", contract=replace(Contract(), control_rate=10.0))
    with pytest.raises(ContractError, match="control_rate"):
        start_finetuning(trained, Bags((), (tmp_path / "other",), tmp_path / "cache"), tmp_path / "tuned")


def test_the_newest_checkpoints_stay_and_the_one_at_the_switch(training_bags: Bags, tmp_path: Path) -> None:
    schedule = replace(SMALL.schedule, steps=6, checkpoint_every=1, keep_checkpoints=2, target_from=3)
    start_pretraining(replace(SMALL, schedule=schedule), training_bags, tmp_path / "run").run()
    assert [checkpoint_step(path) for path in checkpoints_of(tmp_path / "run")] == [3, 5, 6]


def test_a_checkpoint_is_written_when_the_target_data_enter(training_bags: Bags, tmp_path: Path) -> None:
    config = replace(SMALL, schedule=replace(SMALL.schedule, target_from=2))
    start_pretraining(config, training_bags, tmp_path / "run").run()
    assert [checkpoint_step(path) for path in checkpoints_of(tmp_path / "run")] == [2, 4]


def test_a_diverged_run_ends_and_writes_no_checkpoint(training_bags: Bags, tmp_path: Path) -> None:
    config = replace(SMALL, algorithm=replace(SMALL.algorithm, critic_lr=1e30), batch_size=4)
    trainer = start_pretraining(config, prior_only(training_bags), tmp_path / "run")
    with pytest.raises(TrainingError, match="diverged"):
        trainer.run()
    assert checkpoints_of(tmp_path / "run") == []


@pytest.mark.parametrize(("warmup", "told"), [(5, True), (4, False)])
def test_finetuning_within_the_warm_up_is_told(
    trained: Path, training_bags: Bags, tmp_path: Path, caplog: pytest.LogCaptureFixture, warmup: int, told: bool
) -> None:
    start_finetuning(trained, training_bags, tmp_path / "tuned", [f"algorithm.bc_steps={warmup}"])
    assert ("has 4 updates, but the actor only imitates until 5" in caplog.text) == told


def test_a_mixture_without_prior_rows_is_told(
    training_bags: Bags, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = replace(SMALL, schedule=replace(SMALL.schedule, target_from=0, mix=0.0))
    start_pretraining(config, training_bags, tmp_path / "run")
    assert "no pre-training episode will be drawn" in caplog.text


def test_a_time_budget_ends_a_run(training_bags: Bags, tmp_path: Path) -> None:
    config = replace(SMALL, schedule=replace(SMALL.schedule, steps=10**9, seconds=0.2))
    outcome = start_pretraining(config, prior_only(training_bags), tmp_path / "run").run()
    assert outcome.reason == "seconds" and read_checkpoint(outcome.checkpoint).step == outcome.step > 0


def test_the_command_line_says_in_one_sentence_what_is_wrong(
    training_bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--out", str(tmp_path / "x"), "--cache", str(training_bags.cache)]
    wrong = [
        ["train", "pretrain", "--preset", "huge", *place],
        ["train", "pretrain", *place],
        ["train", "pretrain", "--data", str(tmp_path / "nowhere"), *place],
        ["train", "finetune", *place],
        [
            "train",
            "finetune",
            "--checkpoint",
            str(tmp_path),
            "--target",
            str(training_bags.target[0]),
            *place,
        ],
        [
            "train",
            "pretrain",
            "--data",
            str(training_bags.prior[0]),
            "--out",
            str(tmp_path / "new"),
            "--resume",
        ],
    ]
    for words in wrong:
        assert main(words) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert [line for line in error if line.startswith("error: ")] == error[-1:]


def test_a_checkpoint_that_was_renamed_does_not_count(tmp_path: Path) -> None:
    for name in ("step_00000100", "step_00000100.bad", "step_00000200_copy", "step_00000300"):
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(parents=True)
        (folder / "checkpoint.json").touch()
    assert [path.name for path in checkpoints_of(tmp_path)] == ["step_00000100", "step_00000300"]
