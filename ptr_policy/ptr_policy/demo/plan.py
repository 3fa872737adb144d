# SPDX-License-Identifier: Apache-2.0
"""The plan of a demonstration run: task, seeds, sizes and paths."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from ptr_models.contract import Camera
from ptr_models.training.runs import chosen_checkpoint, latest_checkpoint

WORDS = {
    "ptr": "by PTR after fine-tuning",
    "bc": "by behavior cloning after fine-tuning",
    "pretrained": "before fine-tuning",
}
"""What the trials of each checkpoint are called."""


@dataclass(frozen=True)
class Plan:
    """One run of `ptr demo`.

    Attributes:
        out: folder of everything that the run writes.
        seed: scenes of demonstrations and trials, and the sampling of fine-tuning, derive from it.
        task, kitchen: what is learned, and where; neither is in the pre-training data.
        demonstrations, trials: how many are recorded and made; ten and ten, as in the talk on PTR.
        checkpoint: the pre-trained checkpoint that is fine-tuned.
        pretraining: folder of pre-training bags that fine-tuning mixes in, created if missing.
        pretraining_episodes: how many bags are created.
        finetune_steps: updates of fine-tuning.
        cameras: that the checkpoint sees.
        manner: how the scripted operator moves and errs, `machine` or `human`.
        level: how hard the scenes of all data and trials are.
        baseline: whether behavior cloning is fine-tuned and evaluated for comparison.
    """

    out: Path
    seed: int
    task: str
    kitchen: str
    demonstrations: int
    trials: int
    checkpoint: Path
    pretraining: Path
    pretraining_episodes: int
    finetune_steps: int
    cameras: tuple[str, ...] = (Camera().name,)
    manner: str = "human"
    level: str = "easy"
    baseline: bool = True

    @property
    def bags(self) -> Path:
        """Folder of the demonstrations."""
        return self.out / "demonstrations"

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the checkpoints that are evaluated, best known first."""
        return tuple(name for name in WORDS if name != "bc" or self.baseline)

    def run(self, name: str) -> Path:
        """Run folder of a fine-tuning, by the name of its checkpoint."""
        return self.out / name

    def checkpoint_of(self, name: str) -> Path:
        """The checkpoint of that name: pre-trained, or chosen in its run; before there is one, the run's folder."""
        if name == "pretrained":
            return self.checkpoint
        return chosen_checkpoint(self.run(name)) or latest_checkpoint(self.run(name)) or self.run(name)

    @property
    def report(self) -> Path:
        """The report for programs."""
        return self.out / "report.json"

    @property
    def page(self) -> Path:
        """The report for people."""
        return self.report.with_suffix(".html")

    def evaluation(self, name: str) -> Path:
        """Folder of the trials of the checkpoint `name`."""
        return self.out / "evaluation" / name

    def to_json(self) -> str:
        """All fields, paths as text."""
        fields = dataclasses.asdict(self)
        return json.dumps({key: str(v) if isinstance(v, Path) else v for key, v in fields.items()}, indent=2)
