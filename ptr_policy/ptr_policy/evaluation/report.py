# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: report.json for programs, report.html for people, both from the folder alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from ptr_models.common.files import write_atomically
from ptr_policy.evaluation.drawing import CURVE_HEIGHT, CURVE_WIDTH, curves, inline_picture
from ptr_policy.evaluation.findings import Evaluation, combined, findings, read_evaluation
from ptr_policy.evaluation.power import format_p
from ptr_policy.evaluation.summary import write_json

TEMPLATE = Path(__file__).with_name("report.html.jinja")
MARKS = {"success": "✓", "failure": "✕", "partial": "½", "invalid": "!"}


def write_report(directory: Path, others: Sequence[Path] = (), disclose: bool = False) -> Path:
    """Write report.json and report.html into the folder of an evaluation, finished or not.

    Args:
        others: further evaluations whose policies are compared with its.
        disclose: show hidden names before all trials are made.
    Returns:
        the page.
    Raises:
        TrialsError: a folder holds no trials, or files that cannot be read.
    """
    evaluation = read_evaluation(directory, disclose)
    report = findings(evaluation)
    if others:
        further = [read_evaluation(other, disclose) for other in others]
        report["comparisons"] = combined([evaluation, *further])
        report["policies"] += [policy for other in further for policy in findings(other)["policies"]]
    write_json(directory / "report.json", report)
    page = directory / "report.html"
    write_atomically(page, render(evaluation, report))
    return page


def render(evaluation: Evaluation, report: dict[str, Any]) -> str:
    """The page; it needs nothing but itself."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": lambda share: f"{100 * share:.0f}", "p": format_p}
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        report=report,
        title=report["task"].replace("_", " "),
        scenes=_scenes(evaluation),
        dots=_dots(evaluation),
        curve_width=CURVE_WIDTH,
        curve_height=CURVE_HEIGHT,
        marks=MARKS,
        helped=any(policy["assisted"] for policy in report["policies"]),
    )


def _dots(evaluation: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """Per policy its trials in the order of the scenes."""
    found: dict[str, list[dict[str, Any]]] = {policy: [] for policy in evaluation.protocol.policies}
    for result in sorted(evaluation.results, key=lambda item: item.trial.scene):
        trial = result.trial
        found[trial.policy].append(
            {"trial": trial.index + 1, "scene": trial.scene + 1, "outcome": result.outcome, "assisted": result.assisted}
        )
    return found


def _scenes(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Trials with their pictures: one group per scene, the policies side by side; of a single policy all in one."""
    root, grouped, policies = evaluation.directory, {}, evaluation.protocol.policies
    several = len(policies) > 1
    for result, curve in zip(evaluation.results, curves(evaluation.results), strict=True):
        pictures = {Path(name).stem.rpartition("_")[2]: root / name for name in result.pictures}
        entry = {
            "result": result,
            "number": result.trial.index + 1,
            "name": evaluation.names[result.trial.policy].name,
            "start": inline_picture(pictures["start"]) if "start" in pictures else "",
            "end": inline_picture(pictures["end"]) if "end" in pictures else "",
            "curve": curve,
            "bag": quote(os.path.relpath(root / result.bag, root)) if result.bag else "",
        }
        grouped.setdefault(result.trial.scene if several else 0, []).append(entry)
    for entries in grouped.values():
        entries.sort(key=lambda entry: policies.index(entry["result"].trial.policy))
    titled = ((f"Scene {scene + 1}" if several else "", entries) for scene, entries in sorted(grouped.items()))
    return [{"title": title, "trials": entries} for title, entries in titled]
