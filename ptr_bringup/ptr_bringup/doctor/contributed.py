# SPDX-License-Identifier: Apache-2.0
"""The checks that other packages contribute: the doctor knows none of them by name, and imports none.

An entry point of the group `ptr.checks` is a function without arguments that returns rows of plain values: name, what
it is for, whether it is necessary, and a probe. The probe returns two texts: what was found, in a few words, and how
to get it where nothing was; one of them is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points

from ptr_bringup.doctor.findings import AbsentError, Check

GROUP = "ptr.checks"


def contributed(entries: Iterable[EntryPoint] | None = None) -> list[Check]:
    """The checks of all installed packages, by the names of their entry points.

    One whose checks can't be listed becomes a check that fails: its package is broken.
    """
    found = []
    for entry in sorted(entry_points(group=GROUP) if entries is None else entries, key=lambda entry: entry.name):
        try:
            found += [Check(name, purpose, needed, _asking(probe)) for name, purpose, needed, probe in entry.load()()]
        except Exception as error:  # whatever another package raises, the other checks must go on
            found.append(Check(entry.name, "the checks of that package", True, _failing(error)))
    return found


def _asking(probe: Callable[[], tuple[str, str]]) -> Callable[[], str]:
    def ask() -> str:
        found, advice = probe()
        if advice:
            raise AbsentError(advice)
        return found

    return ask


def _failing(error: Exception) -> Callable[[], str]:
    def fail() -> str:
        raise error

    return fail
