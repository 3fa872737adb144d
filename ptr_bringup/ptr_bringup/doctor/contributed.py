# SPDX-License-Identifier: Apache-2.0
"""Checks contributed by other packages through entry points.

An entry point of the group `ptr.checks` is a function without arguments that returns rows of plain values: name,
purpose, whether it is necessary, and a probe. The probe returns two strings, one of them empty: what was found, in a
few words, and how to get it if nothing was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points

from ptr_bringup.doctor.findings import AbsentError, Check

GROUP = "ptr.checks"


def contributed(entries: Iterable[EntryPoint] | None = None) -> list[Check]:
    """The checks of all installed packages, sorted by the names of their entry points.

    An entry point that can't be loaded becomes a failing check, as its package is broken.
    """
    found = []
    for entry in sorted(entry_points(group=GROUP) if entries is None else entries, key=lambda entry: entry.name):
        try:
            found += [Check(name, purpose, needed, _asking(probe)) for name, purpose, needed, probe in entry.load()()]
        except Exception as error:  # whatever another package raises, the other checks must still run
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
