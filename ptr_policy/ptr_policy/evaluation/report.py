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
from ptr_models.common.plotting import FOR_PAPERS, save_for_papers
from ptr_models.viewing.clips import clips
from ptr_policy.evaluation.drawing import CURVE_HEIGHT, CURVE_WIDTH, curves, inline_image
from ptr_policy.evaluation.findings import Evaluation, combined, findings, read_evaluation
from ptr_policy.evaluation.power import format_p
from ptr_policy.evaluation.summary import warning_of_held_steps, write_json
from ptr_policy.publishing import SUFFIXES, Bar, percent, success_figure, write_table

TEMPLATE = Path(__file__).with_name("report.html.jinja")
RESULTS = "results"
FILES = [f"{RESULTS}{suffix}" for suffix in (*FOR_PAPERS, *SUFFIXES)] + [f"trials{suffix}" for suffix in SUFFIXES]
"""Files next to the page, for a paper."""
MARKS = {"success": "✓", "failure": "✕", "partial": "½", "invalid": "!"}


def write_report(directory: Path, others: Sequence[Path] = (), disclose: bool = False) -> Path:
    """Write report.json, report.html, and results and trials for a paper into the folder of an evaluation.

    Args:
        others: further evaluations to compare with.
        disclose: show hidden names before all trials are done.
    Returns:
        the page.
    Raises:
        TrialsError: a folder has no trials, or its files can't be read.
    """
    evaluation = read_evaluation(directory, disclose)
    report = findings(evaluation)
    if others:
        further = [read_evaluation(other, disclose) for other in others]
        report["comparisons"] = combined([evaluation, *further])
        report["policies"] += [policy for other in further for policy in findings(other)["policies"]]
    write_json(directory / "report.json", report)
    _write_for_papers(directory, report)
    page = directory / "report.html"
    write_atomically(page, render(evaluation, report))
    return page


def _write_for_papers(directory: Path, report: dict[str, Any]) -> None:
    """The counts and the trials as CSV and LaTeX, and the rates as a figure."""
    policies = report["policies"]
    head = ("policy", "successes", "trials", "95 % (Wilson)", "with help")
    counts = ("successes", "judged", "wilson_95", "assisted_successes")
    rows = [(p["name"], *(percent(p[key]) if key == "wilson_95" else p[key] for key in counts)) for p in policies]
    write_table(directory / RESULTS, head, rows)
    names = {policy["policy"]: policy["name"] for policy in reversed(policies)}  # the first are its own
    fields = ("outcome", "score", "judge", "steps", "held_steps", "mean_q", "duration", "bag")
    trials = [
        (trial["trial"]["index"] + 1, trial["trial"]["scene"] + 1, names[trial["trial"]["policy"]])
        + tuple(trial[field] for field in fields)
        for trial in report["trials"]
    ]
    write_table(directory / "trials", ("trial", "scene", "policy", *fields), trials)
    bars = [Bar(p["name"], p["rate"], p["wilson_95"]) for p in policies if p["rate"] is not None]
    if bars:
        save_for_papers(success_figure(bars, "success with 95 % interval"), directory / f"{RESULTS}.png")


def render(evaluation: Evaluation, report: dict[str, Any]) -> str:
    """The self-contained page."""
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
        files=FILES,
        warning=warning_of_held_steps(evaluation.results),
        helped=any(policy["assisted"] for policy in report["policies"]),
    )


def _dots(evaluation: Evaluation) -> dict[str, list[dict[str, Any]]]:
    """Trials by policy, in the order of the scenes."""
    found: dict[str, list[dict[str, Any]]] = {policy: [] for policy in evaluation.protocol.policies}
    for result in sorted(evaluation.results, key=lambda item: item.trial.scene):
        trial = result.trial
        found[trial.policy].append(
            {"trial": trial.index + 1, "scene": trial.scene + 1, "outcome": result.outcome, "assisted": result.assisted}
        )
    return found


def _scenes(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Trials with their images: one group per scene, policies side by side; a single policy has one group."""
    root, policies = evaluation.directory, evaluation.protocol.policies
    grouped: dict[int, list[dict[str, Any]]] = {}
    several = len(policies) > 1
    bags = [root / result.bag if result.bag else None for result in evaluation.results]
    videos = clips(bags, root / "report.html")
    for result, curve, video in zip(evaluation.results, curves(evaluation.results), videos, strict=True):
        images = {Path(name).stem.rpartition("_")[2]: root / name for name in result.pictures}
        entry = {
            "result": result,
            "number": result.trial.index + 1,
            "name": evaluation.names[result.trial.policy].name,
            "start": inline_image(images["start"]) if "start" in images else "",
            "end": inline_image(images["end"]) if "end" in images else "",
            "curve": curve,
            "video": video,
            "bag": quote(os.path.relpath(root / result.bag, root)) if result.bag else "",
        }
        grouped.setdefault(result.trial.scene if several else 0, []).append(entry)
    for entries in grouped.values():
        entries.sort(key=lambda entry: policies.index(entry["result"].trial.policy))
    titled = ((f"Scene {scene + 1}" if several else "", entries) for scene, entries in sorted(grouped.items()))
    return [{"title": title, "trials": entries} for title, entries in titled]
