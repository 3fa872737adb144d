# SPDX-License-Identifier: Apache-2.0
"""A policy's observation of a simulated robot: its contract's image and state, as from a bag or live buffers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptr_bringup.sim.cameras import CAMERAS
from ptr_bringup.sim.robot import SimulatedRobot, Snapshot
from ptr_bringup.sim.world import World
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.object_features import OBJECTS, features_of
from ptr_models.episodes.sampling import decode_image
from ptr_models.episodes.trajectory import encode_jpeg


@dataclass(frozen=True)
class SimObservation:
    """The robot at the start of a control step, and the policy's observation of it.

    Attributes:
        snapshot: full state of the robot and the scene.
        images: JPEG by camera; empty: the contract has no cameras.
        image: (H, W, 3 * cameras) uint8 RGB at the contract's size, or None.   state: (S,) float32.
    """

    snapshot: Snapshot
    images: dict[str, bytes]
    image: NDArray[np.uint8] | None
    state: NDArray[np.float32]


def observe(robot: SimulatedRobot, contract: Contract) -> SimObservation:
    """Observe the robot. Images pass through JPEG and the contract's resize, as on the real robot."""
    snapshot = robot.observe([camera.name for camera in contract.cameras])
    state = snapshot.state
    if contract.objects:
        state = np.concatenate([state, features_of(contract, snapshot.objects[:OBJECTS])])
    images = {name: encode_jpeg(image) for name, image in snapshot.images.items()}
    views = [decode_image(images[camera.name], camera) for camera in contract.cameras]
    return SimObservation(snapshot, images, np.concatenate(views, axis=-1) if views else None, state.astype(np.float32))


def robot_for(
    world: World, contract: Contract, width: int = 320, height: int = 240, command_delay: float = 0.0
) -> SimulatedRobot:
    """A simulated robot with the contract's control rate and cameras.

    Raises:
        PtrError: the simulator does not support the rate or the delay, or has no such camera.
    """
    unknown = [camera.name for camera in contract.cameras if camera.name not in CAMERAS]
    if unknown:
        raise PtrError(f"there is no simulated camera {unknown[0]!r}; known: {', '.join(CAMERAS)}")
    try:
        return SimulatedRobot(world, width, height, contract.period, command_delay)
    except ValueError as error:
        raise PtrError(str(error)) from error
