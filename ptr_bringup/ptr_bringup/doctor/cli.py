# SPDX-License-Identifier: Apache-2.0
"""`ptr doctor`: the checks as a table or as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from ptr_bringup.doctor.checks import all_checks
from ptr_bringup.doctor.findings import Finding, examine, healthy
from ptr_models.common.plain_text import for_markup, plain

STYLES = {"ok": "green", "missing": "bold red", "absent": "yellow"}


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor` to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="show what is installed, what is missing, what it is for and how to get it",
        description="Check this machine. The exit code is 1 if something necessary is missing.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run `ptr doctor`."""
    findings = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, transient=True, disable=options.json) as bar:
        task = bar.add_task("")
        for check in all_checks():
            bar.update(task, description=f"checking {for_markup(check.name)}")
            findings.append(examine(check))
    if options.json:
        report = {"healthy": healthy(findings), "findings": [finding.as_dict() for finding in findings]}
        print(json.dumps(report, indent=2))
    else:
        show(findings, Console())
    return 0 if healthy(findings) else 1


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print the table and a summary line."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("", "what", "for", "found, or how to get it"):
        table.add_column(title, overflow="fold")
    for finding in findings:
        mark = f"[{STYLES[finding.status]}]{finding.status}[/]"
        table.add_row(mark, *map(_printable, (finding.name, finding.purpose, finding.found or finding.advice)))
    console.print(table)
    missing = [finding.name for finding in findings if finding.status == "missing"]
    if missing:
        console.print(f"\n[bold red]Missing and necessary: {for_markup(', '.join(missing))}.[/]")
    else:
        console.print("\n[green]Everything necessary is installed.[/]")


def _printable(text: str) -> str:
    return escape(plain(text, newlines=True))
