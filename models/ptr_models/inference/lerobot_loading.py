# SPDX-License-Identifier: Apache-2.0
"""Load a checkpoint written by LeRobot's `save_pretrained` with LeRobot itself: no download, no pickle, no code.

LeRobot downloads missing files from a hub, and imports any class that a processor's JSON names. So the folder is
checked first, and LeRobot is set to offline mode.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ptr_models.inference.lerobot_features import CONFIG
from ptr_models.inference.policy_file import PolicyFileError
from ptr_models.json_input import read_object

WEIGHTS, BEFORE, AFTER = "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json"
WITHIN = ("", "pretrained_model", "checkpoints/last/pretrained_model")
"""Possible locations of a policy in a checkpoint or run folder of LeRobot."""
INSTALL = "pip install 'ptr_models[lerobot-policies]', or as docs/how-to/external-policies.md says"
FETCHED = {"pretrained_backbone_weights": None, "load_vlm_weights": False}
"""Config keys that would download weights which the checkpoint already contains."""


class LeRobotError(PolicyFileError):
    """LeRobot is not installed, or can't load the policy."""


@dataclass(frozen=True)
class Loaded:
    """A policy with its processors.

    Attributes:
        policy: a `PreTrainedPolicy`, in evaluation mode.
        before: converts an observation to the policy's input.   after: converts its action (1, A) to the data set's
            units.
    """

    policy: Any
    before: Callable[[dict[str, Any]], dict[str, Any]]
    after: Callable[[torch.Tensor], torch.Tensor]


def policy_folder(place: Path) -> Path:
    """The policy's own folder inside a checkpoint or run folder, checked for completeness.

    Raises:
        LeRobotError: it is missing or incomplete.
    """
    folder = next((place / name for name in WITHIN if (place / name / CONFIG).is_file()), None)
    if folder is None:
        raise LeRobotError(f"{place} holds no LeRobot policy ({CONFIG}); give a folder on this machine")
    if not (folder / WEIGHTS).is_file():
        raise LeRobotError(f"{folder} has no {WEIGHTS}; give a folder that `save_pretrained` of LeRobot wrote")
    missing = [name for name in (BEFORE, AFTER) if not (folder / name).is_file()]
    if missing:
        raise LeRobotError(
            f"{folder} has no {missing[0]}, as LeRobot writes it since 0.4; convert the policy with its "
            "lerobot.processor.migrate_policy_normalization"
        )
    for name in (BEFORE, AFTER):
        _steps(folder, name)
    return folder


def _steps(folder: Path, name: str) -> list[str]:
    """Names of a processor's steps; all must belong to LeRobot, and their files to the folder.

    Raises:
        LeRobotError: one does not, or its file is missing.
    """
    path = folder / name
    steps = read_object(path, LeRobotError, finite=False).get("steps")
    if not (isinstance(steps, list) and all(isinstance(step, dict) for step in steps)):
        raise LeRobotError(f"{path} lists no steps")
    for step in steps:
        class_name = str(step.get("class", ""))
        if "registry_name" not in step and not class_name.startswith("lerobot."):
            raise LeRobotError(f"{path} names {class_name or 'nothing'!r}, which is not a LeRobot step; it is not run")
        state = step.get("state_file")
        if state is not None and not _inside(folder, str(state)):
            raise LeRobotError(f"{path} names the file {str(state)!r}, which is not in {folder}; copy the policy again")
    return [str(step.get("registry_name", "")) for step in steps]


def _inside(folder: Path, name: str) -> bool:
    path = folder / name
    return path.suffix == ".safetensors" and path.is_file() and path.resolve().is_relative_to(folder.resolve())


def load(folder: Path, device: str) -> Loaded:
    """Load the policy in a folder returned by `policy_folder`.

    Raises:
        LeRobotError: LeRobot or a package that it needs is not installed, or it can't load the policy.
    """
    _stay_offline()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return _loaded(folder, device)
    except ImportError as error:
        raise _not_installed(error, folder) from error
    except Exception as error:  # a damaged file or installation can raise anything
        first = (str(error).strip().splitlines() or ["no message"])[0][:400]
        raise LeRobotError(f"LeRobot can't load {folder}: {type(error).__name__}: {first}") from error


def _loaded(folder: Path, device: str) -> Loaded:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    config = PreTrainedConfig.from_pretrained(str(folder), local_files_only=True)
    config.device = device
    for key, value in FETCHED.items():
        if hasattr(config, key):
            setattr(config, key, value)
    policy_class = get_policy_class(config.type)
    policy = policy_class.from_pretrained(str(folder), config=config, local_files_only=True, strict=True)
    before, after = make_pre_post_processors(
        config,
        pretrained_path=str(folder),
        preprocessor_overrides=_on(device, _steps(folder, BEFORE)),
        postprocessor_overrides=_on("cpu", _steps(folder, AFTER)),
    )
    return Loaded(policy, before, after)


def _on(device: str, steps: list[str]) -> Mapping[str, Any]:
    """The override that moves a processor to a device, if it has a step for that."""
    return {"device_processor": {"device": device}} if "device_processor" in steps else {}


def _stay_offline() -> None:
    """Set the Hugging Face hub library, which may already be imported, to offline mode."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ[name] = "1"
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        constants.HF_HUB_OFFLINE = True  # type: ignore[attr-defined]


def _not_installed(error: ImportError, folder: Path) -> LeRobotError:
    missing = (error.name or "").partition(".")[0]
    if missing in ("", "lerobot"):
        return LeRobotError(f"the policy {folder} needs LeRobot, which is not installed: {INSTALL} ({error})")
    return LeRobotError(f"LeRobot needs the package {missing!r} for the policy {folder}: pip install {missing}")
