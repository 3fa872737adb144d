# SPDX-License-Identifier: Apache-2.0
"""The rows of the table, and what they achieved on the real arm."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Sequence
from dataclasses import dataclass

from ptr_models.common.errors import PtrError
from ptr_models.training.presets import presets


class Recipe(enum.Enum):
    """How a method uses the data."""

    FINETUNE = "pre-trained on many tasks, then fine-tuned on a mixture of them and the demonstrations"
    REPRESENTATION = "encoder pre-trained on the videos of many tasks, then imitation of the demonstrations alone"
    VALUES = "encoder pre-trained on the videos of many tasks by values, then pre-trained on the tasks and fine-tuned"
    JOINT = "many tasks and the demonstrations together from the first update"
    TARGET = "the demonstrations alone"
    EXTERNAL = "trained elsewhere"

    @property
    def is_pretrained(self) -> bool:
        """Whether one pre-training serves all target tasks."""
        return self in (Recipe.FINETUNE, Recipe.REPRESENTATION, Recipe.VALUES)

    @property
    def mixes(self) -> bool:
        """Whether batches mix the demonstrations with the pre-training data."""
        return self in (Recipe.FINETUNE, Recipe.VALUES, Recipe.JOINT)


@dataclass(frozen=True)
class Method:
    """A row.

    Attributes:
        name: on the command line; presets are NAME_small, NAME_paper and, for most, NAME_low_dim.
        title: in the table.
        recipe: how it uses the data.
        chooses_by_q: whether Q may choose among its actions; not in a control.
        address: of an external policy, KIND:ADDRESS; `{task}` and `{seed}` in it stand for those of a cell.
        real: successes of 50 trials on the real arm, four tasks (talk of the PTR authors); None: not in it.
    """

    name: str
    title: str
    recipe: Recipe
    real: int | None
    chooses_by_q: bool = True
    address: str = ""


METHODS = (
    Method("ptr", "PTR", Recipe.FINETUNE, 23),
    Method("ptr_no_bc", "PTR without imitation term", Recipe.FINETUNE, None),
    Method("ptr_control", "PTR with Q held at 0 (control)", Recipe.FINETUNE, None, chooses_by_q=False),
    Method("ptr_plus", "PTR plus", Recipe.FINETUNE, None),
    Method("awr", "AWR (fine-tune)", Recipe.FINETUNE, None),
    Method("bc", "BC (fine-tune)", Recipe.FINETUNE, 6),
    Method("bc_bernoulli", "BC, two-way gripper (fine-tune)", Recipe.FINETUNE, None),
    Method("autoregressive_bc", "Autoregressive BC (fine-tune)", Recipe.FINETUNE, 9),
    Method("bet", "BeT (fine-tune)", Recipe.FINETUNE, 1),
    Method("cog_joint", "COG (joint)", Recipe.JOINT, 7),
    Method("bc_joint", "BC (joint)", Recipe.JOINT, 8),
    Method("cql_target", "CQL (target only)", Recipe.TARGET, 3),
    Method("bc_target", "BC (target only)", Recipe.TARGET, 1),
    Method("r3m_bc", "R3M + BC", Recipe.REPRESENTATION, 1),
    Method("mae_bc", "MAE + BC", Recipe.REPRESENTATION, 4),
    Method("v_ptr", "V-PTR", Recipe.VALUES, None),
)
REAL_TRIALS = 50


def methods(names: Sequence[str], size: str = "small") -> list[Method]:
    """The methods with these names; without names, all that have a preset of that size.

    Raises:
        PtrError: a name is unknown (the message says which is nearest), or has no preset of that size.
    """
    known = {method.name: method for method in METHODS}
    available = presets()
    sized = [method for method in METHODS if f"{method.name}_{size}" in available]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise PtrError(f"unknown method {name!r}; the nearest is {near}; known: {', '.join(known)}")
        if known[name] not in sized:
            possible = ", ".join(method.name for method in sized)
            raise PtrError(f"method {name} has no preset of size {size}; those that have: {possible}")
    return [known[name] for name in names] or sized
