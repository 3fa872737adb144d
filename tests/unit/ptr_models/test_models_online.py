# SPDX-License-Identifier: Apache-2.0
"""Online improvement: what is watched, when updates are due, what a batch holds, exact resumption."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.algorithms import AlgorithmConfig
from ptr_models.algorithms.cql import imitation_loss
from ptr_models.cli import main
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.labelling import relabel
from ptr_models.episodes.metadata import Label
from ptr_models.networks import NetworkConfig, TanhGaussian
from ptr_models.training import online_bags, online_session
from ptr_models.training.checkpoint import load_algorithm, read_checkpoint
from ptr_models.training.config import ConfigError, ScheduleConfig, TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.metric_averager import TrainingError
from ptr_models.training.online import OnlineLearner, success_rate, updates_called_for
from ptr_models.training.online_bags import ByClassifier, ByLabel, TrialDataset, TrialJudge, TrialVerdict
from ptr_models.training.online_config import OnlineConfig
from ptr_models.training.online_session import Trials, resume_online, start_online, watch
from ptr_models.training.run_setup import start_pretraining
from ptr_models.training.runs import checkpoints_of, latest_checkpoint
from ptr_models.training.tasks import TaskTable

PUT, TAKE = "put_knife_in_pot", "take_lime_out_of_pot"
SMALL = TrainingConfig(
    preset="test",
    batch_size=8,
    threads=1,
    device="cpu",
    networks=NetworkConfig(encoder="tiny", image_size=64, latent=16, hidden=(16, 16, 16)),
    algorithm=AlgorithmConfig(ema_decay=0.9, bc_weight=1.0),
    schedule=ScheduleConfig(steps=2, log_every=1, checkpoint_every=100, target_from=0, mix=0.5),
    online=OnlineConfig(min_transitions=10, updates_per_transition=0.25, keep=2),
)
SUCCESS, FAILURE = {"outcome": "success"}, {"outcome": "failure"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once for all tests of this file."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def bags(make_episode: Callable[..., Path], shared: Path) -> Bags:
    """Two pre-training episodes, and two demonstrations of the task that is practised."""
    prior, target = shared / "prior", shared / "target"
    if not target.exists():
        for seed in (0, 1):
            make_episode(seed, root=prior, task=TAKE)
        for seed in (10, 11):
            make_episode(seed, root=target, task=PUT)
    return Bags((prior,), (target,), shared / "cache")


@pytest.fixture
def finetuned(bags: Bags, shared: Path) -> Path:
    """A checkpoint after two updates."""
    run = shared / "run"
    if not run.exists():
        start_pretraining(SMALL, bags, run).run()
    found = latest_checkpoint(run)
    assert found is not None
    return found


@pytest.fixture
def trial(make_episode: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """trial(seed, **metadata) records a trial of the practised task into tmp_path/trials."""

    def record(seed: int, **metadata: Any) -> Path:
        values = {"task": PUT, "kind": "trial", "steps": 12} | metadata
        return make_episode(seed, root=tmp_path / "trials", **values)

    return record


@pytest.fixture
def start(finetuned: Path, bags: Bags, tmp_path: Path) -> Callable[..., OnlineLearner]:
    """start(name, *assignments) begins a run in tmp_path/name that watches tmp_path/trials and trusts labels."""

    def begin(name: str = "online", *adjust: str) -> OnlineLearner:
        return start_online(finetuned, bags, Trials(tmp_path / "trials"), tmp_path / name, adjust)

    return begin


def trials_of(
    folder: Path, judge: TrialJudge, capacity: int = 1000, tasks: Sequence[str] = (PUT, TAKE)
) -> TrialDataset:
    """Trials without a learner."""
    return TrialDataset(folder, Contract(), TaskTable(tuple(tasks), 4), judge, capacity, folder.parent / "cache")


def weights_of(learner: OnlineLearner) -> dict[str, torch.Tensor]:
    """All weights by name."""
    modules = learner.algorithm.modules.items()
    return {f"{name}.{key}": value.clone() for name, module in modules for key, value in module.state_dict().items()}


def assert_same(one: OnlineLearner, other: OnlineLearner) -> None:
    """Two learners have done the same."""
    assert one.step == other.step
    first, second = weights_of(one), weights_of(other)
    assert all(torch.equal(first[name], second[name]) for name in first)


class Third:
    """A judge that sees success with the third frame of trials with an even number."""

    outcomes = ("success", "failure", "partial", "unlabelled")

    def refusal(self, task: str) -> str:
        return ""

    def judge(self, name: str, task: str, images: np.ndarray, labelled: bool) -> TrialVerdict:
        done = int(name[-1]) % 2 == 0
        return TrialVerdict(name, task, done, 2 if done else len(images) - 1, "classifier")


# --------------------------------------------------------------------------- the folder that is watched
def test_trials_are_taken_in_when_they_are_complete(trial: Callable[..., Path], tmp_path: Path) -> None:
    trials = trials_of(tmp_path / "trials", ByLabel())
    assert trials.refresh() == [] and trials.data is None
    path = trial(1, **SUCCESS)
    path.rename(path.with_name(f"{path.name}.partial"))
    assert trials.refresh() == [] and trials.data is None
    path.with_name(f"{path.name}.partial").rename(path)
    assert trials.refresh() == [TrialVerdict(path.name, PUT, True, 12, "label")]
    assert trials.refresh() == []
    assert trials.data is not None and len(trials.data) == 1


def test_an_unlabelled_trial_waits_for_its_label(trial: Callable[..., Path], tmp_path: Path) -> None:
    path = trial(1, outcome="unlabelled")
    trials = trials_of(tmp_path / "trials", ByLabel())
    assert trials.refresh() == [] and trials.data is None
    relabel(path, Label("failure", time.time_ns(), "operator"))
    assert [item.success for item in trials.refresh()] == [False]


def test_what_could_not_be_read_is_read_when_it_can(
    trial: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise EpisodeError("the replay cache cannot be written: no space left on device")

    path = trial(1, **SUCCESS)
    trials = trials_of(tmp_path / "trials", ByLabel())
    with monkeypatch.context() as patch:
        patch.setattr(online_bags, "open_episodes", full)
        assert trials.refresh() == [] and "no space" in trials.left_out[0].reason
    assert [item.episode for item in trials.refresh()] == [path.name] and not trials.left_out


def test_a_corrected_label_counts_at_once(trial: Callable[..., Path], tmp_path: Path) -> None:
    path = trial(1, **SUCCESS)
    trials = trials_of(tmp_path / "trials", ByLabel())
    trials.refresh()
    relabel(path, Label("failure", time.time_ns(), "operator"))
    assert trials.refresh() == []
    assert trials.data is not None and not trials.data.successes[0]


def test_damaged_and_strange_trials_are_left_out_with_their_reason(trial: Callable[..., Path], tmp_path: Path) -> None:
    trial(1, **SUCCESS)
    damaged = trial(2, **SUCCESS)
    bag = next(damaged.glob("*.mcap"))
    bag.write_bytes(bag.read_bytes()[: bag.stat().st_size // 3])
    trial(3, task="fold_towel", **SUCCESS)
    trials = trials_of(tmp_path / "trials", ByLabel())
    assert [item.episode for item in trials.refresh()] == ["episode_0001"]
    reasons = {Path(item.path).name: item.reason for item in trials.left_out}
    assert set(reasons) == {"episode_0002", "episode_0003"}
    assert reasons["episode_0003"] == "the policy has no task 'fold_towel'"


def test_a_trial_that_disappears_is_no_longer_sampled(trial: Callable[..., Path], tmp_path: Path) -> None:
    first, _ = trial(1, **SUCCESS), trial(2, **FAILURE)
    trials = trials_of(tmp_path / "trials", ByLabel())
    trials.refresh()
    shutil.rmtree(first)
    assert trials.refresh() == []
    assert trials.data is not None and trials.data.successes.tolist() == [False]
    assert len(trials.verdicts) == 2
    shutil.rmtree(tmp_path / "trials")
    assert trials.refresh() == [] and trials.data is None


def test_beyond_the_capacity_the_oldest_trials_go(trial: Callable[..., Path], tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        trial(seed, **SUCCESS)
        time.sleep(0.002)  # times of change are what orders them
    trials = trials_of(tmp_path / "trials", ByLabel(), capacity=30)
    trials.refresh()
    assert trials.data is not None
    assert [Path(path).name for path in trials.data.paths] == ["episode_0002", "episode_0003"]


def test_a_trial_ends_where_the_classifier_sees_success(trial: Callable[..., Path], tmp_path: Path) -> None:
    trial(1, **SUCCESS)
    trial(2, outcome="unlabelled")
    trials = trials_of(tmp_path / "trials", Third())
    assert [(item.success, item.steps) for item in trials.refresh()] == [(False, 12), (True, 2)]
    assert trials.data is not None
    assert trials.data.lengths.tolist() == [12, 2] and trials.data.successes.tolist() == [False, True]


def test_the_classifier_judges_by_frames_in_a_row() -> None:
    class Probabilities:
        def first_success(self, images: np.ndarray, task: str) -> int | None:
            return {PUT: 7, TAKE: None}[task]

    judge = ByClassifier(Probabilities())  # type: ignore[arg-type]
    images = np.zeros((13, 4, 4, 3), np.uint8)
    assert judge.judge("a", PUT, images, False) == TrialVerdict("a", PUT, True, 7, "classifier")
    assert judge.judge("b", TAKE, images, True) == TrialVerdict("b", TAKE, False, 12, "classifier")


def test_a_trial_of_a_task_that_the_classifier_does_not_know_is_left_out(
    trial: Callable[..., Path], tmp_path: Path
) -> None:
    class Narrow(Third):
        refusal = ByClassifier.refusal
        classifier = SimpleNamespace(thresholds={PUT: 0.5}, tasks=TaskTable((PUT, TAKE), 4))

    trial(1, **SUCCESS)
    trial(2, task=TAKE, **SUCCESS)
    trials = trials_of(tmp_path / "trials", Narrow())
    assert [item.episode for item in trials.refresh()] == ["episode_0001"]
    (left_out,) = trials.left_out
    assert left_out.reason == f"the classifier was not trained for {TAKE!r}; it knows: {PUT}"


# --------------------------------------------------------------------------- what is learned from them
def test_half_of_a_batch_is_online_data(start: Callable[..., OnlineLearner], trial: Callable[..., Path]) -> None:
    trial(1, **FAILURE)
    learner = start()
    learner.add_new_trials()
    for size, online in ((64, 32), (9, 4)):
        batch = learner.sample(size)
        assert len(batch) == size
        assert batch.success.tolist() == [True] * (size - online) + [False] * online
    trial_rows = learner.sample(64).task[32:]
    assert set(trial_rows.tolist()) == {learner.start.tasks.id(PUT)}


def test_a_trial_that_ran_out_of_time_bootstraps(
    start: Callable[..., OnlineLearner], trial: Callable[..., Path]
) -> None:
    trial(1, **FAILURE)
    learner = start()
    learner.add_new_trials()
    batch = learner.sample(200)
    assert set(batch.mask[100:].tolist()) == {1.0} and set(batch.reward[100:].tolist()) == {-1.0}
    assert set(batch.mc_return[100:].tolist()) == {-25.0}


def test_the_end_of_a_success_is_rewarded_and_terminal(
    start: Callable[..., OnlineLearner], trial: Callable[..., Path]
) -> None:
    trial(1, **SUCCESS)
    learner = start("online", "online.mix=1.0")
    learner.add_new_trials()
    batch = learner.sample(400)
    assert np.array_equal(batch.reward == 10.0, batch.mask == 0.0)
    assert 0.15 < (batch.mask == 0.0).mean() < 0.35  # 3 of 12 steps


def test_updates_follow_once_there_are_enough_transitions() -> None:
    trials = [TrialVerdict(str(index), PUT, index % 2 == 0, 8, "label") for index in range(4)]
    online = OnlineConfig(min_transitions=16, updates_per_transition=0.4)
    assert [updates_called_for(trials[:n], n - 1, online) for n in (1, 2, 3, 4)] == [0, 0, 4, 4]
    assert updates_called_for(trials, 0, replace(online, only_success=True)) == 0
    assert updates_called_for(trials, 0, replace(online, only_success=True, min_transitions=8)) == 4


@given(st.lists(st.integers(1, 40), max_size=8), st.integers(0, 8), st.integers(0, 60), st.floats(0, 2))
def test_how_trials_are_grouped_makes_no_difference(steps: list[int], split: int, least: int, each: float) -> None:
    trials = [TrialVerdict(str(index), PUT, True, count, "label") for index, count in enumerate(steps)]
    online = OnlineConfig(min_transitions=least, updates_per_transition=each)
    parts = updates_called_for(trials[:split], 0, online) + updates_called_for(trials, min(split, len(trials)), online)
    assert updates_called_for(trials, 0, online) == parts


def test_a_trial_brings_its_updates_and_a_checkpoint(
    start: Callable[..., OnlineLearner], trial: Callable[..., Path], finetuned: Path
) -> None:
    learner = start()
    begin = read_checkpoint(finetuned)
    original = load_algorithm(begin).modules["actor"].state_dict()
    carried = learner.algorithm.modules["actor"].state_dict()
    assert all(torch.equal(carried[key], value) for key, value in original.items())
    assert all(learner.algorithm.optimizers[name].state for name in ("actor", "critic"))  # moments carry over
    assert latest_checkpoint(learner.folder) is not None
    trial(1, **SUCCESS)
    assert learner.learn()
    assert learner.step == begin.step + 3  # a quarter of 12 steps
    assert latest_checkpoint(learner.folder).name == f"step_{learner.step:08d}"
    assert np.isfinite(learner.progress.metrics["q_data"])
    assert not learner.learn()


def test_a_run_that_diverges_ends_and_keeps_the_checkpoint_before(
    start: Callable[..., OnlineLearner], trial: Callable[..., Path]
) -> None:
    learner = start("online", "algorithm.critic_lr=1e30")
    trial(1, **SUCCESS)
    with pytest.raises(TrainingError, match="diverged"):
        learner.learn()
    assert [read_checkpoint(path).step for path in checkpoints_of(learner.folder)] == [2]


def test_trials_below_the_minimum_are_only_data(
    start: Callable[..., OnlineLearner], trial: Callable[..., Path]
) -> None:
    learner = start("online", "online.min_transitions=12")
    trial(1, **SUCCESS)
    learner.learn()
    assert (learner.step, learner.progress.transitions) == (2, 12)
    trial(2, **SUCCESS)
    learner.learn()
    assert (learner.step, learner.progress.transitions) == (5, 24)


def test_failed_trials_are_not_imitated() -> None:
    torch.manual_seed(0)
    policy = TanhGaussian(torch.randn(4, 7, requires_grad=True), torch.zeros(4, 7))
    action = torch.rand(4, 7) - 0.5
    success = torch.tensor([1.0, 0.0, 1.0, 0.0])
    for kind in ("squared", "likelihood"):
        part = imitation_loss(policy, action, kind, success)
        (gradient,) = torch.autograd.grad(part, policy.mean, retain_graph=True)
        assert gradient[success == 0].abs().max() == 0 < gradient[success == 1].abs().min()
        whole = imitation_loss(policy, action, kind)
        (every,) = torch.autograd.grad(whole, policy.mean, retain_graph=True)
        assert torch.allclose(gradient[success == 1], every[success == 1])  # the others weigh what they weighed


def test_only_so_many_checkpoints_are_kept(start: Callable[..., OnlineLearner], trial: Callable[..., Path]) -> None:
    learner = start()
    for seed in (1, 2, 3):
        trial(seed, **SUCCESS)
        learner.learn()
    assert [path.name for path in checkpoints_of(learner.folder)] == ["step_00000008", "step_00000011"]


def test_only_successes_are_sampled_when_asked(start: Callable[..., OnlineLearner], trial: Callable[..., Path]) -> None:
    learner = start("online", "online.only_success=true")
    trial(1, **FAILURE)
    learner.add_new_trials()
    assert learner.progress.transitions == 0
    trial(2, **SUCCESS)
    learner.add_new_trials()
    assert learner.progress.transitions == 12 and learner.sample(8).success.all()


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    start: Callable[..., OnlineLearner], trial: Callable[..., Path], tmp_path: Path
) -> None:
    whole = start("whole")
    recorded = []
    for seed, outcome in ((1, SUCCESS), (2, FAILURE), (3, SUCCESS)):
        recorded.append(trial(seed, **outcome))
        whole.learn()
    (tmp_path / "hidden").mkdir()
    hidden = [path.rename(tmp_path / "hidden" / path.name) for path in recorded]

    killed = start("killed")
    hidden[0].rename(recorded[0])
    killed.learn()
    hidden[1].rename(recorded[1])
    killed.add_new_trials()
    assert killed.improve() == 3  # and is killed before it has saved them
    resumed = resume_online(Trials(tmp_path / "trials"), tmp_path / "killed", cache=tmp_path / "other_cache")
    assert resumed.step == killed.step - 3
    resumed.learn()
    assert_same(resumed, killed)
    hidden[2].rename(recorded[2])
    resumed.learn()
    assert_same(resumed, whole)


def test_a_run_that_was_stopped_between_updates_does_the_rest_later(
    start: Callable[..., OnlineLearner], trial: Callable[..., Path], tmp_path: Path
) -> None:
    trial(1, **SUCCESS)
    whole = start("whole")
    whole.learn()
    stopped = start("stopped")
    stopped.learn(lambda: stopped.step == 4)
    assert (stopped.step, stopped.progress.owed) == (4, 1)
    resumed = resume_online(Trials(tmp_path / "trials"), tmp_path / "stopped", cache=tmp_path / "other_cache")
    assert resumed.learn()
    assert_same(resumed, whole)


def test_success_rate_of_the_newest_trials() -> None:
    trials = [TrialVerdict(str(index), PUT, index >= 10, 5, "label") for index in range(15)]
    assert success_rate(trials, 10) == 0.5 and success_rate(trials, 5) == 1.0
    assert np.isnan(success_rate([], 10))


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="mix is 0"):
        TrainingConfig().replaced(["online.mix=0"])


def test_the_learner_waits_for_trials_that_somebody_else_records(
    start: Callable[..., OnlineLearner], trial: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online_session, "POLL", 0.02)
    learner = start()
    watching = threading.Thread(target=watch, args=(learner, 2))
    watching.start()
    trial(1, **SUCCESS)
    trial(2, **FAILURE)
    watching.join(60)
    assert not watching.is_alive()
    assert [item.success for item in learner.trials.verdicts] == [True, False]
    assert latest_checkpoint(learner.folder).name == f"step_{learner.step:08d}"


def test_a_classifier_from_the_command_line_judges_the_trials(
    finetuned: Path, bags: Bags, trial: Callable[..., Path], tmp_path: Path
) -> None:
    def command(*words: object) -> int:
        return main([str(word) for word in words])

    done, run = tmp_path / "done", tmp_path / "online"
    begin = ("--checkpoint", finetuned, "--target", *bags.target, "--cache", bags.cache)
    assert command("train", "classifier", *begin, "--out", done, "--steps", 2, "--undo", PUT, TAKE) == 0
    assert {"classifier.json", "classifier.safetensors", "held_out.png"} == {path.name for path in done.glob("[!.]*")}
    trial(1, outcome="unlabelled")
    judged = ("--trials", tmp_path / "trials", "--classifier", done, "--until", 1)
    assert command("train", "online", *begin, "--out", run, *judged) == 0
    assert '"by": "classifier"' in (run / "verdicts.jsonl").read_text()


def test_the_command_learns_until_so_many_trials_are_judged(
    finetuned: Path, bags: Bags, trial: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trial(1, **SUCCESS)
    trial(2, **FAILURE)
    run, trials = tmp_path / "online", tmp_path / "trials"
    words = ["train", "online", "--checkpoint", finetuned, "--target", *bags.target, "--data", *bags.prior]
    words += ["--out", run, "--trials", trials, "--labels", "--until", "2", "--cache", bags.cache]
    assert main([str(word) for word in words]) == 0
    assert "2 trials" in capsys.readouterr().out
    assert (run / "metrics.jsonl").read_text().count("success_rate_10") == 1
    assert main(["train", "online", "--out", str(run), "--labels"]) == 2
    assert "--checkpoint or continues with --resume" in capsys.readouterr().err
