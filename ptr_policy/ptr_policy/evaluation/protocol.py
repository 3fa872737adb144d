# SPDX-License-Identifier: Apache-2.0
"""What an evaluation is about, kept as `evaluation.json` beside its trials: enough to go on with it and report it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from ptr_models.json_input import read_object
from ptr_policy.evaluation.plan import plan_trials
from ptr_policy.evaluation.summary import write_json
from ptr_policy.evaluation.trials import Trial, TrialsError

FILE = "evaluation.json"
MAY_CHANGE = ("scenes", "started", "versions")
"""An evaluation may go on with more scenes, on another day, after an update."""


@dataclass(frozen=True)
class Protocol:
    """How an evaluation is made.

    Attributes:
        policies: names, or letters while names are hidden; the plan depends on their order.
        scenes: start positions; each policy tries each once.
        blind: True: letters, see `checkpoints.py`.
        paths: folder of each policy's checkpoint, by name; empty while names are hidden, and where the policy server
            had its checkpoint already.
        max_steps: of a trial; 0: the policy server's.   action_choice: empty: the policy server's.
        new_task: a task that got a spare slot in each checkpoint.
        started: ISO 8601, UTC.   versions: of what the trials were made with.
    """

    task: str
    kitchen: str
    policies: tuple[str, ...]
    scenes: int
    seed: int
    blind: bool = False
    paths: dict[str, str] = field(default_factory=dict)
    max_steps: int = 0
    action_choice: str = ""
    new_task: str = ""
    started: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def trials(self) -> tuple[Trial, ...]:
        """The plan."""
        return plan_trials(self.task, self.kitchen, self.policies, self.scenes, self.seed)

    def keep(self, directory: Path) -> Protocol:
        """Write it, or, where the evaluation is going on, note that it does.

        Raises:
            TrialsError: the folder holds another evaluation.
        """
        kept = self
        if (directory / FILE).exists():
            before = read_protocol(directory)
            for item in dataclasses.fields(self):
                old, new = getattr(before, item.name), getattr(self, item.name)
                if item.name not in MAY_CHANGE and old != new:
                    raise TrialsError(
                        f"{directory} holds another evaluation (its {item.name} is {old!r}, not {new!r}); "
                        "give another directory"
                    )
            kept = dataclasses.replace(self, started=before.started)
        write_json(directory / FILE, dataclasses.asdict(kept))
        return kept


def read_protocol(directory: Path) -> Protocol:
    """The protocol of a folder.

    Raises:
        TrialsError: there is none, or it is damaged.
    """
    path = directory / FILE
    try:
        if not path.exists():
            raise FileNotFoundError(path)
        values = read_object(path, TrialsError)
        return Protocol(**{**values, "policies": tuple(values["policies"])})
    except FileNotFoundError:
        raise TrialsError(f"{path} does not exist; give the folder of an evaluation") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrialsError(f"{path} cannot be read: {error!r}") from error
