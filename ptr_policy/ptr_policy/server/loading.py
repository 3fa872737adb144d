# SPDX-License-Identifier: Apache-2.0
"""Loads a checkpoint for serving: checks its contract against the robot's, and that it can act."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ptr_models.contract import Contract
from ptr_models.inference.acting import ServedPolicy
from ptr_models.inference.goal import set_goal
from ptr_models.inference.loading import load_policy
from ptr_models.inference.policy import Policy
from ptr_models.latency_file import with_measured_latencies
from ptr_models.training.devices import resolve_device
from ptr_policy.server.run import RunOptions, ServerError, rehearse

WARM_UPS = 3  # decisions before the first real one: allocation and kernel selection are slow the first time
MIN_RATE, MAX_RATE = 1.0, 50.0  # Hz, supported control rates


@dataclass(frozen=True)
class LoadRequest:
    """What to load, and for which robot.

    Attributes:
        checkpoint: folder of a checkpoint or of a run, or KIND:ADDRESS of an external policy.
        new_task: task that gets a spare slot, as at the start of fine-tuning; empty: none.
        goal: bag or image file of the desired end; empty: none.
        cameras: the robot's cameras.
        contract_file: JSON of the robot's contract; empty: the suite's, with these cameras.
        latency_file: YAML of the robot's measured latencies; empty: none.
        device: auto, cpu, cuda or cuda:NUMBER.
        threads: CPU threads of inference.
    """

    checkpoint: str
    new_task: str = ""
    goal: str = ""
    cameras: tuple[str, ...] = ("over_shoulder",)
    contract_file: str = ""
    latency_file: str = ""
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Loaded:
    """A policy that is ready to act.

    Attributes:
        name: the folder, as requested.
        policy: warmed up.
        contract: the policy's, with the latencies of the robot.
        delay: s by which its observations lag behind the world.
        warning: about latencies that differ from those of its demonstrations; empty: none.
        device: where it runs.
    """

    name: str
    policy: ServedPolicy
    contract: Contract
    delay: float
    warning: str
    device: str


def load(wanted: LoadRequest) -> Loaded:
    """Load a checkpoint, compare its contract with the robot's, and warm it up.

    Raises:
        PtrError: missing or damaged checkpoint, another contract, weights that are not finite, or no such device.
    """
    if not wanted.checkpoint:
        raise ServerError("parameter `checkpoint` is empty; give the folder of a checkpoint")
    torch.set_num_threads(wanted.threads)
    device = resolve_device(wanted.device)
    policy = load_policy(wanted.checkpoint, device)
    try:
        return _ready(policy, wanted, device)
    except Exception:
        policy.close()
        raise


def _ready(policy: ServedPolicy, wanted: LoadRequest, device: str) -> Loaded:
    if isinstance(policy, Policy) and wanted.new_task:
        tasks = policy.checkpoint.tasks.extended([wanted.new_task])
        policy.checkpoint = dataclasses.replace(policy.checkpoint, tasks=tasks)
    contract = policy.contract
    if contract.objects:
        raise ServerError(
            f"the checkpoint {wanted.checkpoint} sees the poses of simulated objects, which no camera provides; use "
            "ptr sim evaluate"
        )
    robot = with_measured_latencies(robot_contract(wanted.contract_file, wanted.cameras), wanted.latency_file)
    contract.require(robot, f"the robot (for the checkpoint {wanted.checkpoint})", source=True)
    _require_servable(policy, wanted.checkpoint)
    _warm_up(policy)
    set_goal(policy, wanted.checkpoint, wanted.goal)
    return Loaded(
        name=wanted.checkpoint,
        policy=policy,
        contract=contract.with_latencies(robot),
        delay=max(contract.observation_delay, robot.observation_delay),
        warning=contract.latency_warning(robot),
        device=device,
    )


def _warm_up(policy: ServedPolicy) -> None:
    """Make a few decisions on an empty observation."""
    if isinstance(policy, Policy) and policy.by_goal_image:
        policy.goal = np.zeros(policy.contract.image_shape, np.uint8)
    known = policy.tasks[:1] or ("warm up",)
    for task in known * WARM_UPS:
        rehearse(policy, RunOptions(task, "mode", max_steps=1, max_holds=1))


def _require_servable(policy: ServedPolicy, name: str) -> None:
    rate = policy.contract.control_rate
    if not MIN_RATE <= rate <= MAX_RATE:
        raise ServerError(
            f"the checkpoint {name} has a control rate of {rate:g} Hz; {MIN_RATE:g} to {MAX_RATE:g} Hz are supported"
        )
    broken = policy.weights_not_finite() if isinstance(policy, Policy) else []
    if broken:
        raise ServerError(
            f"the checkpoint {name} has weights that are not finite ({broken[0]} and {len(broken) - 1} more); use an "
            "earlier checkpoint of its run"
        )


def robot_contract(path: str, cameras: Sequence[str]) -> Contract:
    """The robot's contract from a JSON file, or without one the suite's with these cameras."""
    if path:
        try:
            return Contract.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ServerError(f"contract file {path} cannot be read: {error.strerror}") from error
    return Contract().with_cameras(cameras)
