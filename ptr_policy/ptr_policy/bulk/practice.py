# SPDX-License-Identifier: Apache-2.0
"""Autonomous practice in simulation: trials of two tasks that undo each other, one bag each.

The acting policy is the newest checkpoint of a run that learns from these bags, in this process or another one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ptr_bringup.sim.scene_sampling import scene_seed
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.actions import MARGIN, unscale
from ptr_models.episodes.metadata import EpisodeMetadata, Label
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_models.inference.policy import Policy
from ptr_models.json_input import read_object
from ptr_models.reward.classifier import SuccessClassifier
from ptr_models.reward.success_rule import Streak
from ptr_models.training.runs import resolve_checkpoint
from ptr_policy.bulk.collect import trajectory_of
from ptr_policy.bulk.practice_scene import PracticeScene
from ptr_policy.bulk.sight import SimObservation, observe

CONSECUTIVE = 3
"""Consecutive frames in which the objects' poses must show success: the number of rewarded frames."""
ORDERS = ("classifier", "outcome", "alternate")


@dataclass(frozen=True)
class PracticeOptions:
    """Options of practice.

    Attributes:
        forward, backward: two tasks that undo each other.   kitchen: where.   seed: of all random numbers.
        max_steps: maximum control steps of a trial.
        choice: how the policy chooses, see `Policy.act`; empty: the checkpoint's way.
        noise: standard deviation of Gaussian noise on the scaled action (0: none).
        order: which task is next: `classifier`: the one with the lowest probability of success now; `outcome`: the
            other one after a success, the same after a failure; `alternate`: in turn.
        patience: failures of one task in a row after which the scene is reset (0: never); if an object can't be
            grasped where it is, further trials teach nothing.
    """

    forward: str
    backward: str
    kitchen: str
    seed: int = 0
    max_steps: int = 40
    choice: str = ""
    noise: float = 0.0
    order: str = "outcome"
    patience: int = 0


@dataclass(frozen=True)
class PracticeTrial:
    """One finished trial.

    Attributes:
        index: from 0.   judged: success according to its bag.   success: according to the objects' poses.
        steps: of the policy.   policy: updates of the checkpoint that acted.   by_hand: whether the scene was reset
            before it.
    """

    index: int
    task: str
    judged: bool
    success: bool
    steps: int
    policy: int
    by_hand: bool


class Practice:
    """Runs one trial after the other in a scene, with the newest checkpoint of a run."""

    def __init__(
        self,
        run: Path,
        bags: Path,
        scene: PracticeScene,
        options: PracticeOptions,
        classifier: SuccessClassifier | None,
        made: Sequence[PracticeTrial] = (),
    ) -> None:
        """Args:
        run: folder whose newest (or chosen) checkpoint acts, or a checkpoint.   bags: folder of the trials' bags.
        classifier: ends and judges trials; None: the objects' poses do, in place of an operator.
        made: trials of this run so far.
        """
        if options.order not in ORDERS or (options.order == "classifier" and classifier is None):
            raise PtrError(
                f"order {options.order!r} is not possible here; known: {', '.join(ORDERS)}, the first one with a "
                "success classifier only"
            )
        self._run, self._bags, self._scene, self._options = run, bags, scene, options
        self._classifier = classifier
        self.made = list(made)
        self._policy: Policy | None = None

    def next(self) -> PracticeTrial:
        """Run a trial and write its bag. The learner's random numbers in the same process are not affected."""
        index, options = len(self.made), self._options
        seed = scene_seed("practice noise", options.seed, index)
        policy = self._newest_policy()
        by_hand = self._scene.prepare(index, stuck(self.made, options.patience))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            task = self._next_task(policy, by_hand)
            seen, judged = self._act(policy, task, np.random.default_rng(seed))
        trial = PracticeTrial(
            index, task, judged, self._scene.done(task), len(seen) - 1, policy.checkpoint.step, by_hand
        )
        write_episode(self._bags, self._metadata(trial, policy), self._trajectory(seen))
        self.made.append(trial)
        return trial

    def _newest_policy(self) -> Policy:
        path = resolve_checkpoint(self._run)
        if self._policy is None or self._policy.checkpoint.path != path:
            self._policy = Policy.load(path)
            self._check(self._policy.contract)
        return self._policy

    def _check(self, contract: Contract) -> None:
        """Reject a policy that does not fit this scene or the classifier."""
        if abs(contract.period - self._scene.robot.period) > 1e-6:
            raise PtrError(
                f"the policy's control rate is {contract.control_rate:g} Hz, but the scene's is "
                f"{1 / self._scene.robot.period:g} Hz; make the scene with the policy's contract"
            )
        if self._classifier is not None and not contract.cameras:
            raise PtrError("a success classifier judges images, but this policy sees none; judge by --labels")

    def _next_task(self, policy: Policy, reset: bool) -> str:
        tasks = (self._options.forward, self._options.backward)
        if self._options.order == "classifier":
            image = observe(self._scene.robot, policy.contract).image
            return least_done(tasks, lambda task: self._judge(task)[0](image))
        return following(tasks, None if reset or not self.made else self.made[-1], self._options.order)

    def _act(self, policy: Policy, task: str, generator: np.random.Generator) -> tuple[list[SimObservation], bool]:
        """Run the policy until the task counts as done or the time is up.

        Returns:
            observations at T+1 instants, and whether the trial is judged a success.
        """
        robot, options = self._scene.robot, self._options
        done, streak = self._judge(task)
        policy.reset()
        seen: list[SimObservation] = []
        while True:
            now = observe(robot, policy.contract)
            seen.append(now)
            judged = streak.add(done(now.image))
            if len(seen) > 1 and (judged or len(seen) > options.max_steps):
                return seen, judged
            decision = policy.act(now.image, now.state, task, options.choice)
            noisy = decision.scaled + options.noise * generator.standard_normal(len(decision.scaled))
            robot.act(unscale(np.clip(noisy, -MARGIN, MARGIN), policy.contract), "policy")

    def _judge(self, task: str) -> tuple[Callable[[np.ndarray | None], float], Streak]:
        """The probability of success from an image (0 or 1 if by the objects' poses), and the rule over frames."""
        classifier = self._classifier
        if classifier is None:
            return lambda _: float(self._scene.done(task)), Streak(0.5, CONSECUTIVE)
        rule = Streak(classifier.threshold(task), classifier.consecutive)

        def probability(image: np.ndarray | None) -> float:
            return 0.0 if image is None else float(classifier.probabilities(image[None], task)[0])

        return probability, rule

    def _trajectory(self, seen: Sequence[SimObservation]) -> Trajectory:
        images = [it.images for it in seen]
        names = tuple(self._scene.robot.world.object_poses())
        return trajectory_of([it.snapshot for it in seen], names, images, "policy")

    def _metadata(self, trial: PracticeTrial, policy: Policy) -> EpisodeMetadata:
        outcome = "success" if trial.judged else "failure"
        by = "simulator" if self._classifier is None else "classifier"
        return EpisodeMetadata(
            episode_id=f"practice_{trial.index:05d}",
            task=trial.task,
            kind="trial",
            outcome=outcome,
            operator="policy",
            device=policy.checkpoint.path.name,
            robot="sim",
            kitchen=self._options.kitchen,
            contract=policy.contract.without_latencies(),  # no latency in lock-step
            start_ns=(trial.index + 1) * 100 * 10**9,
            labels=(Label(outcome, 0, by),),
            extra={"practice": dataclasses.asdict(trial)},
        )


def stuck(made: Sequence[PracticeTrial], patience: int) -> bool:
    """Whether the last `patience` trials since a reset of the scene were all failures of one task."""
    last = made[-patience:] if patience > 0 else []
    again = len({trial.task for trial in last}) == 1 and not any(trial.by_hand for trial in last[1:])
    return len(last) == patience > 0 and again and not any(trial.judged for trial in last)


def following(tasks: tuple[str, str], last: PracticeTrial | None, order: str) -> str:
    """The task after a trial: in turn, or with `outcome` the same one again after a failure."""
    if last is None:
        return tasks[0]
    if order == "outcome" and not last.judged:
        return last.task
    return tasks[1] if last.task == tasks[0] else tasks[0]


def least_done(tasks: Sequence[str], probability: Callable[[str], float]) -> str:
    """The task with the lowest probability of success in the current image; the first of equal ones."""
    return min(tasks, key=probability)


def read_made(bags: Path) -> list[PracticeTrial]:
    """The trials whose bags are in a folder, in order.

    Raises:
        PtrError: a bag is not of this practice.
    """
    found = []
    for path in sorted(bags.glob("practice_*/episode.json")):
        try:
            values = read_object(path)["extra"]["practice"]
            found.append(PracticeTrial(**values))
        except (PtrError, ValueError, KeyError, TypeError) as error:
            raise PtrError(f"{path} is not from a practice trial ({error!r}); give another --out") from error
    return found
