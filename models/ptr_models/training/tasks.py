# SPDX-License-Identifier: Apache-2.0
"""Which column of the one-hot task vector belongs to which task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from ptr_models.common.errors import PtrError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import check_name

_DOORS = re.compile(r"(open|close)_(cabinet|oven|low_fridge|fridge|microwave)")
_VARIANTS = re.compile(r"_(distractors|cardboard_?fence)$")

MANY = 300
"""Tasks of a run above which it is likely that one task has many names; PTR's largest data set had about 100."""
LISTED = 10
"""Names that an error lists."""


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

    def with_aliases(self, aliases: Mapping[str, str]) -> TaskTable:
        """With further aliases; those that it has already are replaced where the names are the same."""
        return replace(self, aliases={**self.aliases, **aliases})

    def extended(self, names: Iterable[str]) -> TaskTable:
        """With spare slots given to the names that have none, in alphabetical order.

        Raises:
            TaskError: more new names than spare slots.
        """
        new = sorted({self.canonical(name) for name in names} - set(self.names))
        if len(self.names) + len(new) > self.slots:
            free = self.slots - len(self.names)
            listed = ", ".join(new[:LISTED]) + (", ..." if len(new) > LISTED else "")
            raise TaskError(
                f"{len(new)} new tasks ({listed}) but {free} spare slots; pre-train with a larger "
                "data.spare_tasks, or give a new task the slot of a similar one with --aliases"
            )
        return TaskTable((*self.names, *new), self.slots, self.aliases)

    @property
    def warning(self) -> str:
        """What to say of a table with more tasks than demonstrations of a kitchen have; empty: nothing."""
        if len(self.names) <= MANY:
            return ""
        return (
            f"{len(self.names)} tasks get a slot each, and what is learned with one is not shared with the others; let "
            "names of the same task share a slot with --aliases FILE, or import Bridge data with --names folder"
        )


def read_aliases(path: Path) -> dict[str, str]:
    """Aliases from a YAML file of lines `name: name whose slot it shares`.

    Raises:
        TaskError: it cannot be read, is no mapping of names to names, or an alias leads to another alias.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TaskError(f"the file of aliases {path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise TaskError(f"the file of aliases {path} holds no lines of the form NAME: NAME")
    for name, other in found.items():
        try:
            check_name(name, "task name")
            check_name(other, "task name")
        except EpisodeError as error:
            raise TaskError(f"{path}: {error}") from error
        if found.get(other, other) != other:
            raise TaskError(f"{path}: {name} is an alias of {other}, which is one of {found[other]}; name that one")
    return found
