# SPDX-License-Identifier: Apache-2.0
"""Runs: configuration, task table, phases, checkpoints, exact resumption, the policy that comes out."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.algorithms import AlgorithmConfig
from ptr_models.cli import main
from ptr_models.contract import Contract, ContractError
from ptr_models.episodes.actions import unscale
from ptr_models.errors import PtrError
from ptr_models.networks import NetworkConfig
from ptr_models.replay import MixingSampler, Sampler, open_episodes
from ptr_models.training import checkpoint as checkpoints
from ptr_models.training.checkpoint import (
    CheckpointError,
    read_checkpoint,
    save_checkpoint,
)
from ptr_models.training.config import ConfigError, ScheduleConfig, TrainingConfig
from ptr_models.training.policy import Policy
from ptr_models.training.presets import preset, presets
from ptr_models.training.runs import latest_checkpoint
from ptr_models.training.session import (
    Bags,
    PhasedSource,
    export,
    limited,
    resume,
    start_finetuning,
    start_pretraining,
)
from ptr_models.training.tasks import TaskError, TaskTable

SMALL = TrainingConfig(
    preset="test",
    batch_size=10,
    threads=1,
    networks=NetworkConfig(encoder="tiny", latent=16, hidden=(16, 16, 16)),
    algorithm=AlgorithmConfig(actor_average=0.9),
    schedule=ScheduleConfig(steps=4, log_every=1, checkpoint_every=100),
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once for all tests of this file."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def bags(make_episode: Callable[..., Path], shared: Path) -> Bags:
    """Two pre-training tasks with two episodes each, and two demonstrations of a new task."""
    prior, target = shared / "prior", shared / "target"
    if not target.exists():
        for seed in range(4):
            make_episode(seed, root=prior, task=("put_carrot_in_pot", "take_lime_out_of_pot")[seed % 2])
        for seed in (10, 11):
            make_episode(seed, root=target, task="put_knife_in_pot")
    return Bags((prior,), (target,), shared / "cache")


def prior_only(bags: Bags) -> Bags:
    return replace(bags, target=())


@pytest.fixture
def trained(bags: Bags, shared: Path, tmp_path: Path) -> Path:
    """A copy of a run of four updates of pre-training; its checkpoint."""
    if not (shared / "run").exists():
        start_pretraining(SMALL, prior_only(bags), shared / "run").run()
    return shutil.copytree(shared / "run", tmp_path / "trained") / "checkpoints" / "step_00000004"


def losses(folder: Path) -> list[tuple[int, float, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [(entry["step"], entry["critic_loss"], entry["actor_loss"]) for entry in map(json.loads, lines)]


# ----------------------------------------------------------------------------- configuration
def test_the_paper_preset_holds_the_values_of_the_original_run() -> None:
    config = preset("ptr_paper")
    assert config.batch_size == 64 and config.seed == 42
    assert config.networks == NetworkConfig()
    assert (config.networks.encoder, config.networks.image_size) == ("resnet34", 128)
    assert (config.networks.latent, config.networks.hidden, config.networks.critics) == (256, (256,) * 3, 2)
    assert config.networks.state_scale == (1.0,) * 7 and not config.networks.critic_proprioception
    algorithm = config.algorithm
    assert (algorithm.name, algorithm.discount, algorithm.polyak, algorithm.alpha) == (
        "ptr",
        0.96,
        0.005,
        10.0,
    )
    assert (algorithm.samples, algorithm.target_entropy) == (4, -7.0)
    assert (algorithm.actor_rate, algorithm.critic_rate, algorithm.temperature_rate) == (1e-4, 3e-4, 3e-4)
    assert (algorithm.bc_weight, algorithm.bc_warmup, algorithm.actor_average) == (0.0, 0, 0.0)
    assert not algorithm.calibrated and algorithm.target_bounds == ()
    assert (config.data.labelling.reward_steps, config.data.labelling.scale, config.data.labelling.shift) == (
        3,
        11,
        -1,
    )
    assert (config.schedule.target_from, config.schedule.mix, config.schedule.checkpoint_every) == (
        160_000,
        0.9,
        20_000,
    )


@pytest.mark.parametrize("name", presets())
def test_presets_survive_yaml(name: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(preset(name).to_yaml())
    assert TrainingConfig.from_yaml(file) == preset(name)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("algorithm.alhpa=3", "algorithm.alpha"),
        ("networks.encoder=resnet35", "resnet34"),
        ("schedule.mix=2", "mix is 2"),
        ("batch_size=many", "batch_size is 'many'"),
        ("algorithm=3", "section"),
        ("alpha", "section.key=value"),
        ("data.labelling.terminal=never", "rewarded, last"),
    ],
)
def test_a_wrong_assignment_is_refused_in_one_sentence(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        TrainingConfig().replaced([assignment])
    assert "\n" not in str(caught.value)


def test_assignments_change_nested_values_and_nothing_else() -> None:
    changed = TrainingConfig().replaced(["algorithm.actor_rate=3e-4", "networks.hidden=[8, 8]", "seed=7"])
    assert changed.algorithm.actor_rate == 3e-4 and changed.networks.hidden == (8, 8) and changed.seed == 7
    back = changed.replaced(["algorithm.actor_rate=1e-4", "networks.hidden=[256, 256, 256]", "seed=42"])
    assert back == TrainingConfig()


# ----------------------------------------------------------------------------- task table
def test_tasks_are_sorted_and_followed_by_spare_slots() -> None:
    table = TaskTable.from_names(["b", "a", "b"], spare=3)
    assert table.names == ("a", "b") and table.slots == 5
    assert table.extended(["z", "a", "m"]).names == ("a", "b", "m", "z")


def test_variants_and_doors_share_a_slot() -> None:
    table = TaskTable.from_names(["open_fridge", "put_sushi_in_pot_cardboard_fence", "put_pear_in_pan"], 1)
    assert table.names == ("open_door", "put_pear_in_pan", "put_sushi_in_pot")
    assert table.id("open_microwave") == 0 and table.extended(["open_oven_distractors"]).names == table.names
    assert table.id("put_sushi_in_pot") == 2


def test_own_aliases_come_first() -> None:
    table = TaskTable.from_names(["put_pear_in_pan"], 0, {"put_pear_in_wok": "put_pear_in_pan"})
    assert table.id("put_pear_in_wok") == 0


def test_an_unknown_task_is_refused_with_the_known_ones() -> None:
    with pytest.raises(TaskError, match="'c'.*a, b"):
        TaskTable.from_names(["a", "b"], 1).id("c")


def test_more_new_tasks_than_spare_slots_are_refused() -> None:
    with pytest.raises(TaskError, match="2 new tasks.*1 spare"):
        TaskTable.from_names(["a"], 1).extended(["b", "c"])


@settings(deadline=None)
@given(names=st.lists(st.text("abcdef_", min_size=1, max_size=6), max_size=8), spare=st.integers(8, 16))
def test_extending_keeps_known_ids(names: list[str], spare: int) -> None:
    table = TaskTable.from_names(names[:4], spare)
    longer = table.extended(names[4:])
    assert longer.names[: len(table.names)] == table.names and longer.slots == table.slots
    assert sorted(set(longer.ids(names).values())) == list(range(len(longer.names)))


# ----------------------------------------------------------------------------- phases
def phased(bags: Bags, target_from: int, mix: float = 0.9) -> PhasedSource:
    contract = Contract()
    prior = open_episodes(bags.prior, contract, root=bags.cache, progress=False)
    target = open_episodes(bags.target, contract, root=bags.cache, progress=False)
    ids = TaskTable.from_names([*prior.tasks, *target.tasks], 0).ids([*prior.tasks, *target.tasks])
    return PhasedSource(Sampler(prior, ids, 0), Sampler(target, ids, 1), target_from, mix)


def test_target_data_enter_with_the_update_after_the_switch(bags: Bags) -> None:
    source, new = phased(bags, 160_000), 1  # put_knife_in_pot is the second of three names
    for done in (0, 80_000, 159_999):
        assert (source.sample(64, done).task != new).all()
    assert (source.sample(64, 160_000).task == new).sum() == 7


def test_joint_training_mixes_from_the_first_update(bags: Bags) -> None:
    assert (phased(bags, 0, 0.7).sample(64, 0).task == 1).sum() == 20


def test_state_of_the_source_reproduces_its_batches(bags: Bags) -> None:
    source, again = phased(bags, 2), phased(bags, 2)
    for done in range(3):
        source.sample(8, done)
    again.load_state_dict(json.loads(json.dumps(source.state_dict())))
    for done in range(3, 6):
        np.testing.assert_array_equal(source.sample(8, done).action, again.sample(8, done).action)


def test_a_mixture_needs_both_data_sets() -> None:
    with pytest.raises(PtrError, match="needs prior data"):
        MixingSampler(None, None, 0.5)


def test_a_number_of_target_demonstrations_is_chosen_by_the_seed(bags: Bags) -> None:
    data = open_episodes(bags.prior, Contract(), root=bags.cache, progress=False)
    assert len(limited(data, 2, seed=0)) == 2 and limited(data, -1, seed=0) is data
    assert limited(data, 2, seed=0).paths == limited(data, 2, seed=0).paths


# ----------------------------------------------------------------------------- runs
def test_pretraining_writes_configuration_metrics_and_a_checkpoint(bags: Bags, tmp_path: Path) -> None:
    outcome = start_pretraining(SMALL, prior_only(bags), tmp_path / "run", ["open_oven"]).run()
    assert (outcome.step, outcome.reason) == (4, "steps")
    checkpoint = read_checkpoint(outcome.checkpoint)
    assert checkpoint.step == 4 and checkpoint.contract == Contract()
    assert checkpoint.tasks.names == ("open_door", "put_carrot_in_pot", "take_lime_out_of_pot")
    assert TrainingConfig.from_yaml(tmp_path / "run" / "config.yaml") == checkpoint.config
    assert [step for step, *_ in losses(tmp_path / "run")] == [1, 2, 3, 4]
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_finetuning_carries_everything_over_and_takes_a_spare_slot(
    trained: Path, bags: Bags, tmp_path: Path
) -> None:
    trainer = start_finetuning(trained, bags, tmp_path / "tuned", ["schedule.steps=6"])
    assert trainer.step == 4
    before = (
        checkpoints.model_tensors(trainer.algorithm),
        checkpoints.moments(trainer.algorithm, torch.float32),
    )
    for tensors, file in zip(before, (checkpoints.MODEL, checkpoints.OPTIMISER), strict=True):
        stored = checkpoints.load_file(trained / file)
        assert stored.keys() == tensors.keys() and all(
            torch.equal(stored[name], tensors[name]) for name in stored
        )
    outcome = trainer.run()
    tuned = read_checkpoint(outcome.checkpoint)
    assert outcome.step == 6 and tuned.tasks.names[-1] == "put_knife_in_pot"
    assert tuned.tasks.slots == read_checkpoint(trained).tasks.slots
    assert trainer.source.sample(10, 4).task.tolist().count(2) == 1


def test_finetuning_without_demonstrations_is_refused(trained: Path, bags: Bags, tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="--target"):
        start_finetuning(trained, prior_only(bags), tmp_path / "tuned")


def test_a_run_is_not_overwritten(bags: Bags, trained: Path) -> None:
    with pytest.raises(PtrError, match="--resume"):
        start_pretraining(SMALL, prior_only(bags), trained.parent.parent)


def test_bags_of_another_contract_are_refused(
    trained: Path, make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    make_episode(5, root=tmp_path / "other", contract=replace(Contract(), control_rate=10.0))
    with pytest.raises(ContractError, match="control_rate"):
        start_finetuning(trained, Bags((), (tmp_path / "other",), tmp_path / "cache"), tmp_path / "tuned")


def test_a_resumed_run_equals_one_that_was_never_stopped(bags: Bags, tmp_path: Path) -> None:
    config = replace(SMALL, schedule=replace(SMALL.schedule, steps=6, target_from=4))
    whole = start_pretraining(config, bags, tmp_path / "whole").run()
    half = replace(config, schedule=replace(config.schedule, steps=3))
    start_pretraining(half, bags, tmp_path / "parts").run()
    torch.manual_seed(999)
    again = resume(bags, tmp_path / "parts", ["schedule.steps=6"]).run()
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for name in (checkpoints.MODEL, checkpoints.OPTIMISER):
        assert (whole.checkpoint / name).read_bytes() == (again.checkpoint / name).read_bytes()


def _command(bags: Bags, out: Path, *more: str) -> list[str]:
    sections = ("networks.latent=16", "networks.hidden=[16,16,16]", "networks.precision=fp32", "batch_size=8")
    sections += ("schedule.checkpoint_every=3", "schedule.log_every=1", "algorithm.bc_warmup=0")
    values = [word for section in sections for word in ("--set", section)]
    place = ["--data", str(bags.prior[0]), "--out", str(out), "--cache", str(bags.cache), "--threads", "1"]
    return ["train", "pretrain", *place, *values, *more]


def _spawn(command: list[str]) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-m", "ptr_models.cli", *command]
    return subprocess.Popen(
        program, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _wait_for_checkpoint(process: subprocess.Popen[str], run: Path) -> None:
    deadline = time.monotonic() + 120
    while latest_checkpoint(run) is None:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.02)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = _spawn(_command(bags, killed, "--steps", "1000000"))
    _wait_for_checkpoint(process, killed)
    process.kill()
    process.communicate()
    newest = latest_checkpoint(killed)
    assert newest is not None
    end = read_checkpoint(newest).step + 3
    assert main(_command(bags, killed, "--steps", str(end), "--resume")) == 0
    assert main(_command(bags, whole, "--steps", str(end))) == 0
    assert f"step_{end:08d}" in capsys.readouterr().out
    first, second = (run / "checkpoints" / f"step_{end:08d}" / checkpoints.MODEL for run in (killed, whole))
    assert first.read_bytes() == second.read_bytes()


def test_a_terminated_run_saves_and_ends_cleanly(bags: Bags, tmp_path: Path) -> None:
    process = _spawn(_command(bags, tmp_path / "run", "--steps", "1000000"))
    _wait_for_checkpoint(process, tmp_path / "run")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "asked to stop" in out
    assert str(latest_checkpoint(tmp_path / "run")) in out


def test_a_time_budget_ends_a_run(bags: Bags, tmp_path: Path) -> None:
    config = replace(SMALL, schedule=replace(SMALL.schedule, steps=10**9, seconds=0.2))
    outcome = start_pretraining(config, prior_only(bags), tmp_path / "run").run()
    assert outcome.reason == "seconds" and read_checkpoint(outcome.checkpoint).step == outcome.step > 0


# ----------------------------------------------------------------------------- checkpoints
@pytest.mark.parametrize("name", [checkpoints.MODEL, checkpoints.OPTIMISER, checkpoints.RANDOM])
def test_a_flipped_byte_is_noticed(trained: Path, name: str) -> None:
    data = bytearray((trained / name).read_bytes())
    data[len(data) // 2] ^= 1
    (trained / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{name} is damaged"):
        read_checkpoint(trained)


def test_a_missing_file_is_named(trained: Path) -> None:
    (trained / checkpoints.MODEL).unlink()
    with pytest.raises(CheckpointError, match=checkpoints.MODEL):
        read_checkpoint(trained)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        read_checkpoint(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 1}', '{"format": 99}', "null"])
def test_a_malformed_index_is_refused_in_one_sentence(trained: Path, text: str) -> None:
    (trained / checkpoints.INDEX).write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(trained)
    assert "\n" not in str(caught.value)


def test_weights_of_another_size_are_refused(trained: Path) -> None:
    checkpoint = read_checkpoint(trained)
    wider = replace(checkpoint.config, networks=replace(checkpoint.config.networks, latent=32))
    with pytest.raises(CheckpointError, match="do not fit"):
        checkpoints.load_algorithm(replace(checkpoint, config=wider))


def test_a_full_disk_keeps_the_last_good_checkpoint(
    trained: Path, bags: Bags, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    trainer = resume(prior_only(bags), trained.parent.parent, ["schedule.steps=5"])
    with pytest.raises(CheckpointError, match="disk is full"):
        trainer.run()
    assert [path.name for path in trained.parent.iterdir()] == [trained.name]
    assert latest_checkpoint(trained.parent.parent) == trained


def test_an_existing_checkpoint_is_not_overwritten(trained: Path) -> None:
    checkpoint = read_checkpoint(trained)
    with pytest.raises(CheckpointError, match="exists already"):
        save_checkpoint(trained, checkpoints.load_algorithm(checkpoint), checkpoint)


def test_a_shipped_checkpoint_finetunes_and_one_for_inference_acts(
    trained: Path, bags: Bags, tmp_path: Path
) -> None:
    shipped = export(trained, tmp_path / "shipped", card={"seed": 42})
    assert read_checkpoint(shipped).card == {"seed": 42} and not (shipped / checkpoints.RANDOM).exists()
    start_finetuning(shipped, bags, tmp_path / "tuned", ["schedule.steps=5"]).run()
    lean = export(trained, tmp_path / "lean", inference=True)
    assert sorted(file.name for file in lean.iterdir()) == [checkpoints.INDEX, checkpoints.MODEL]
    image, state = np.zeros((64, 64, 3), np.uint8), np.zeros(7, np.float32)
    decisions = [Policy.load(path).act(image, state, "put_carrot_in_pot") for path in (trained, lean)]
    np.testing.assert_array_equal(decisions[0].action, decisions[1].action)


# ----------------------------------------------------------------------------- policy
@pytest.fixture
def policy(trained: Path) -> Policy:
    return Policy.load(trained)


def random_observation(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), rng.normal(size=7).astype(np.float32)


@pytest.mark.parametrize("choice", ["mode", "sample", "argmax_q", "softmax_q"])
def test_an_action_lies_in_the_box_and_has_a_value(policy: Policy, choice: str) -> None:
    contract = policy.contract
    decision = policy.act(*random_observation(), "put_carrot_in_pot", choice, candidates=8)
    assert decision.action.shape == (7,) and np.abs(decision.scaled).max() <= 0.99
    assert (decision.action >= np.array(contract.action_low, np.float32)).all()
    assert (decision.action <= np.array(contract.action_high, np.float32)).all()
    np.testing.assert_array_equal(decision.action, unscale(decision.scaled, contract))
    assert np.isfinite(decision.q) and decision.q_spread >= 0 and decision.inference_time > 0
    assert (decision.q == decision.q_mode) if choice == "mode" else True
    if choice == "argmax_q":
        assert decision.q >= decision.q_mode


def test_the_mode_is_deterministic_and_depends_on_the_task(policy: Policy) -> None:
    observation = random_observation()
    first, again = (policy.act(*observation, "put_carrot_in_pot") for _ in range(2))
    other = policy.act(*observation, "take_lime_out_of_pot")
    np.testing.assert_array_equal(first.action, again.action)
    assert not np.array_equal(first.action, other.action)


def test_values_along_an_episode_equal_those_of_single_steps(policy: Policy, bags: Bags) -> None:
    data = open_episodes(bags.prior, policy.contract, root=bags.cache, progress=False)
    frames, states, _ = data.episode(0)
    actions = policy.modes(frames[:-1], states[:-1], data.tasks[0])
    values = policy.values(frames[:-1], states[:-1], actions, data.tasks[0])
    single = policy.act(np.array(frames[3]), states[3], data.tasks[0])
    np.testing.assert_allclose(single.scaled, actions[3], atol=1e-5)
    assert values[:, 3].min() == pytest.approx(single.q, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "put_lion_in_pot"}, "put_lion_in_pot.*put_carrot_in_pot"),
        ({"image": np.zeros((32, 64, 3), np.uint8)}, r"\(32, 64, 3\).*\(64, 64, 3\)"),
        ({"image": np.zeros((64, 64, 3), np.float32)}, "float32"),
        ({"state": np.zeros(6, np.float32)}, r"\(6,\)"),
        ({"choice": "best"}, "argmax_q"),
    ],
)
def test_a_wrong_observation_is_refused(policy: Policy, change: dict, words: str) -> None:
    image, state = random_observation()
    with pytest.raises(PtrError, match=words):
        policy.act(**({"image": image, "state": state, "task": "put_carrot_in_pot"} | change))


def test_an_imitation_policy_acts_without_values(bags: Bags, tmp_path: Path) -> None:
    config = replace(SMALL, algorithm=AlgorithmConfig(name="bc"))
    path = start_pretraining(config, prior_only(bags), tmp_path / "bc").run().checkpoint
    policy = Policy.load(path)
    assert np.isnan(policy.act(*random_observation(), "put_carrot_in_pot").q)
    with pytest.raises(PtrError, match="Q-function"):
        policy.act(*random_observation(), "put_carrot_in_pot", "argmax_q")


def test_the_command_line_says_in_one_sentence_what_is_wrong(
    bags: Bags, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--out", str(tmp_path / "x"), "--cache", str(bags.cache)]
    wrong = [
        ["train", "pretrain", "--preset", "huge", *place],
        ["train", "pretrain", *place],
        ["train", "pretrain", "--data", str(tmp_path / "nowhere"), *place],
        ["train", "finetune", *place],
        ["train", "finetune", "--checkpoint", str(tmp_path), "--target", str(bags.target[0]), *place],
        ["train", "pretrain", "--data", str(bags.prior[0]), "--out", str(tmp_path / "new"), "--resume"],
    ]
    for words in wrong:
        assert main(words) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert [line for line in error if line.startswith("error: ")] == error[-1:]
