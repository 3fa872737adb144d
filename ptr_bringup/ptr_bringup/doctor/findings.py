# SPDX-License-Identifier: Apache-2.0
"""Checks and their findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any


class AbsentError(Exception):
    """Raised by a probe if something is missing; the message says how to get it."""


@dataclass(frozen=True)
class Check:
    """Something that the suite needs or can use.

    Attributes:
        name: its name.
        purpose: what it is for.
        necessary: the suite can't do its main work without it.
        probe: returns what was found, in a few words, or raises AbsentError with advice.
    """

    name: str
    purpose: str
    necessary: bool
    probe: Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """The result of a check; `advice` is empty if it passed."""

    name: str
    purpose: str
    necessary: bool
    found: str
    advice: str

    @property
    def status(self) -> str:
        """ok, missing (necessary), or absent (optional)."""
        if not self.advice:
            return "ok"
        return "missing" if self.necessary else "absent"

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON data."""
        return asdict(self) | {"status": self.status}


def examine(check: Check) -> Finding:
    """Run one check; an error in it is a finding too."""
    found, advice = "", ""
    try:
        found = check.probe()
    except AbsentError as error:
        advice = str(error)
    except Exception as error:  # whatever a broken installation raises, the other checks must still run
        advice = f"{type(error).__name__}: {error}"
    return Finding(check.name, check.purpose, check.necessary, found, advice)


def healthy(findings: Iterable[Finding]) -> bool:
    """True if nothing necessary is missing."""
    return all(finding.status != "missing" for finding in findings)
