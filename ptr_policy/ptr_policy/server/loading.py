# SPDX-License-Identifier: Apache-2.0
"""Loading a checkpoint for serving: its contract must be the robot's."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from ptr_models.contract import Contract
from ptr_models.training.policy import Policy
from ptr_policy.server.core import RunOptions, ServerError, rehearse

WARM_UPS = 3  # decisions before the first real one: allocation and the choice of kernels are slow once


def load_policy(checkpoint: str, contract_file: str, threads: int, new_task: str = "") -> Policy:
    """Load a checkpoint, compare its contract with the robot's, and warm it up.

    Args:
        checkpoint: its folder.
        contract_file: JSON of the robot's contract; empty: the suite's, with the checkpoint's image size.
        threads: of inference.
        new_task: gets a spare slot, where fine-tuning would begin; empty: none.
    Raises:
        PtrError: no such checkpoint, a damaged one, or another contract.
    """
    if not checkpoint:
        raise ServerError("parameter `checkpoint` is empty; give the folder of a checkpoint")
    torch.set_num_threads(threads)
    policy = Policy.load(checkpoint)
    if new_task:
        tasks = policy.checkpoint.tasks.extended([new_task])
        policy.checkpoint = dataclasses.replace(policy.checkpoint, tasks=tasks)
    robot_contract(contract_file, policy.contract).require(policy.contract, f"the checkpoint {checkpoint}")
    for task in policy.tasks[:1] * WARM_UPS:
        rehearse(policy, RunOptions(task, "mode", max_steps=1, max_holds=1))
    return policy


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
