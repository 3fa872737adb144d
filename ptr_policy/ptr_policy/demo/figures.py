# SPDX-License-Identifier: Apache-2.0
"""Images of the demonstration's report: film strips of trials, Q along the demonstrations, training curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ptr_models.analysis.figures import q_figure, read_metrics, training_figure
from ptr_models.analysis.values import trend_score, value_curves
from ptr_models.common.jpeg import decode
from ptr_models.common.plotting import save_for_papers
from ptr_models.episodes.reader import read_metadata, read_streams
from ptr_models.inference.policy import Policy
from ptr_models.replay import open_episodes
from ptr_policy.demo.plan import Plan

FRAMES = 8
"""Images of a film strip."""
FRAME_SIZE = (240, 180)
"""Width and height of each (pixels)."""
GAP = 6
"""White between two (pixels)."""


@dataclass(frozen=True)
class Figure:
    """An image of the report: where it is, what it is called and what it shows; `strip`: of a trial."""

    name: str
    path: Path
    title: str
    text: str
    strip: bool = False


def draw_all(plan: Plan, trials: Sequence[tuple[str, bool, str]]) -> tuple[list[Figure], float]:
    """Draw every image of the report into the run's folder `figures`.

    Args:
        trials: (which checkpoint and trial, success, folder of its bag), the most interesting first.
    Returns:
        the images, and the trend score of the Q-function.
    """
    folder = plan.out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    strips = [strip for wanted in (True, False) if (strip := _trial(folder, trials, wanted)) is not None]
    values, score = _values(folder, plan)
    return [*strips, values, _curves(folder, plan)], score


def film_strip(episode: Path, frames: int = FRAMES) -> NDArray[np.uint8]:
    """Evenly spaced camera images of an episode, side by side with a gap: (180, about frames * 246, 3) uint8 BGR."""
    contract = read_metadata(episode).contract
    stream = read_streams(episode, contract).images[contract.cameras[0].name]
    chosen = [stream.samples[i] for i in np.linspace(0, len(stream) - 1, frames).round().astype(int)]
    images = [image for data in chosen if (image := decode(data)) is not None]
    small = [cv2.resize(image, FRAME_SIZE, interpolation=cv2.INTER_AREA) for image in images]
    framed = [cv2.copyMakeBorder(p, 0, 0, 0, GAP, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for p in small]
    return np.asarray(np.concatenate(framed, axis=1)[:, :-GAP], np.uint8)


def _trial(folder: Path, trials: Sequence[tuple[str, bool, str]], wanted: bool) -> Figure | None:
    """The film strip of the first success, or failure, that was recorded."""
    for name, success, bag in trials:
        if success == wanted and bag:
            word = "success" if wanted else "failure"
            path = folder / f"{word}.png"
            cv2.imwrite(str(path), film_strip(Path(bag)))
            return Figure(word, path, word.capitalize(), f"A {word}: {name}, from beginning to end.", strip=True)
    return None


def _values(folder: Path, plan: Plan) -> tuple[Figure, float]:
    policy = Policy.load(plan.checkpoint_of("ptr"))
    curves = value_curves(policy, open_episodes([plan.bags], policy.contract))
    score = trend_score(curves).score
    text = (
        "The fine-tuned Q-function's values of the recorded actions. They should rise along each demonstration, since "
        f"fewer and fewer steps are left before the reward: the mean rank correlation with time is {score:.2f}."
    )
    path = save_for_papers(q_figure(curves), folder / "values.png")
    return Figure("values", path, "Q along the demonstrations", text), score


def _curves(folder: Path, plan: Plan) -> Figure:
    path = save_for_papers(training_figure(read_metrics(plan.run("ptr"))), folder / "curves.png")
    return Figure("curves", path, "Fine-tuning", "Averages over the updates between two points of the log.")
