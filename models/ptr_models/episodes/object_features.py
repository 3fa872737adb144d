# SPDX-License-Identifier: Apache-2.0
"""Features of simulated objects that a policy can observe instead of images.

They are computed from the poses of a ptr_msgs/ObjectStates: the first is the task's item (or a door's handle), the
second its target, a receptacle (or a door).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ptr_models.contract import OBJECT_FEATURES, Contract

OBJECTS = 2
"""Number of objects with features: item and target."""


def object_features(poses: ArrayLike) -> NDArray[np.float64]:
    """All OBJECT_FEATURES, in that order.

    An item looks the same after half a turn, so its heading enters as sine and cosine of twice the yaw.

    Args:
        poses: (..., 2, 7) of item and target in base_link: position (m), quaternion x y z w.
    Returns:
        (..., 10).
    """
    poses = np.asarray(poses, dtype=np.float64)
    x, y, z, w = np.moveaxis(poses[..., 3:], -1, 0)
    yaws = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z)) * np.array([2.0, 1.0])
    features = np.concatenate([poses[..., :3], np.sin(yaws)[..., None], np.cos(yaws)[..., None]], axis=-1)
    return features.reshape(*poses.shape[:-2], len(OBJECT_FEATURES))


def features_of(contract: Contract, poses: ArrayLike) -> NDArray[np.float64]:
    """The features (..., F) of a contract, in its order; `poses` as in `object_features`."""
    return object_features(poses)[..., [OBJECT_FEATURES.index(name) for name in contract.objects]]
