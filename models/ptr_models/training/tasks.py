# SPDX-License-Identifier: Apache-2.0
"""The task input of a network: a one-hot vector, an embedding of the instruction, or a goal image."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import yaml
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import check_name
from ptr_models.training.text_encoders import TextEncoder

ONE_HOT, LANGUAGE, GOAL_IMAGE = "one_hot", "language", "goal_image"
"""Kinds of task conditioning, see `config.DataConfig`."""

_DOORS = re.compile(r"(open|close)_(cabinet|oven|low_fridge|fridge|microwave)")
_VARIANTS = re.compile(r"_(distractors|cardboard_?fence)$")

MANY = 300
"""With more tasks than this, one task probably has many names; PTR's largest data set had about 100."""
LISTED = 10
"""Number of names that an error lists."""


class TaskError(PtrError):
    """A task is unknown, or no slot is left for it."""


@dataclass(frozen=True)
class TaskTable:
    """Slots of the task vector: names, then spare ones.

    A spare slot was never active in pre-training, so its weights are still the initial ones. Giving it to a new task is
    therefore equivalent to PTR's table, which includes the target task from the first step. A target task with a known
    name (or alias) reuses that slot and what was learned with it.

    Attributes:
        names: of the used slots; the index is the id.
        slots: length of the task vector.
        aliases: name to the name whose slot it shares.
        conditioning: kind of table.
    """

    conditioning: ClassVar[str] = ONE_HOT
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

        The table's aliases come first, then PTR's: scene variants are the same task, and so are all doors.
        """
        name = self.aliases.get(name, name)
        door = _DOORS.fullmatch(_VARIANTS.sub("", name))
        return f"{door[1]}_door" if door else _VARIANTS.sub("", name)

    def lookup(self) -> int | NDArray[np.float32]:
        """How ids become task vectors: the length of a one-hot, or the vector of each id (N, slots)."""
        return self.slots

    def vector(self, name: str) -> NDArray[np.float32]:
        """The task vector (slots,) of a task.

        Raises:
            TaskError: the task is unknown; the message lists the known tasks.
        """
        vector = np.zeros(self.slots, np.float32)
        vector[self.id(name)] = 1.0
        return vector

    def id(self, name: str) -> int:
        """Slot of a task.

        Raises:
            TaskError: the task is unknown; the message lists the known tasks.
        """
        try:
            return self._ids[self.canonical(name)]
        except KeyError:
            raise TaskError(f"unknown task {name!r}; this policy knows: {', '.join(self.names) or 'none'}") from None

    def ids(self, names: Iterable[str]) -> dict[str, int]:
        """Slot of each name in the data."""
        return {name: self.id(name) for name in names}

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    def with_aliases(self, aliases: Mapping[str, str]) -> TaskTable:
        """The table with further aliases, which replace existing ones of the same name."""
        return replace(self, aliases={**self.aliases, **aliases})

    def extended(self, names: Iterable[str]) -> TaskTable:
        """The table with spare slots assigned to new names, in alphabetical order.

        Raises:
            TaskError: more new names than spare slots.
        """
        new = sorted({self.canonical(name) for name in names} - set(self.names))
        if len(self.names) + len(new) > self.slots:
            free = self.slots - len(self.names)
            listed = ", ".join(new[:LISTED]) + (", ..." if len(new) > LISTED else "")
            raise TaskError(
                f"{len(new)} new tasks ({listed}) but {free} spare slots; pre-train with a larger "
                "data.spare_tasks, or let a new task share the slot of a similar one with --aliases"
            )
        return TaskTable((*self.names, *new), self.slots, self.aliases)

    def one_hot(self, names: Iterable[str]) -> TaskTable:
        """A table with a slot for each of these names; errors as in `extended`."""
        return self.extended(names)

    @property
    def warning(self) -> str:
        """A warning if there are suspiciously many tasks; otherwise empty."""
        if len(self.names) <= MANY:
            return ""
        return (
            f"{len(self.names)} tasks get a slot each and share nothing that is learned; let names of the same task "
            "share a slot with --aliases FILE, or import Bridge data with --names folder"
        )


@dataclass(frozen=True)
class LanguageTable(TaskTable):
    """Tasks given in words: each instruction is an entry, and its vector is its embedding.

    Any text can be a task, even if it was in no demonstration.

    Attributes:
        names: instructions of the data, in `canonical` form; slots: width of the encoder's vectors.
        encoder: computes the vectors.
    """

    conditioning: ClassVar[str] = LANGUAGE
    encoder: TextEncoder = field(kw_only=True)

    @classmethod
    def of(cls, texts: Iterable[str], encoder: TextEncoder, aliases: Mapping[str, str] | None = None) -> LanguageTable:
        """Distinct instructions in alphabetical order."""
        table = cls((), encoder.width, dict(aliases or {}), encoder=encoder)
        return replace(table, names=tuple(sorted({table.canonical(text) for text in texts})))

    def canonical(self, name: str) -> str:
        """An instruction, or the words of a task's name: lower case, single spaces, no final period."""
        return " ".join(self.aliases.get(name, name).replace("_", " ").lower().rstrip(".!").split())

    def lookup(self) -> NDArray[np.float32]:
        """The vector of each instruction (N, slots)."""
        return self.encoder.encode(self.names)

    def vector(self, name: str) -> NDArray[np.float32]:
        """The vector (slots,) of any instruction.

        Raises:
            TaskError: the instruction is empty.
        """
        if not (text := self.canonical(name)):
            raise TaskError("the instruction is empty; describe the task in words")
        return self.encoder.encode([text])[0]

    def extended(self, names: Iterable[str]) -> LanguageTable:
        """The table with further instructions; their number is not limited."""
        return replace(self, names=tuple(dict.fromkeys([*self.names, *sorted(map(self.canonical, names))])))

    def one_hot(self, names: Iterable[str]) -> TaskTable:
        """A table with a slot for each of these names."""
        return TaskTable.from_names(names, 0)

    @property
    def warning(self) -> str:
        """Empty: similar instructions share what is learned."""
        return ""


@dataclass(frozen=True)
class GoalImageTable(TaskTable):
    """Tasks given by a goal image, which is part of the encoder's input; the task vector is empty.

    Names only group demonstrations, for ranges of Q and for success classifiers.
    """

    conditioning: ClassVar[str] = GOAL_IMAGE

    @classmethod
    def of(cls, names: Iterable[str], aliases: Mapping[str, str] | None = None) -> GoalImageTable:
        """Distinct tasks in alphabetical order."""
        return cls((), 0, dict(aliases or {})).extended(names)

    def lookup(self) -> NDArray[np.float32]:
        """Empty vectors (N, 0)."""
        return np.empty((len(self.names), 0), np.float32)

    def vector(self, name: str) -> NDArray[np.float32]:
        """An empty vector (0,), for any name."""
        return np.empty(0, np.float32)

    def extended(self, names: Iterable[str]) -> GoalImageTable:
        """The table with further names; their number is not limited."""
        return replace(self, names=tuple(dict.fromkeys([*self.names, *sorted(map(self.canonical, names))])))

    def one_hot(self, names: Iterable[str]) -> TaskTable:
        """A table with a slot for each of these names."""
        return TaskTable.from_names(names, 0)

    @property
    def warning(self) -> str:
        """Empty: the networks don't see names."""
        return ""


def read_aliases(path: Path) -> dict[str, str]:
    """Aliases from a YAML file of lines `name: name whose slot it shares`.

    Raises:
        TaskError: it cannot be read, is not a mapping of names to names, or an alias refers to another alias.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TaskError(f"the file of aliases {path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise TaskError(f"the file of aliases {path} is not a mapping; write lines of the form NAME: NAME")
    for name, other in found.items():
        try:
            check_name(name, "task name")
            check_name(other, "task name")
        except EpisodeError as error:
            raise TaskError(f"{path}: {error}") from error
        if found.get(other, other) != other:
            raise TaskError(f"{path}: {name} is an alias of {other}, an alias of {found[other]}; use {found[other]}")
    return found
