# SPDX-License-Identifier: Apache-2.0
"""The goal image of a policy, from a bag or an image file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.sampling import decode_image
from ptr_models.inference.acting import ServedPolicy
from ptr_models.inference.policy import Policy
from ptr_models.training.tasks import GOAL_IMAGE


class GoalError(PtrError):
    """A goal image can't be used."""


def set_goal(policy: ServedPolicy, name: str, goal: str) -> None:
    """Give a policy the image of the desired end state.

    Args:
        name: of the policy, for errors.
        goal: folder of a bag, or an image file; empty: no goal.
    Raises:
        GoalError: the policy does not use goal images, or the path has none.
        PtrError: the bag follows another contract, or can't be read.
    """
    kind = policy.conditioning if isinstance(policy, Policy) else "of its own"
    if goal and kind != GOAL_IMAGE:
        raise GoalError(
            f"{goal} is a {GOAL_IMAGE}, but the policy {name} has task_conditioning {kind}; omit the goal (--goal, "
            f"the parameter `goal`), or use a policy trained with data.task_conditioning={GOAL_IMAGE}"
        )
    if isinstance(policy, Policy):
        policy.goal = read_goal(Path(goal).expanduser(), policy.contract) if goal else None
        policy.goal_name = goal


def read_goal(path: Path, contract: Contract) -> NDArray[np.uint8]:
    """The desired end state as the networks see it: (H, W, 3 * cameras) uint8 RGB.

    Args:
        path: folder of a bag, of which the last image of each camera is used, or a JPEG or PNG for a single camera.
    """
    if not path.exists():
        raise GoalError(f"the goal {path} does not exist; give a bag or an image file (.png, .jpg)")
    if path.is_dir():
        images = read_episode(path, contract).images
        return np.concatenate([images[camera.name][-1] for camera in contract.cameras], axis=-1)
    if len(contract.cameras) != 1:
        names = ", ".join(camera.name for camera in contract.cameras)
        raise GoalError(f"{path} is one image, but the policy uses the cameras {names}; give a bag, which has them all")
    try:
        return decode_image(path.read_bytes(), contract.cameras[0])
    except OSError as error:
        raise GoalError(f"the goal {path} cannot be read: {error.strerror}") from error
