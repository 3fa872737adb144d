# SPDX-License-Identifier: Apache-2.0
"""Things that are chosen by name: the suite's own, and those that installed packages add by entry points."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from ptr_models.common.errors import PtrError

T = TypeVar("T")


class UnknownNameError(PtrError):
    """Nothing of that name is installed; the message lists what is."""


class BrokenPluginError(PtrError):
    """A plug-in can't be loaded; the message names its package and the error."""


class Registry(Generic[T]):
    """One kind of thing by name, loaded when it is first asked for.

    Args:
        kind: what the things are, in the singular, for messages: `device`.
        group: of the entry points, by which other packages add theirs: `ptr.devices`.
        own: the suite's, each as `module:attribute`. An entry point of the same name does not replace them.
    """

    def __init__(self, kind: str, group: str, own: Mapping[str, str]) -> None:
        self.kind, self.group, self._own = kind, group, dict(own)
        self._found: dict[str, EntryPoint] | None = None  # looking through all packages takes tens of milliseconds

    @property
    def names(self) -> tuple[str, ...]:
        """All names, the suite's own first."""
        return (*self._own, *sorted(self._added()))

    def __contains__(self, name: object) -> bool:
        """Whether there is such a thing; if the name is unknown, installed packages are searched again."""
        return name in self._own or name in self._added() or name in self._added(again=True)

    def __getitem__(self, name: str) -> T:
        """The object registered under a name.

        Raises:
            UnknownNameError: no object has that name.
            BrokenPluginError: it can't be loaded.
        """
        if name in self._own:
            module, _, attribute = self._own[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        if name not in self:
            raise UnknownNameError(f"there is no {self.kind} {name!r}; known: {', '.join(self.names)}")
        return self._load(self._added()[name])

    def _added(self, again: bool = False) -> dict[str, EntryPoint]:
        if self._found is None or again:
            found = entry_points(group=self.group)
            self._found = {entry.name: entry for entry in found if entry.name not in self._own}
        return self._found

    def _load(self, entry: EntryPoint) -> Any:
        try:
            return entry.load()
        except Exception as error:  # whatever another package raises
            package = entry.dist.name if entry.dist else entry.value
            raise BrokenPluginError(
                f"the {self.kind} {entry.name!r} of the package {package} can't be loaded: "
                f"{type(error).__name__}: {error}"
            ) from error
