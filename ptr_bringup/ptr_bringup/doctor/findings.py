# SPDX-License-Identifier: Apache-2.0
"""What a check says, and running a list of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any


class AbsentError(Exception):
    """Raised by a probe: what it looks for is missing; the text says how to get it."""


@dataclass(frozen=True)
class Check:
    """One thing that the suite needs, or can use.

    Attributes:
        name: of the thing.
        purpose: what it is for.
        necessary: the suite can't do its main work without it.
        probe: returns what was found, in a few words; raises AbsentError with the advice.
    """

    name: str
    purpose: str
    necessary: bool
    probe: Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """The outcome of a check; `advice` is empty when all is well."""

    name: str
    purpose: str
    necessary: bool
    found: str
    advice: str

    @property
    def status(self) -> str:
        """ok, missing (and necessary), or absent (and not needed by everyone)."""
        if not self.advice:
            return "ok"
        return "missing" if self.necessary else "absent"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"status": self.status}


def examine(check: Check) -> Finding:
    """Carry out one check; an error in it is a finding too."""
    found, advice = "", ""
    try:
        found = check.probe()
    except AbsentError as error:
        advice = str(error)
    except Exception as error:  # whatever a broken installation raises, the other checks must go on
        advice = f"{type(error).__name__}: {error}"
    return Finding(check.name, check.purpose, check.necessary, found, advice)


def healthy(findings: Iterable[Finding]) -> bool:
    """Nothing necessary is missing."""
    return all(finding.status != "missing" for finding in findings)
