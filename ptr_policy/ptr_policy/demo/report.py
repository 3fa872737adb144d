# SPDX-License-Identifier: Apache-2.0
"""Gather what a run of the demonstration left behind into one report, for programs (JSON) and for people (HTML)."""

from __future__ import annotations

import base64
import datetime
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2

from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_atomically, write_json
from ptr_models.json_input import read_object
from ptr_policy.demo import figures
from ptr_policy.demo.plan import Plan
from ptr_policy.demo.runner import StageTime

PACKAGES = ("torch", "numpy", "mujoco", "opencv-python-headless", "rosbags", "rclpy", "ptr_models")
TEMPLATE = Path(__file__).with_name("report.html.jinja")


@dataclass(frozen=True)
class Result:
    """Trials of one checkpoint: successes, and the Wilson 95 % interval of the success rate."""

    successes: int
    trials: int
    rate: float
    interval: tuple[float, float]
    outcomes: list[bool]
    bags: list[str]


def write_report(plan: Plan, stages: Sequence[StageTime]) -> dict[str, Any]:
    """Write report.json and report.html into the run's folder and return what the JSON holds."""
    results = {name: read_result(plan.evaluation(name)) for name in ("finetuned", "pretrained")}
    drawn, score = figures.draw_all(plan, _trials(results))
    report = {
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "plan": json.loads(plan.to_json()),
        "results": {name: asdict(result) for name, result in results.items()},
        "stages": [asdict(stage) for stage in stages],
        "total_seconds": sum(stage.seconds for stage in stages),
        "trend_score": score,
        "figures": {figure.name: str(figure.path.relative_to(plan.out)) for figure in drawn},
        "versions": versions(),
    }
    write_json(plan.report, report)
    write_atomically(plan.report.with_suffix(".html"), _page(plan, report, results, drawn), durable=False)
    return report


def read_result(folder: Path) -> Result:
    """Read what the evaluator concluded from its trials.

    Raises:
        PtrError: it has not finished one.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise PtrError(f"{path} does not exist; the evaluation did not run")
    summary = read_object(path, advice="delete it and evaluate again", finite=False)
    try:
        return _result_of(summary, folder, path)
    except (KeyError, TypeError, ValueError) as error:
        raise PtrError(f"{path} is no summary of an evaluation ({error!r}); delete it and evaluate again") from error


def _result_of(summary: dict[str, Any], folder: Path, path: Path) -> Result:
    judged = [trial for trial in summary["trials"] if trial["outcome"] != "invalid"]
    if not judged:
        raise PtrError(f"{path} holds no judged trial")
    low, high = summary["wilson_95"]
    outcomes = [trial["outcome"] == "success" for trial in judged]
    bags = [str(folder / trial["bag"]) if trial["bag"] else "" for trial in judged]
    return Result(summary["successes"], len(judged), summary["success_rate"], (low, high), outcomes, bags)


def _trials(results: dict[str, Result]) -> list[tuple[str, bool, str]]:
    """Every trial: which it was, whether it succeeded, its bag."""
    words = {"finetuned": "after fine-tuning", "pretrained": "before fine-tuning"}
    return [
        (f"trial {index} {words[name]}", outcome, bag)
        for name, result in results.items()
        for index, (outcome, bag) in enumerate(zip(result.outcomes, result.bags, strict=True), start=1)
    ]


def versions() -> dict[str, str]:
    """Versions of what the figures of a run depend on, and the machine."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    found["ROS 2"] = os.environ.get("ROS_DISTRO", "kilted (wheels)")
    found["machine"] = f"{platform.machine()}, {os.cpu_count()} cores"
    return found


def _page(plan: Plan, report: dict[str, Any], results: dict[str, Result], drawn: Sequence[figures.Figure]) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    shown = [
        {"title": figure.title, "text": figure.text, "caption": figure.text, "data": _inline(figure.path)}
        for figure in drawn
    ]
    strips = [entry for entry, figure in zip(shown, drawn, strict=True) if figure.strip]
    return environment.from_string(TEMPLATE.read_text()).render(
        plan=plan,
        task_text=plan.task.replace("_", " "),
        finetuned=results["finetuned"],
        pretrained=results["pretrained"],
        strips=strips,
        figures=[entry for entry in shown if entry not in strips],
        stages=report["stages"],
        total_seconds=report["total_seconds"],
        versions=report["versions"],
    )


def _inline(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
