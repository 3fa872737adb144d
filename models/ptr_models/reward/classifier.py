# SPDX-License-Identifier: Apache-2.0
"""Is the task done? A network that sees the image and the task's name, never the arm's state.

A classifier is a folder: classifier.json (contract, tasks, networks, thresholds, how it was made) and
classifier.safetensors (float32 weights, their SHA-256 in the JSON).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from ptr_models.common.errors import PtrError
from ptr_models.common.output_folder import is_empty
from ptr_models.contract import Contract
from ptr_models.json_input import read_object
from ptr_models.networks import Encoder, NetworkConfig
from ptr_models.networks.layers import dense
from ptr_models.reward.success_rule import first_success
from ptr_models.training.config import TrainingConfig
from ptr_models.training.tasks import TaskTable

FORMAT = 1
INDEX, WEIGHTS = "classifier.json", "classifier.safetensors"
HIDDEN = 256
"""Width of the two hidden layers, as in PTR's PixelRewardLearner."""


class ClassifierError(PtrError):
    """A classifier is missing, damaged, can't be written, or was made for something else."""


class SuccessNetwork(nn.Module):
    """Image and task to one logit: the encoder of actor and critic, then an MLP 256-256-1."""

    def __init__(self, config: NetworkConfig, tasks: int) -> None:
        super().__init__()
        self.encoder, self.tasks = Encoder(config), tasks
        self.head = nn.Sequential(
            dense(config.latent_width + tasks, HIDDEN, math.sqrt(2.0)),
            nn.ReLU(),
            dense(HIDDEN, HIDDEN, math.sqrt(2.0)),
            nn.ReLU(),
            dense(HIDDEN, 1, 0.01),
        )

    def forward(self, image: Tensor, task: Tensor) -> Tensor:
        """(B, H, W, 3 * cameras) uint8 and (B, K) one-hot to logits (B,)."""
        return self.head(torch.cat([self.encoder(image), task], dim=-1)).squeeze(-1)


def require_free(path: Path) -> None:
    """Check that a classifier can be written: the folder must be missing or empty.

    Raises:
        ClassifierError: something is there.
    """
    if path.exists() and not (path.is_dir() and is_empty(path)):
        raise ClassifierError(f"{path} already exists; choose another --out")


@dataclass(frozen=True)
class SuccessClassifier:
    """A trained network and the rule that turns its probabilities into a verdict.

    Attributes:
        network: on the CPU or a GPU.
        contract, tasks, networks: of the checkpoint that it belongs to.
        thresholds: task name to the probability from which a frame counts as success.
        consecutive: number of frames in a row that must count.
        card: facts about how it was made: data, commands, figures on held-out episodes.
    """

    network: SuccessNetwork
    contract: Contract
    tasks: TaskTable
    networks: NetworkConfig
    thresholds: Mapping[str, float]
    consecutive: int = 3
    card: Mapping[str, Any] = field(default_factory=dict)

    @torch.no_grad()
    def probabilities(self, images: NDArray[np.uint8], task: str) -> NDArray[np.float32]:
        """Probability that the task is done in each image.

        Args:
            images: (T, H, W, 3 * cameras) uint8 RGB at the contract's size.
            task: its name.
        Returns:
            (T,) in [0, 1].
        Raises:
            TaskError: the task is unknown.
        """
        device = next(self.network.parameters()).device
        one_hot = functional.one_hot(torch.tensor([self.tasks.id(task)]), self.tasks.slots).float().to(device)
        parts = [torch.from_numpy(np.array(images[at : at + 256])) for at in range(0, len(images), 256)]
        logits = [self.network(part.to(device), one_hot.expand(len(part), -1)) for part in parts]
        return torch.cat(logits).sigmoid().cpu().numpy()

    def threshold(self, task: str) -> float:
        """The probability from which a frame of that task counts.

        Raises:
            ClassifierError: it was not trained for this task.
        """
        name = self.tasks.canonical(task)
        if name not in self.thresholds:
            known = ", ".join(sorted(self.thresholds)) or "none"
            raise ClassifierError(f"the success classifier was not trained for {task!r}; it knows: {known}")
        return self.thresholds[name]

    def first_success(self, images: NDArray[np.uint8], task: str) -> int | None:
        """Index of the image with which the task counts as done, or None. Arguments as in `probabilities`."""
        return first_success(self.probabilities(images, task), self.threshold(task), self.consecutive)

    def save(self, path: Path | str) -> Path:
        """Write the folder, which must be missing or empty; the index, which makes it a classifier, comes last."""
        path = Path(path)
        require_free(path)
        temporary = path.with_name(f".{path.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            temporary.mkdir(parents=True)
            weights = {name: value.cpu().contiguous() for name, value in self.network.state_dict().items()}
            save_file(weights, temporary / WEIGHTS)
            (temporary / INDEX).write_text(json.dumps(self._index(temporary), indent=1), encoding="utf-8")
            path.mkdir(parents=True, exist_ok=True)
            for name in (WEIGHTS, INDEX):
                os.replace(temporary / name, path / name)
            temporary.rmdir()
        except (OSError, SafetensorError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise ClassifierError(f"the classifier {path} cannot be written: {error}") from error
        return path

    def _index(self, folder: Path) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "contract": json.loads(self.contract.to_json()),
            "tasks": dataclasses.asdict(self.tasks),
            "networks": dataclasses.asdict(self.networks),
            "thresholds": dict(self.thresholds),
            "consecutive": self.consecutive,
            "card": dict(self.card),
            "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
        }

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> SuccessClassifier:
        """Read a classifier's folder.

        Raises:
            ClassifierError: it is missing or damaged.
        """
        path = Path(path)
        try:
            if not (path / INDEX).exists():
                raise FileNotFoundError(path / INDEX)
            index = read_object(path / INDEX, ClassifierError)
            if index["format"] != FORMAT:
                raise ClassifierError(f"{path} has format {index['format']!r}; this software reads {FORMAT}")
            if hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest() != index["sha256"]:
                raise ClassifierError(f"{path / WEIGHTS} is damaged (its SHA-256 differs); train it again")
            names, slots, aliases = (index["tasks"][key] for key in ("names", "slots", "aliases"))
            config = TrainingConfig.from_dict({"networks": index["networks"]}).networks
            network = SuccessNetwork(config, int(slots)).to(device).eval()
            network.load_state_dict(load_file(path / WEIGHTS))
            contract, tasks = Contract.from_dict(index["contract"]), TaskTable(tuple(names), int(slots), aliases)
            rule = (index["thresholds"], int(index["consecutive"]), index["card"])
            return cls(network, contract, tasks, config, *rule)
        except FileNotFoundError:
            raise ClassifierError(
                f"there is no success classifier at {path}; train one with `ptr train classifier`"
            ) from None
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise ClassifierError(f"the success classifier {path} cannot be read: {error}") from error
