# SPDX-License-Identifier: Apache-2.0
"""Pictures of the demonstration's report: film strips, Q along the demonstrations, training curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure as Plot
from numpy.typing import NDArray

from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata, read_streams
from ptr_models.training.policy import Policy
from ptr_policy.demo.plan import Plan

matplotlib.use("Agg")

FRAMES = 8  # pictures of a film strip
FRAME_SIZE = (240, 180)  # width, height of each, pixels
CURVES = (
    ("bellman_error", "squared Bellman error"),
    ("cql_gap", "conservative gap"),
    ("q_data", "Q of the data"),
    ("actor_mse", "actor: squared error of the mode"),
)


@dataclass(frozen=True)
class Figure:
    """A picture of the report: where it is, what it is called and what it shows; `strip`: of a trial."""

    name: str
    path: Path
    title: str
    text: str
    strip: bool = False


def draw_all(plan: Plan, outcomes: Sequence[bool], bags: Sequence[str]) -> list[Figure]:
    """Draw every picture of the report into the run's folder `figures`."""
    folder = plan.out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [strip for wanted in (True, False) if (strip := _trial(folder, outcomes, bags, wanted)) is not None]
    return [*drawn, _values(folder, plan), _curves(folder, plan)]


def film_strip(episode: Path, frames: int = FRAMES) -> NDArray[np.uint8]:
    """Evenly spaced camera pictures of an episode, side by side: (180, frames * 240, 3) uint8 BGR."""
    camera = read_metadata(episode).contract.cameras[0]
    stream = read_streams(episode, read_metadata(episode).contract).images[camera.name]
    chosen = np.linspace(0, len(stream) - 1, frames).round().astype(int)
    pictures = [cv2.imdecode(np.frombuffer(stream[index], np.uint8), cv2.IMREAD_COLOR) for index in chosen]
    return np.concatenate([cv2.resize(p, FRAME_SIZE, interpolation=cv2.INTER_AREA) for p in pictures], axis=1)


def _trial(folder: Path, outcomes: Sequence[bool], bags: Sequence[str], wanted: bool) -> Figure | None:
    """The film strip of the first success or failure that was recorded."""
    for index, (outcome, bag) in enumerate(zip(outcomes, bags, strict=True)):
        if outcome == wanted and bag:
            word = "success" if wanted else "failure"
            path = folder / f"{word}.png"
            cv2.imwrite(str(path), film_strip(Path(bag)))
            text = f"Trial {index + 1}, a {word}, from the first picture of its bag to the last"
            return Figure(word, path, word.capitalize(), text, strip=True)
    return None


def _values(folder: Path, plan: Plan) -> Figure:
    """Q of the recorded actions along each demonstration, before and after fine-tuning, with the true return."""
    plot = Plot(figsize=(9.5, 3.4), layout="constrained")
    axes = plot.subplots(1, 2, sharey=True)
    episodes = [read_episode(path) for path in find_episodes([plan.bags])]
    scores = []
    for axis, title, checkpoint in zip(
        axes, ("pre-trained", "fine-tuned"), (plan.checkpoint, plan.finetuned_checkpoint), strict=True
    ):
        policy = Policy.load(checkpoint)
        for episode in episodes:
            axis.plot(policy.values(episode, plan.task), color="#2457c5", alpha=0.45, linewidth=1.3)
        longest = max(len(episode) for episode in episodes)
        axis.axhline(10, color="#1f8a5b", linestyle=":", linewidth=1)
        axis.set(title=title, xlabel="control step", xlim=(0, longest))
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("Q(s, a)")
    path = folder / "values.png"
    plot.savefig(path, dpi=130)
    text = (
        "The smaller of both critics at the recorded actions of the ten demonstrations. Values should rise towards "
        "the reward of 10 (dotted) at the end of each."
    )
    return Figure("values", path, "Q along the demonstrations", text)


def _curves(folder: Path, plan: Plan) -> Figure:
    """What was logged during fine-tuning."""
    lines = (plan.finetuned / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    plot = Plot(figsize=(9.5, 4.6), layout="constrained")
    for axis, (name, title) in zip(plot.subplots(2, 2, sharex=True).flat, CURVES, strict=True):
        points = [(entry["step"], entry[name]) for entry in logged if name in entry]
        axis.plot(*zip(*points, strict=True), color="#2457c5", linewidth=1.4)
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.25)
    path = folder / "curves.png"
    plot.savefig(path, dpi=130)
    return Figure("curves", path, "Fine-tuning", "Averages over the updates between two points of the log.")
