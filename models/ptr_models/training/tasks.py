# SPDX-License-Identifier: Apache-2.0
"""Which column of the one-hot task vector belongs to which task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ptr_models.errors import PtrError

_DOORS = re.compile(r"(open|close)_(cabinet|oven|low_fridge|fridge|microwave)")
_VARIANTS = re.compile(r"_(distractors|cardboard_?fence)$")


class TaskError(PtrError):
    """A task is unknown, or there is no slot left for it."""


@dataclass(frozen=True)
class TaskTable:
    """Slots of the task vector: names, then spare ones.

    A spare slot was never active in pre-training, so its weights are exactly the initial ones: giving it to a
    new task equals PTR's table, which knows the target task from the first step. A target task whose name (or
    alias) is known re-uses the slot and what was learned with it.

    Attributes:
        names: of the used slots; the index is the id.
        slots: length of the task vector.
        aliases: name to the name whose slot it shares.
    """

    names: tuple[str, ...]
    slots: int
    aliases: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_names(cls, names: Iterable[str], spare: int, aliases: Mapping[str, str] | None = None) -> TaskTable:
        """Distinct tasks in alphabetical order, then `spare` free slots."""
        table = cls((), 0, dict(aliases or {}))
        known = sorted({table.canonical(name) for name in names})
        return cls(tuple(known), len(known) + spare, table.aliases)

    def canonical(self, name: str) -> str:
        """The name under which a task has its slot.

        Own aliases come first, then PTR's: variants of the scene are the same task, and so are all doors.
        """
        name = self.aliases.get(name, name)
        door = _DOORS.fullmatch(_VARIANTS.sub("", name))
        return f"{door[1]}_door" if door else _VARIANTS.sub("", name)

    def id(self, name: str) -> int:
        """Slot of a task.

        Raises:
            TaskError: it has none; the message lists the known tasks.
        """
        try:
            return self.names.index(self.canonical(name))
        except ValueError:
            raise TaskError(f"unknown task {name!r}; this policy knows: {', '.join(self.names) or 'none'}") from None

    def ids(self, names: Iterable[str]) -> dict[str, int]:
        """Slot of each name as it stands in the data."""
        return {name: self.id(name) for name in names}

    def extended(self, names: Iterable[str]) -> TaskTable:
        """With spare slots given to the names that have none, in alphabetical order.

        Raises:
            TaskError: more new names than spare slots.
        """
        new = sorted({self.canonical(name) for name in names} - set(self.names))
        if len(self.names) + len(new) > self.slots:
            free = self.slots - len(self.names)
            raise TaskError(
                f"{len(new)} new tasks ({', '.join(new)}) but {free} spare slots; pre-train with a larger "
                "data.spare_tasks, or give a new task the slot of a similar one with data.aliases"
            )
        return TaskTable((*self.names, *new), self.slots, self.aliases)
