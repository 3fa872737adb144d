# SPDX-License-Identifier: Apache-2.0
"""Practice without a person: which task is next, a scene that nobody tidies up, a judge that learned from frames."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ptr_bringup.sim.operator import ScriptedOperator
from ptr_bringup.sim.scene_sampling import scene_seed, start_position
from ptr_bringup.sim.tasks import task_named
from ptr_models.algorithms import AlgorithmConfig
from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.reader import read_episode
from ptr_models.networks import NetworkConfig
from ptr_models.replay import open_episodes
from ptr_models.reward.classifier import SuccessClassifier
from ptr_models.reward.fitting import FitOptions, HeldOut, fit_classifier
from ptr_models.training.checkpoint import read_checkpoint
from ptr_models.training.config import ScheduleConfig, TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.run_setup import start_pretraining
from ptr_models.training.runs import latest_checkpoint
from ptr_policy.bulk.collect import collect, orders
from ptr_policy.bulk.practice import Practice, PracticeOptions, PracticeTrial, following, least_done, read_made, stuck
from ptr_policy.bulk.practice_report import show, summary
from ptr_policy.bulk.practice_scene import PracticeScene

KITCHEN, PUT, TAKE = "toykitchen2", "put_cucumber_in_pot", "take_cucumber_out_of_pot"
SMALL = TrainingConfig(
    preset="test",
    batch_size=8,
    threads=1,
    device="cpu",
    networks=NetworkConfig(encoder="tiny", image_size=64, latent=32, hidden=(16, 16, 16)),
    algorithm=AlgorithmConfig(ema_decay=0.9, bc_weight=1.0),
    schedule=ScheduleConfig(steps=2, log_every=1, checkpoint_every=100, target_from=0),
)


@pytest.fixture(scope="module")
def demonstrations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six demonstrations, three of each task."""
    root = tmp_path_factory.mktemp("demonstrations")
    collect(root, orders(6, 0, [KITCHEN], [PUT, TAKE], manner="machine"), 1, 80, 60)
    return root


@pytest.fixture(scope="module")
def run(demonstrations: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two updates: a policy that knows the tasks by name, no more."""
    folder = tmp_path_factory.mktemp("run")
    start_pretraining(SMALL, Bags((), (demonstrations,), folder / "cache"), folder).run()
    return folder


@pytest.fixture(scope="module")
def judge(run: Path, demonstrations: Path) -> tuple[SuccessClassifier, HeldOut]:
    """A classifier that was trained on four of the six demonstrations, and what it makes of the others."""
    data = open_episodes([demonstrations], Contract(), root=run / "cache", progress=False)
    options = FitOptions(steps=240, batch_size=32, rate=1e-3, opposites=((PUT, TAKE),), held_out=0.34)
    return fit_classifier(read_checkpoint(latest_checkpoint(run)), data, options)


@pytest.fixture
def scene() -> Iterator[PracticeScene]:
    """A scene with both tasks."""
    with PracticeScene(KITCHEN, PUT, TAKE, seed=3) as made:
        yield made


def trial(index: int, judged: bool, success: bool, task: str = PUT, by_hand: bool = False) -> PracticeTrial:
    """A trial of five steps."""
    return PracticeTrial(index, task, judged, success, 5, 100 + index, by_hand)


def practice(run: Path, bags: Path, scene: PracticeScene, **changes: object) -> Practice:
    """Practice of four steps a trial, judged by object poses."""
    options = PracticeOptions(PUT, TAKE, KITCHEN, seed=3, max_steps=4)
    return Practice(run, bags, scene, dataclasses.replace(options, **changes), None)


def test_the_classifier_separates_last_frames_from_early_ones(
    judge: tuple[SuccessClassifier, HeldOut], demonstrations: Path
) -> None:
    classifier, found = judge
    assert sorted(task for task, _, _ in found.curves) == [PUT, TAKE]
    for _, success, curve in found.curves:
        assert success and curve[-3:].mean() > 0.5 > curve[3:-5].mean() + 0.2
    verdicts = found.episode_verdicts(classifier)
    assert all(entry["found"] == 1 and entry["early"] == 0 for entry in verdicts.values())


def test_the_task_that_looks_least_done_is_next() -> None:
    assert least_done([PUT, TAKE], {PUT: 0.9, TAKE: 0.2}.__getitem__) == TAKE
    assert least_done([PUT, TAKE], {PUT: 0.5, TAKE: 0.5}.__getitem__) == PUT


def test_after_a_success_the_other_task_is_next_and_after_a_failure_the_same() -> None:
    failed, succeeded = trial(0, judged=False, success=True), trial(0, judged=True, success=False)
    assert following((PUT, TAKE), None, "outcome") == PUT
    assert following((PUT, TAKE), failed, "outcome") == PUT
    assert following((PUT, TAKE), succeeded, "outcome") == TAKE
    assert following((PUT, TAKE), failed, "alternate") == TAKE


def test_a_scene_in_which_nothing_succeeds_is_laid_out_anew() -> None:
    failures = [trial(index, judged=False, success=False) for index in range(3)]
    assert stuck(failures, 3) and not stuck(failures, 4) and not stuck(failures, 0)
    assert not stuck([*failures[:2], trial(2, judged=True, success=True)], 3)
    assert not stuck([*failures[:2], trial(2, judged=False, success=False, task=TAKE)], 3)
    assert not stuck([*failures[:2], trial(2, judged=False, success=False, by_hand=True)], 3)
    assert stuck([trial(0, judged=False, success=False, by_hand=True), *failures[1:]], 3)


def test_a_choice_by_classifier_needs_one(run: Path, tmp_path: Path, scene: PracticeScene) -> None:
    with pytest.raises(PtrError, match="'classifier' is not possible"):
        practice(run, tmp_path, scene, order="classifier")


def test_tasks_that_do_not_undo_each_other_are_refused() -> None:
    for other in (PUT, "put_cucumber_on_plate", "take_pear_out_of_pot"):
        with pytest.raises(PtrError, match="do not undo each other"):
            PracticeScene(KITCHEN, PUT, other, 0)
    with pytest.raises(PtrError, match="castle"):
        PracticeScene("castle", PUT, TAKE, 0)


def test_what_one_trial_leaves_is_where_the_next_begins(scene: PracticeScene) -> None:
    assert scene.prepare(0)
    robot = scene.robot
    operator = ScriptedOperator(task_named(PUT), robot.world.drop_spot, 0)
    while not operator.done:
        robot.act(operator.act(robot.commanded, robot.world.gripper, robot.world.scene()))
    assert scene.done(PUT) and not scene.done(TAKE)
    before = robot.world.scene().object_position
    assert not scene.prepare(1)
    assert np.allclose(robot.world.scene().object_position, before, atol=0.005)
    wanted = start_position(scene_seed("practice start", 3, 1))
    assert np.allclose(robot.world.tool_pose.position, wanted, atol=0.015)
    assert scene.by_hand == 1


def test_only_an_object_out_of_reach_is_brought_back_by_hand(scene: PracticeScene) -> None:
    scene.prepare(0)
    world = scene.robot.world
    place = world.model.joint("object").qposadr[0]
    world.data.qpos[place : place + 2] = [0.40, 0.45]
    world.step(world.joint_positions, world.finger)
    assert not scene.within_reach()
    assert scene.prepare(1) and scene.within_reach()
    assert scene.by_hand == 2
    assert not scene.prepare(2) and scene.prepare(3, reset=True)
    assert scene.by_hand == 3


def test_a_trial_is_a_bag_that_says_who_acted_and_who_judged(run: Path, tmp_path: Path, scene: PracticeScene) -> None:
    made = practice(run, tmp_path, scene).next()
    episode = read_episode(tmp_path / "practice_00000", Contract())
    about = episode.metadata
    assert (about.kind, about.task, about.outcome, about.operator) == ("trial", PUT, "failure", "policy")
    assert (about.device, about.labels[0].annotator) == ("step_00000002", "simulator")
    assert len(episode) == made.steps == 4
    assert read_made(tmp_path) == [made]


def test_the_bag_holds_the_frames_that_the_classifier_saw(
    run: Path, tmp_path: Path, scene: PracticeScene, judge: tuple[SuccessClassifier, HeldOut]
) -> None:
    classifier = judge[0]
    shown: list[np.ndarray] = []

    class Watching(SuccessClassifier):
        def probabilities(self, images: np.ndarray, task: str) -> np.ndarray:
            shown.extend(images)
            return super().probabilities(images, task)

    watching = Watching(**{item.name: getattr(classifier, item.name) for item in dataclasses.fields(classifier)})
    options = PracticeOptions(PUT, TAKE, KITCHEN, max_steps=4)
    made = Practice(run, tmp_path, scene, options, watching).next()
    frames = read_episode(tmp_path / "practice_00000", Contract()).images["over_shoulder"]
    assert np.array_equal(np.stack(shown), frames)
    assert made.judged == (classifier.first_success(frames, PUT) is not None)


def test_practice_and_learning_alternate_and_go_on_after_an_interruption(
    run: Path, demonstrations: Path, tmp_path: Path
) -> None:
    def practise(trials: int, *words: object) -> int:
        fixed = ["sim", "practice", "--task", PUT, "--reset", TAKE, "--kitchen", KITCHEN, "--max-steps", 6]
        fixed += ["--out", tmp_path / "online", "--labels", "--learn", "--cache", tmp_path / "cache"]
        return main([str(word) for word in (*fixed, "--trials", trials, *words)])

    fast = ["--set", "online.min_transitions=6", "--set", "online.updates_per_transition=0.34"]
    assert practise(2, "--checkpoint", run, "--target", demonstrations, *fast) == 0
    assert latest_checkpoint(tmp_path / "online").name == "step_00000005"  # 2, and 3 for the second trial
    assert practise(3, "--resume") == 0
    assert latest_checkpoint(tmp_path / "online").name == "step_00000008"
    made = read_made(tmp_path / "online" / "trials")
    assert [item.policy for item in made] == [2, 2, 5]
    assert [item.by_hand for item in made] == [True, False, True]
    assert json.loads((tmp_path / "online" / "practice.json").read_text())["trials"] == 3


def test_the_report_counts_blocks_of_each_task_and_the_judges_errors(capsys: pytest.CaptureFixture[str]) -> None:
    trials = [trial(index, judged=index % 2 == 0, success=index < 6, by_hand=index == 0) for index in range(12)]
    trials += [trial(12, True, True, TAKE)]
    found = summary(trials)
    blocks = found["tasks"][PUT]
    assert [(block["trials"], block["successes"]) for block in blocks] == [(10, 6), (2, 0)]
    assert blocks[0]["wilson_95"] == pytest.approx([0.3127, 0.8318], abs=1e-4)
    assert blocks[0]["policies"] == [100, 109]
    assert (found["false_successes"], found["missed_successes"], found["by_hand"]) == (3, 3, 1)
    show(trials)
    assert "6/10" in capsys.readouterr().out
