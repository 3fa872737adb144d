# SPDX-License-Identifier: Apache-2.0
"""Train a success classifier on the frames of demonstrations, and judge it on episodes that it has not seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.nn import functional

from ptr_models.algorithms.cql import adam, optimizer_step
from ptr_models.common.errors import PtrError
from ptr_models.networks import NetworkConfig
from ptr_models.replay import Augmentation, Dataset, augment
from ptr_models.reward.classifier import SuccessClassifier, SuccessNetwork
from ptr_models.reward.frames import Frames, hold_out, label_frames
from ptr_models.reward.success_rule import first_success
from ptr_models.training.checkpoint import Checkpoint, load_algorithm
from ptr_models.training.devices import resolve_device

BETA = 0.5
"""Weight of recall against precision: a false reward teaches a wrong task, a missed one costs a trial."""
DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class Calibration:
    """A threshold and what it does to the held-out frames of one task.

    Attributes:
        threshold: in [0, 1].
        precision: share of the frames above it that are positive.   recall: share of the positives above it.
        positives, negatives: held-out frames; without both of them the figures are NaN.
    """

    threshold: float
    precision: float
    recall: float
    positives: int
    negatives: int


def calibrate(probabilities: ArrayLike, done: ArrayLike, beta: float = BETA) -> Calibration:
    """The threshold with the best F-beta; among equally good ones the middle of the widest gap.

    Args:
        probabilities: (N,) of held-out frames.   done: (N,) bool, the truth.
    """
    values, truth = np.asarray(probabilities, dtype=float), np.asarray(done, dtype=bool)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return Calibration(DEFAULT_THRESHOLD, np.nan, np.nan, positives, negatives)
    edges = np.unique(np.concatenate([[0.0], values, [1.0]]))
    middles = (edges[:-1] + edges[1:]) / 2
    scores = np.array([f_score(*precision_recall(values, truth, middle), beta) for middle in middles])
    best = np.isclose(scores, scores.max())
    widths = np.where(best, np.diff(edges), -1.0)
    threshold = float(middles[widths.argmax()])
    return Calibration(threshold, *precision_recall(values, truth, threshold), positives, negatives)


def precision_recall(probabilities: np.ndarray, done: np.ndarray, threshold: float) -> tuple[float, float]:
    """Precision (1 where nothing is above the threshold) and recall of `probabilities >= threshold`."""
    chosen = probabilities >= threshold
    hits = float((chosen & done).sum())
    return (hits / chosen.sum() if chosen.any() else 1.0), hits / done.sum()


def f_score(precision: float, recall: float, beta: float) -> float:
    """F-beta of van Rijsbergen: (1 + b^2) P R / (b^2 P + R)."""
    below = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / below if below > 0 else 0.0


@dataclass(frozen=True)
class FitOptions:
    """How a classifier is trained.

    Attributes:
        steps: updates.   batch_size: frames of one, half of them positive.   rate: of Adam (PTR: 3e-4).
        last: frames at the end of a success that are positive.   margin: frames before them that are left out.
        consecutive: frames in a row that make a success when it is used.
        opposites: pairs of tasks that undo each other.
        held_out: share of the episodes that calibrate the threshold.
        seed: of the split, the batches and the augmentation.
    """

    steps: int = 600
    batch_size: int = 64
    rate: float = 3e-4
    last: int = 3
    margin: int = 2
    consecutive: int = 3
    opposites: tuple[tuple[str, str], ...] = ()
    held_out: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class HeldOut:
    """A classifier's probabilities on the held-out episodes, for the report.

    Attributes:
        calibrations: per task.
        curves: per episode (task, success, probabilities (T+1,)).
    """

    calibrations: Mapping[str, Calibration]
    curves: Sequence[tuple[str, bool, NDArray[np.float32]]]

    def episode_verdicts(self, classifier: SuccessClassifier) -> dict[str, dict[str, int]]:
        """Per task: successes and failures, how many were called a success, and how many of them early.

        Early: more than the frames in a row before the end of a success, when the task was not done yet.
        """
        counts: dict[str, dict[str, int]] = {}
        for task, success, curve in self.curves:
            entry = counts.setdefault(task, dict.fromkeys(("successes", "found", "early", "failures", "false"), 0))
            at = first_success(curve, classifier.threshold(task), classifier.consecutive)
            entry["successes" if success else "failures"] += 1
            if at is not None:
                entry["found" if success else "false"] += 1
                entry["early"] += success and at < len(curve) - 1 - classifier.consecutive
        return counts


def fit_classifier(
    checkpoint: Checkpoint,
    data: Dataset,
    options: FitOptions,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[SuccessClassifier, HeldOut]:
    """Train on most of the episodes, calibrate on the rest.

    The encoder begins with the weights of the checkpoint's critic (or actor): it has seen far more frames than a
    few demonstrations hold. Contract, task table, network sizes and augmentation are the checkpoint's, too.

    Args:
        checkpoint: of the policy that will be improved.
        data: demonstrations and, if there are any, failures.
        progress: called after each update with its number and the loss.
    """
    if not checkpoint.contract.cameras:
        raise PtrError("a success classifier needs images, but the checkpoint's policy sees objects instead of them")
    table = checkpoint.tasks.one_hot(data.task_names)
    frames = label_frames(data, table, options.last, options.margin, options.opposites)
    torch.manual_seed(options.seed)
    network = _network(checkpoint, table.slots)
    held = hold_out(data, options.held_out, options.seed)
    train = frames.where(~held[frames.episode])
    _descend(network, data, train, options, checkpoint.config.data.augmentation, progress)
    classifier = SuccessClassifier(
        network.eval(), checkpoint.contract, table, _networks(checkpoint), {}, options.consecutive
    )
    found = _calibrate(classifier, data, frames, held)
    thresholds = {task: item.threshold for task, item in found.calibrations.items()}
    return dataclasses.replace(classifier, thresholds=thresholds), found


def _networks(checkpoint: Checkpoint) -> NetworkConfig:
    """The checkpoint's, for the cameras alone: a classifier sees no goal image."""
    return dataclasses.replace(checkpoint.config.networks, cameras=len(checkpoint.contract.cameras))


def _network(checkpoint: Checkpoint, slots: int) -> SuccessNetwork:
    algorithm = load_algorithm(checkpoint)
    network = SuccessNetwork(_networks(checkpoint), slots).to(resolve_device("auto"))
    source = algorithm.critic if algorithm.critic is not None else algorithm.actor
    network.encoder.load_state_dict(source.get_submodule("encoder").state_dict())
    return network


def _descend(
    network: SuccessNetwork,
    data: Dataset,
    frames: Frames,
    options: FitOptions,
    rule: Augmentation,
    progress: Callable[[int, float], None] | None,
) -> None:
    """Adam on the binary cross-entropy of balanced, augmented batches."""
    generator = np.random.default_rng(options.seed)
    weights = balanced_weights(frames)
    device = next(network.parameters()).device
    optimizer = adam(network.parameters(), options.rate)
    for step in range(options.steps):
        chosen = generator.choice(len(frames), options.batch_size, p=weights)
        images = augment(np.asarray(data.frames[frames.rows[chosen]]), generator, rule)
        one_hot = functional.one_hot(torch.from_numpy(frames.task[chosen]), network.tasks).float()
        logits = network(torch.from_numpy(images).to(device), one_hot.to(device))
        truth = torch.from_numpy(frames.done[chosen]).to(device, torch.float32)
        loss = functional.binary_cross_entropy_with_logits(logits, truth)
        optimizer_step(optimizer, loss)
        if progress is not None:
            progress(step + 1, float(loss.detach()))


def balanced_weights(frames: Frames) -> NDArray[np.float64]:
    """Probabilities (N,): half for positives, half for negatives, each spread evenly over the tasks."""
    kinds = 2 * frames.task + frames.done
    weights = 1.0 / np.bincount(kinds)[kinds]
    for done in (False, True):
        weights[frames.done == done] /= max(weights[frames.done == done].sum(), 1e-12)
    return weights / weights.sum()


def _calibrate(classifier: SuccessClassifier, data: Dataset, frames: Frames, held: NDArray[np.bool_]) -> HeldOut:
    curves = []
    for index in np.flatnonzero(held):
        task, success = data.tasks[index], bool(data.successes[index])
        curves.append((task, success, classifier.probabilities(data.episode(int(index))[0], task)))
    calibrations = {}
    for id in sorted(set(frames.task.tolist())):
        name = classifier.tasks.names[id]
        part = frames.where(held[frames.episode] & (frames.task == id))
        values = classifier.probabilities(data.frames[part.rows], name) if len(part) else np.empty(0)
        calibrations[name] = calibrate(values, part.done)
    return HeldOut(calibrations, curves)


def card_of(options: FitOptions, data: Dataset, found: HeldOut, verdicts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts for the classifier's file; figures that do not exist are None."""
    figures = {
        task: {key: None if np.isnan(value) else value for key, value in dataclasses.asdict(item).items()}
        for task, item in found.calibrations.items()
    }
    return {
        "options": dataclasses.asdict(options),
        "episodes": len(data),
        "held_out_frames": figures,
        "held_out_episodes": dict(verdicts),
    }
