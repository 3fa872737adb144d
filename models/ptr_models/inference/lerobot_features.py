# SPDX-License-Identifier: Apache-2.0
"""Convert the features in a LeRobot policy's config.json to a contract of the suite.

The config has names and shapes of features, but no units and no rate. These come from the policy's training data set,
if it is available.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptr_models.contract import OBJECT_FEATURES, Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.exchange.lerobot import layout
from ptr_models.exchange.lerobot.mapping import columns, contract_at
from ptr_models.inference.policy_file import PolicyFileError
from ptr_models.json_input import read_object
from ptr_models.typed_values import require_type

LOGGER = logging.getLogger(__name__)
CONFIG, TRAINING = "config.json", "train_config.json"
FILL_IN = ("smolvla", "pi0", "pi05", "pi0_fast")
"""Types of policies that fill in missing images, so not every image needs a camera."""


@dataclass(frozen=True)
class Features:
    """Names and shapes of a policy's inputs and outputs.

    Attributes:
        kind: type of the policy, `act` for example.
        images: height and width by name.
        state, environment, action: size of each; 0: absent.
        others: names of further inputs.
    """

    kind: str
    images: dict[str, tuple[int, int]]
    state: int
    environment: int
    action: int
    others: tuple[str, ...]


def read_features(folder: Path, state: str = layout.STATE) -> Features:
    """Read config.json.

    Args:
        state: the policy's name of its state.
    Raises:
        PolicyFileError: it can't be read, or has no features.
    """
    path = folder / CONFIG
    config = read_object(path, PolicyFileError, finite=False)
    inputs, outputs = _shapes(config, "input_features", path), _shapes(config, "output_features", path)
    images = {name: (shape[1], shape[2]) for name, (kind, shape) in inputs.items() if kind == "VISUAL"}
    numbers = {name: shape[0] for name, (kind, shape) in inputs.items() if kind != "VISUAL" and len(shape) == 1}
    known = {state, layout.ENVIRONMENT, *images}
    return Features(
        kind=str(config.get("type")),
        images=images,
        state=numbers.get(state, 0),
        environment=numbers.get(layout.ENVIRONMENT, 0),
        action=outputs[layout.ACTION][1][0] if layout.ACTION in outputs else 0,
        others=tuple(name for name in inputs if name not in known),
    )


def _shapes(config: Mapping[str, Any], key: str, path: Path) -> dict[str, tuple[str, list[int]]]:
    """Type and shape by name; those of images are channels, height, width."""
    require_type(dict[str, dict[str, Any]], config.get(key), f"{path}: {key}", PolicyFileError)
    found = {}
    for name, feature in config[key].items():
        kind, shape = str(feature.get("type")), feature.get("shape")
        require_type(
            tuple[int, ...],
            tuple(shape) if isinstance(shape, list) else shape,
            f"{path}: shape of {name}",
            PolicyFileError,
        )
        if len(shape) != (3 if kind == "VISUAL" else 1) or min(shape) < 1 or (kind == "VISUAL" and shape[0] != 3):
            raise PolicyFileError(f"{path}: {name} has the shape {shape}; known are images (3, height, width) and rows")
        found[name] = (kind, shape)
    return found


def cameras_of(features: Features, told: Mapping[str, str], usual: Contract) -> dict[str, str]:
    """The policy's image by camera.

    Args:
        told: `images` in the policy's YAML file; may be empty.
        usual: contract whose first camera is used for a single image of another name.
    Raises:
        PolicyFileError: the policy does not have an image of this name, or one of its images has no camera.
    """
    shown = ", ".join(features.images) or "none"
    if unknown := [name for name in told.values() if name not in features.images]:
        raise PolicyFileError(f"the policy has no image {unknown[0]!r}; it has: {shown}")
    if told:
        open_ones = [name for name in features.images if name not in told.values()]
        if open_ones and features.kind not in FILL_IN:
            raise PolicyFileError(
                f"the policy also sees {open_ones[0]}; say in its file which camera that is: `images: {{CAMERA: "
                f"{open_ones[0]}}}`"
            )
        return dict(told)
    found = {name.removeprefix(layout.IMAGES): name for name in features.images}
    known = [camera.name for camera in usual.cameras]
    if len(found) == 1 and known and not set(found) & set(known):
        return dict(zip(known[:1], features.images, strict=True))
    return found


def contract_of(features: Features, cameras: Mapping[str, str], usual: Contract) -> Contract:
    """The policy's contract: its cameras and image size, the rest as in the usual contract.

    Raises:
        PtrError: its state or action differs from the contract's, or it needs other inputs.
    """
    if features.others:
        raise PolicyFileError(f"the policy needs {features.others[0]}, which bags and robots of the suite do not have")
    for what, count, names in (
        ("action", features.action, usual.action),
        ("state", features.state, usual.proprioception),
        (layout.ENVIRONMENT, features.environment, OBJECT_FEATURES),
    ):
        if count != len(names) and (count or what == "action"):
            raise PolicyFileError(
                f"the policy's {what} has {count} numbers; the contract's has {len(names)}: {', '.join(names)}"
            )
    if not (features.images or features.environment):
        raise PolicyFileError("the policy uses neither images nor poses of objects; choose one that does")
    objects = OBJECT_FEATURES if features.environment else ()
    if not cameras:
        return dataclasses.replace(usual, cameras=(), objects=objects)
    sizes = [features.images[name] for name in cameras.values()]
    height, width = max(size[0] for size in sizes), max(size[1] for size in sizes)
    return dataclasses.replace(usual.with_cameras(list(cameras)).with_image_size(height, width), objects=objects)


def trained_contract(folder: Path, dataset: Path | None) -> Contract:
    """What the policy's training data set says.

    Args:
        dataset: its folder; None: the one that the training used.
    Raises:
        PolicyFileError: it can't be read, or its actions or states are not the suite's.
    """
    root = dataset or _dataset_of(folder)
    if root is None:
        LOGGER.warning(
            "no data set says what the actions of %s are; assuming those of `ptr export lerobot` at %g Hz; "
            "name the data set in the policy's file: `dataset: FOLDER`",
            folder,
            Contract().control_rate,
        )
        return Contract()
    if (root / layout.PROVENANCE).is_file():
        return Contract.from_dict(read_object(root / layout.PROVENANCE, PolicyFileError).get("contract", {}))
    info = read_object(root / layout.INFO, PolicyFileError)
    try:
        found = columns(info.get("features", {}), str(info.get("robot_type") or ""))
    except EpisodeError as error:
        raise PolicyFileError(
            f"the policy was trained on {root}, whose {error}; if they are the suite's, name its contract in the "
            "policy's file: `contract: FILE.json`"
        ) from error
    if any(places != tuple(range(len(places))) for places in found):
        raise PolicyFileError(f"the policy was trained on {root}, which has the suite's numbers in another order")
    require_type(int, info.get("fps"), f"{root / layout.INFO}: fps", PolicyFileError)
    return contract_at(Contract(), info["fps"])


def _dataset_of(folder: Path) -> Path | None:
    """The data set named in LeRobot's training config, if it exists here."""
    if not (folder / TRAINING).is_file():
        return None
    dataset = read_object(folder / TRAINING, PolicyFileError, finite=False).get("dataset")
    root = dataset.get("root") if isinstance(dataset, dict) else None
    return Path(root) if isinstance(root, str) and (Path(root) / layout.INFO).is_file() else None
