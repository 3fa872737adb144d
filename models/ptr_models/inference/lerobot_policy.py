# SPDX-License-Identifier: Apache-2.0
"""Run a LeRobot policy (ACT, Diffusion, SmolVLA, ...: https://github.com/huggingface/lerobot) in this process.

Observations go through the policy's own pre-processor and actions through its post-processor, which LeRobot 0.4 saves
along with the weights.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.exchange.lerobot import layout
from ptr_models.inference.chunks import ChunkedPolicy, Image, Vector
from ptr_models.inference.lerobot_features import Features, cameras_of, contract_of, read_features, trained_contract
from ptr_models.inference.lerobot_loading import LeRobotError, Loaded, load, policy_folder
from ptr_models.inference.policy_file import PolicyFile


@dataclass(frozen=True)
class LeRobotFile(PolicyFile):
    """The YAML file of such a policy. Empty `images`: use the policy's own names.

    Attributes:
        policy: its folder.
        dataset: folder of its training data set; empty: as in its training config, if it exists here.
    """

    state: str = layout.STATE
    policy: str = ""
    dataset: str = ""


class LeRobotPredictor:
    """The policy's actions for one observation at a time.

    Args:
        images: the policy's image by camera of the contract.
        state: the policy's name of the state.
    Attributes:
        steps: actions of a chunk; 0: the policy uses a history of observations and must be called in each step.
    """

    def __init__(
        self, loaded: Loaded, features: Features, contract: Contract, images: dict[str, str], state: str = layout.STATE
    ) -> None:
        """Try it once.

        Raises:
            LeRobotError: it fails on an observation of its own features.
        """
        self._loaded, self._features, self._contract = loaded, features, contract
        self._images, self._state = images, state
        self.steps = self._try()

    @property
    def contract(self) -> Contract:
        """The contract that the policy was trained for."""
        return self._contract

    def predict(self, image: Image | None, state: Vector, task: str) -> NDArray[np.float32]:
        """Actions (h, 7) in the contract's units.

        Raises:
            LeRobotError: the policy failed.
        """
        try:
            return self._predict(image, state, task, whole=self.steps > 0)
        except Exception as error:  # the policy can raise anything
            raise LeRobotError(f"the policy failed: {type(error).__name__}: {error}") from error

    def reset(self) -> None:
        """Forget the history of observations."""
        self._loaded.policy.reset()

    def close(self) -> None:
        """Does nothing: there is nothing to release."""

    def _try(self) -> int:
        """Steps of a chunk; 0 if the policy predicts none without a history."""
        image = np.zeros(self._contract.image_shape, np.uint8) if self._images else None
        state = np.zeros(len(self._contract.state), np.float32)
        try:
            if getattr(self._loaded.policy.config, "n_obs_steps", 1) == 1:
                with contextlib.suppress(Exception):  # policies with their own history, e.g. Diffusion
                    return len(self._predict(image, state, "try", whole=True))
            self._predict(image, state, "try", whole=False)
            return 0
        except Exception as error:  # the policy can raise anything
            raise LeRobotError(f"the policy fails on its own features: {type(error).__name__}: {error}") from error
        finally:
            self.reset()

    def _predict(self, image: Image | None, state: Vector, task: str, whole: bool) -> NDArray[np.float32]:
        with torch.inference_mode():
            seen = self._loaded.before(self._observation(image, state, task))
            policy = self._loaded.policy
            actions = policy.predict_action_chunk(seen) if whole else policy.select_action(seen)[:, None]
            found = [self._loaded.after(actions[:, step])[0] for step in range(actions.shape[1])]
        return torch.stack(found).float().cpu().numpy()

    def _observation(self, image: Image | None, state: Vector, task: str) -> dict[str, Any]:
        """One batch as in LeRobot's own loop: images (1, 3, H, W) in [0, 1], states (1, S)."""
        count = len(self._contract.proprioception)
        seen: dict[str, Any] = {"task": task.replace("_", " ")}
        if self._features.state:
            seen[self._state] = torch.from_numpy(np.array(state[:count], np.float32))[None]
        if self._features.environment:
            seen[layout.ENVIRONMENT] = torch.from_numpy(np.array(state[count:], np.float32))[None]
        if image is None:
            return seen
        for index, camera in enumerate(self._contract.cameras):
            name = self._images[camera.name]
            height, width = self._features.images[name]
            view = np.ascontiguousarray(image[..., 3 * index : 3 * index + 3])
            if view.shape[:2] != (height, width):
                view = np.asarray(cv2.resize(view, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            seen[name] = torch.from_numpy(view).permute(2, 0, 1)[None].float() / 255.0
        return seen


def open_policy(address: str, device: str = "cpu") -> ChunkedPolicy:
    """Open the policy in a folder, or the one described by a YAML file.

    Raises:
        PtrError: it does not fit, or LeRobot is not installed or can't load it.
    """
    path = Path(address)
    file = LeRobotFile.read(path) if path.is_file() else LeRobotFile(policy=address)
    if not file.policy:
        raise LeRobotError(f"{path} names no policy; write `policy: FOLDER`")
    folder = policy_folder(file.folder / file.policy)
    features = read_features(folder, file.state)
    dataset = file.folder / file.dataset if file.dataset else None
    usual = file.contract_or(Contract()) if file.contract else trained_contract(folder, dataset)
    images = cameras_of(features, file.images, usual)
    contract = contract_of(features, images, usual)
    loaded = load(folder, device)
    predictor = LeRobotPredictor(loaded, features, contract, images, file.state)
    if not predictor.steps:
        if file.chunks:
            raise LeRobotError(
                f"{path}: a {features.kind} policy acts on a history of observations, step by step; leave out "
                f"{', '.join(file.chunks)}"
            )
        return file.acting(predictor, file.chunk_options(execute=1), stepwise=True)
    config, lead = loaded.policy.config, file.chunks.get("lead", 0)
    longest = predictor.steps - (lead if isinstance(lead, int) else 0)
    execute = max(1, min(getattr(config, "n_action_steps", longest), longest))
    ensemble = getattr(config, "temporal_ensemble_coeff", None)
    return file.acting(predictor, file.chunk_options(execute=execute, ensemble=ensemble))
