# SPDX-License-Identifier: Apache-2.0
"""A trained policy: one observation in, one action with its value out.

A policy that was trained on chunks predicts and values h actions at once. `ptr_models.inference.chunks` executes them
step by step, as for external policies.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ptr_models.algorithms import ActionDistribution
from ptr_models.algorithms.config import CHOICES
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.actions import MARGIN, scale, unscale
from ptr_models.inference.acting import Decision
from ptr_models.inference.chunks import Chunk, ChunkExecutor, ChunkOptions
from ptr_models.inference.history import History
from ptr_models.networks import BehaviorTransformer, Critic
from ptr_models.replay.goals import with_goals
from ptr_models.training.checkpoint import Checkpoint, CheckpointError, load_algorithm, read_checkpoint
from ptr_models.training.q_range import QRange
from ptr_models.training.representation import next_of_features
from ptr_models.training.tasks import GOAL_IMAGE

NO_IMAGE = np.empty((0, 0, 0), np.uint8)
"""The image for a contract without cameras."""


@dataclass(frozen=True)
class _Choice:
    """A scaled action (7,), or a chunk (7 h,), and its values as in `Decision`."""

    scaled: NDArray[np.float32]
    q: float
    q_spread: float
    q_mode: float


class Policy:
    """Actor and critic of a checkpoint, ready to act.

    An actor with a window (the Behavior Transformer) keeps a history: call `reset` at the start of an episode.

    Attributes:
        goal: (H, W, 3 * cameras) uint8 RGB of the desired end state, if the task is a goal image; `goal_name` is its
            source.
    """

    def __init__(self, checkpoint: Checkpoint, actor: nn.Module, critic: Critic | None, device: torch.device) -> None:
        """Use `Policy.load` unless you already have the networks."""
        self.checkpoint = checkpoint
        self.goal: NDArray[np.uint8] | None = None
        self.goal_name = ""
        self._actor, self._critic, self._device = actor.eval(), critic.eval() if critic else None, device
        self._history = History(actor) if isinstance(actor, BehaviorTransformer) else None
        config = checkpoint.config.algorithm
        options = ChunkOptions(config.executed, config.chunk_lead, config.chunk_ensemble)
        self._executor = ChunkExecutor(options, self._predict) if config.chunk > 1 else None

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> Policy:
        """Read a checkpoint folder; the averaged actor is used if there is one.

        Raises:
            CheckpointError: it is missing, damaged, does not fit its configuration, or has no trained policy.
        """
        checkpoint = read_checkpoint(path)
        if checkpoint.config.algorithm.next_algorithm:
            raise CheckpointError(
                f"{checkpoint.path} holds visual features without a policy ({checkpoint.config.algorithm.name}); "
                f"{next_of_features(checkpoint.config)}"
            )
        algorithm = load_algorithm(checkpoint, replace(checkpoint.config, device=device))
        actor = algorithm.modules.get("average_actor", algorithm.actor)
        return cls(checkpoint, actor, algorithm.critic, torch.device(device))

    @property
    def contract(self) -> Contract:
        """The observations and actions that the policy requires."""
        return self.checkpoint.contract

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the known tasks."""
        return self.checkpoint.tasks.names

    @property
    def conditioning(self) -> str:
        """How its task is given: one_hot, language or goal_image."""
        return self.checkpoint.tasks.conditioning

    @property
    def by_goal_image(self) -> bool:
        """Whether its task is given as a goal image."""
        return self.conditioning == GOAL_IMAGE

    @property
    def chunk(self) -> int:
        """h, number of actions per chunk."""
        return self.checkpoint.config.algorithm.chunk

    @property
    def has_values(self) -> bool:
        """Whether it has a Q-function; without one all values are NaN."""
        return self._critic is not None

    def weights_not_finite(self) -> list[str]:
        """Names of the weights of actor and critic that hold a NaN or an infinity."""
        modules = {"actor": self._actor, "critic": self._critic}
        return [
            f"{name}.{key}"
            for name, module in modules.items()
            if module is not None
            for key, value in module.state_dict().items()
            if value.is_floating_point() and not bool(value.isfinite().all())
        ]

    def q_range(self, task: str) -> QRange | None:
        """The range of Q along the demonstrations of a task; None: not in the checkpoint."""
        return self.checkpoint.q_ranges.get(self.checkpoint.tasks.canonical(task))

    def reset(self) -> None:
        """Forget the history; call it when a new episode starts."""
        if self._history is not None:
            self._history.clear()
        if self._executor is not None:
            self._executor.reset()

    def close(self) -> None:
        """Stop the thread that predicts chunks, if there is one."""
        if self._executor is not None:
            self._executor.close()

    def act(
        self,
        image: NDArray[np.uint8] | None,
        state: NDArray[np.float32],
        task: str,
        choice: str = "",
        candidates: int = 0,
    ) -> Decision:
        """Decide for one observation.

        Args:
            image: (H, W, 3 * cameras) uint8 RGB at the contract's size; None if it has no cameras.
            state: (S,) the contract's state.
            task: name; aliases of the table are allowed.
            choice: `mode`: tanh of the mean (PTR's); `sample`; `sample_gripper`: the mode in all dimensions but the
                gripper, which is sampled (see the actors' distributions); `argmax_q`: the best of the mode and
                `candidates - 1` samples by the smallest critic; `softmax_q`: one of them with probability softmax(Q);
                empty: the checkpoint's default. With chunks, whole chunks are sampled, valued and chosen.
            candidates: number of actions among which the Q-function chooses; 0: the checkpoint's.
        Returns:
            with chunks, `q` and `q_spread` are those of the executed chunk at the step of its prediction; `q_mode` is
            that of a chunk starting now.
        Raises:
            TaskError: the task is unknown; the message lists the known ones.
            PtrError: the image or state has another shape, the choice is unknown, or there is no goal image.
        """
        begin = time.perf_counter()
        choice = choice or self.checkpoint.config.algorithm.action_choice
        candidates = candidates or self.checkpoint.config.algorithm.candidates
        image = NO_IMAGE if image is None else image
        self._check(image, state, choice)
        if self._executor is None:
            decided = self._choose(image, state, task, choice, candidates)
            action, scaled = unscale(decided.scaled, self.contract), decided.scaled
            q, q_spread, q_mode = decided.q, decided.q_spread, decided.q_mode
        else:
            action, chunk = self._executor.next(image, state, task, choice, candidates)
            scaled, q, q_spread = scale(action, self.contract), chunk.q, chunk.q_spread
            q_mode = self._choose(image, state, task, "mode", 1).q_mode if self.has_values else math.nan
        return Decision(action, scaled, q, q_spread, q_mode, time.perf_counter() - begin)

    def _predict(self, image: NDArray[np.uint8], state: NDArray[np.float32], task: str, *choice: Any) -> Chunk:
        """Choose a whole chunk of actions; runs in the executor's thread."""
        decided = self._choose(image, state, task, *choice)
        actions = unscale(decided.scaled.reshape(self.chunk, -1), self.contract)
        return Chunk(actions, decided.q, decided.q_spread)

    @torch.no_grad()
    def _choose(
        self, image: NDArray[np.uint8], state: NDArray[np.float32], task: str, choice: str, candidates: int
    ) -> _Choice:
        """Choose one of the policy's actions, or chunks, for an observation."""
        pixels, proprioception, told = self._tensors(image[None], state[None], task)
        policy = self._distribution(pixels, proprioception, told)
        actions = policy.mode.unsqueeze(1)
        if choice == "sample_gripper":
            actions = torch.cat([actions, policy.sample_gripper().unsqueeze(1)], dim=1)
        elif choice != "mode":
            extra = 1 if choice == "sample" else candidates - 1
            actions = torch.cat([actions, policy.sample(extra)[0]], dim=1)
        actions = actions.clamp(-MARGIN, MARGIN)
        values = self._values(pixels, proprioception, told, actions)
        index = _choose(choice, values)
        low, high = values.min(dim=0).values, values.max(dim=0).values
        return _Choice(
            scaled=actions[0, index].cpu().numpy(),
            q=float(low[index]),
            q_spread=float(high[index] - low[index]),
            q_mode=float(low[0]),
        )

    @torch.no_grad()
    def values(
        self,
        images: NDArray[np.uint8],
        states: NDArray[np.float32],
        scaled_actions: NDArray[np.float32],
        task: str,
    ) -> NDArray[np.float32]:
        """Q of given actions, per critic.

        Args:
            images: (T, H, W, 3 * cameras), or followed by goals (T, H, W, 6 * cameras).   states: (T, S).
            scaled_actions: (T, A), or (T, N, A): N actions for each observation. A is 7, or 7 h for chunks (see
                `episodes.actions.scale_chunks`).
        Returns:
            (E, T) or (E, T, N).
        Raises:
            PtrError: there is no critic, or the actions have another width.
        """
        if self._critic is None:
            name = self.checkpoint.config.algorithm.name
            raise PtrError(f"the checkpoint {self.checkpoint.path} has no Q-function (algorithm {name})")
        pixels, proprioception, told = self._tensors(images, states, task)
        actions = torch.from_numpy(np.array(scaled_actions, dtype=np.float32)).to(self._device)
        several = actions if actions.dim() == 3 else actions.unsqueeze(1)
        if several.shape[-1] != (width := self.chunk * len(self.contract.action)):
            raise PtrError(
                f"the actions have {several.shape[-1]} numbers, but the Q-function of {self.checkpoint.path} values "
                f"{width}: chunks of {self.chunk} steps"
            )
        q = self._critic.q(self._critic.encode(pixels, proprioception), told, several)
        return (q if actions.dim() == 3 else q[..., 0]).cpu().numpy()

    @torch.no_grad()
    def modes(self, images: NDArray[np.uint8], states: NDArray[np.float32], task: str) -> NDArray[np.float32]:
        """Scaled modes (T, A) of the policy at T consecutive observations of one episode."""
        seen = self._tensors(images, states, task)
        policy = self._actor(*seen) if self._history is None else self._history.along(*seen)
        return policy.mode.clamp(-MARGIN, MARGIN).cpu().numpy()

    def _distribution(self, pixels: Tensor, state: Tensor, told: Tensor) -> ActionDistribution:
        """The distribution for the present observation, and for its history if the actor has a window."""
        if self._history is None:
            return self._actor(pixels, state, told)
        return self._history.next(pixels, state, told)

    @torch.no_grad()
    def samples(
        self, images: NDArray[np.uint8], states: NDArray[np.float32], task: str, count: int, seed: int = 0
    ) -> NDArray[np.float32]:
        """Scaled actions (T, count, A) sampled from the policy for T observations; determined by the seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            drawn = self._actor(*self._tensors(images, states, task)).sample(count)[0]
        return drawn.clamp(-MARGIN, MARGIN).cpu().numpy()

    def _tensors(
        self, images: NDArray[np.uint8], states: NDArray[np.float32], task: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        table = self.checkpoint.tasks
        told = torch.from_numpy(table.vector(task)).expand(len(images), -1)
        pixels = torch.from_numpy(np.array(self._with_goal(images)))  # a copy: a memory-mapped array is read-only
        proprioception = torch.from_numpy(np.array(states, dtype=np.float32))
        return pixels.to(self._device), proprioception.to(self._device), told.to(self._device)

    def _with_goal(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Images as the encoder expects them: each followed by the goal, if there is one."""
        channels = self.contract.image_shape[-1]
        if not self.by_goal_image:
            return images[..., :channels]
        if images.shape[-1] == 2 * channels:
            return images
        if self.goal is None:
            raise PtrError(
                f"the checkpoint {self.checkpoint.path} has task_conditioning {GOAL_IMAGE} and needs a goal; give a "
                "bag whose last image shows the desired end, or an image file (--goal, or goal:= in a launch file)"
            )
        return with_goals(images, self.goal)

    def _values(self, pixels: Tensor, state: Tensor, told: Tensor, actions: Tensor) -> Tensor:
        """(E, M) values of the candidates (1, M, A); NaN without a critic."""
        if self._critic is None:
            return torch.full((1, actions.shape[1]), torch.nan)
        return self._critic.q(self._critic.encode(pixels, state), told, actions)[:, 0].cpu()

    def _check(self, image: NDArray[np.uint8], state: NDArray[np.float32], choice: str) -> None:
        wanted = self.contract.image_shape
        if image.shape != wanted or image.dtype != np.uint8:
            raise PtrError(f"the image is {image.dtype} {image.shape}; the policy needs uint8 {wanted}")
        if np.shape(state) != (len(self.contract.state),):
            raise PtrError(f"the state has shape {np.shape(state)}; required: ({len(self.contract.state)},)")
        if choice not in CHOICES:
            raise PtrError(f"unknown choice {choice!r}; known: {', '.join(CHOICES)}")
        if self._critic is None and choice.endswith("_q"):
            others = ", ".join(name for name in CHOICES if not name.endswith("_q"))
            raise PtrError(f"choice {choice!r} needs a Q-function; this checkpoint has none, use one of {others}")


def _choose(choice: str, values: Tensor) -> int:
    """Index of the chosen candidate; values (E, M), candidate 0 is the mode."""
    pessimistic = values.min(dim=0).values
    if choice == "argmax_q":
        return int(pessimistic.argmax())
    if choice == "softmax_q":
        return int(torch.multinomial(pessimistic.softmax(dim=0), 1))
    return 0 if choice == "mode" else 1
