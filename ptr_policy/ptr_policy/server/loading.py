# SPDX-License-Identifier: Apache-2.0
"""Loading a checkpoint for serving: its contract must be the robot's, and the first decision is made here."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.training.policy import Decision, Policy
from ptr_policy.server.core import ServerError

WARM_UPS = 3  # decisions before the first real one: allocation and kernel choice are slow once


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy that is ready to act.

    Attributes:
        name: of the checkpoint's folder.
        tasks: names that it is conditioned on.
        episode_length: steps of a run when nobody says.
        warm_time: s, of one decision after warming up.
    """

    policy: Policy
    contract: Contract
    name: str
    tasks: tuple[str, ...]
    episode_length: int
    warm_time: float

    def act(
        self, image: NDArray[np.uint8], state: NDArray[np.float32], task: str, choice: str, candidates: int
    ) -> Decision:
        """See `ptr_policy.server.core.Policy.act`."""
        return self.policy.act(image, state, task, choice=choice, candidates=candidates)


def load(checkpoint: Path, contract_file: str, threads: int) -> LoadedPolicy:
    """Load a checkpoint, compare its contract with the robot's, and warm it up.

    Args:
        contract_file: JSON of the robot's contract; empty: the suite's with the checkpoint's image size.
    Raises:
        PtrError: no such checkpoint, a damaged one, or another contract.
    """
    if str(checkpoint) in ("", "."):
        raise ServerError("parameter `checkpoint` is empty; give the folder of a checkpoint")
    torch.set_num_threads(threads)
    policy = Policy.load(checkpoint)
    robot_contract(contract_file, policy.contract).require(policy.contract, f"the checkpoint {checkpoint}")
    camera = policy.contract.cameras[0]
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    state = np.zeros(len(policy.contract.proprioception), np.float32)
    tasks = tuple(policy.tasks)
    for _ in range(WARM_UPS):
        began = time.perf_counter()
        policy.act(image, state, tasks[0], choice="mode")
        warm_time = time.perf_counter() - began
    return LoadedPolicy(policy, policy.contract, checkpoint.name, tasks, 40, warm_time)


def robot_contract(path: str, wanted: Contract) -> Contract:
    """The robot's contract from a JSON file; without one the suite's, whose images come in any size.

    Args:
        wanted: the checkpoint's contract, from which the suite's takes the image size.
    """
    if path:
        try:
            return Contract.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ServerError(f"contract file {path} cannot be read: {error.strerror}") from error
    height, width = wanted.cameras[0].height, wanted.cameras[0].width
    suite = Contract()
    cameras = tuple(dataclasses.replace(camera, height=height, width=width) for camera in suite.cameras)
    return dataclasses.replace(suite, cameras=cameras)
