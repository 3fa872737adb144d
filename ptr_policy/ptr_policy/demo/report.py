# SPDX-License-Identifier: Apache-2.0
"""Writes the report of a demonstration run, for programs (JSON) and for people (HTML)."""

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
from urllib.parse import quote

import jinja2

from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_atomically, write_json
from ptr_models.common.guidance import command_text
from ptr_models.common.plotting import FOR_PAPERS, save_for_papers
from ptr_models.episodes.episode_discovery import episodes_so_far
from ptr_models.json_input import read_object
from ptr_models.viewing.clips import clips
from ptr_policy.demo import figures
from ptr_policy.demo.plan import WORDS, Plan
from ptr_policy.demo.runner import StageTime, total_seconds
from ptr_policy.publishing import SUFFIXES, Bar, percent, success_figure, write_table

PACKAGES = ("torch", "numpy", "mujoco", "opencv-python-headless", "rosbags", "rclpy", "ptr_models")
TITLES = {
    "ptr": "PTR, after fine-tuning",
    "bc": "Behavior cloning, as many updates",
    "pretrained": "The pre-trained checkpoint, before",
}
SHOWN_DEMONSTRATIONS = 3
"""How many of the demonstrations are videos on the page."""
MAX_INLINE = 2_000_000
"""Bytes of videos embedded in the page, for the demonstrations and for each checkpoint's trials."""
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
    results = {name: read_result(plan.evaluation(name)) for name in plan.names}
    drawn, score = figures.draw_all(plan, _trials(results))
    _write_for_papers(plan, results)
    report = {
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "plan": json.loads(plan.to_json()),
        "results": {name: asdict(result) for name, result in results.items()},
        "stages": [asdict(stage) for stage in stages],
        "total_seconds": total_seconds(stages),
        "trend_score": score,
        "figures": {figure.name: str(figure.path.relative_to(plan.out)) for figure in drawn},
        "versions": versions(),
    }
    write_json(plan.report, report)
    write_atomically(plan.page, _page(plan, report, results, drawn), durable=False)
    return report


def _write_for_papers(plan: Plan, results: dict[str, Result]) -> None:
    """The counts as CSV and LaTeX, and the rates as a figure."""
    head = ("checkpoint", "successes", "trials", "95 % (Wilson)")
    rows = [(WORDS[name], it.successes, it.trials, percent(it.interval)) for name, it in results.items()]
    write_table(plan.out / "results", head, rows)
    bars = [Bar(WORDS[name], it.rate, it.interval, name == "ptr") for name, it in results.items()]
    save_for_papers(success_figure(bars, "success with 95 % interval"), plan.out / "figures" / "results.png")


def read_result(folder: Path) -> Result:
    """Read what the evaluator concluded from its trials.

    Raises:
        PtrError: there is no finished evaluation.
    """
    path = folder / "summary.json"
    if not path.is_file():
        raise PtrError(f"{path} does not exist; the evaluation did not run")
    summary = read_object(path, advice="delete it and evaluate again", finite=False)
    try:
        return _result_of(summary, folder, path)
    except (KeyError, TypeError, ValueError) as error:
        raise PtrError(
            f"{path} is not the summary of an evaluation ({error!r}); delete it and evaluate again"
        ) from error


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
    return [
        (f"trial {index} {WORDS[name]}", outcome, bag)
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
        ptr=results["ptr"],
        caution=_caution(results),
        strips=strips,
        figures=[entry for entry in shown if entry not in strips],
        stages=report["stages"],
        total_seconds=report["total_seconds"],
        versions=report["versions"],
        demonstrations=_videos(plan, [("demonstration", bag) for bag in _demonstrations(plan)]),
        sides=[_side(plan, name, result) for name, result in results.items()],
        next_steps=_next_steps(plan, results["ptr"]),
        files=_files(plan, drawn),
    )


def _caution(results: dict[str, Result]) -> str:
    """A caution about comparing PTR with behavior cloning; empty: the intervals do not overlap."""
    if "bc" not in results:
        return ""
    (ptr_low, ptr_high), (bc_low, bc_high) = results["ptr"].interval, results["bc"].interval
    if ptr_low > bc_high or bc_low > ptr_high:
        return ""
    return (
        "The intervals of PTR and behavior cloning overlap: these trials alone do not settle which is better. "
        "The last command under “What to do next” makes a hundred trials."
    )


def _demonstrations(plan: Plan) -> list[Path]:
    return episodes_so_far(plan.bags)[:SHOWN_DEMONSTRATIONS]


def _side(plan: Plan, name: str, result: Result) -> dict[str, Any]:
    """Trials of a checkpoint with their videos."""
    words = [f"trial {index}: {'success' if it else 'failure'}" for index, it in enumerate(result.outcomes, start=1)]
    bags = [Path(bag) if bag else None for bag in result.bags]
    trials = _videos(plan, list(zip(words, bags, strict=True)))
    return {"result": result, "checkpoint": str(plan.checkpoint_of(name)), "title": TITLES[name], "trials": trials}


def _videos(plan: Plan, bags: Sequence[tuple[str, Path | None]]) -> list[dict[str, str]]:
    """Title, video and link of each bag."""
    sources = clips([bag for _, bag in bags], plan.page, MAX_INLINE)
    return [
        {"title": title, "video": source, "bag": "" if bag is None else quote(os.path.relpath(bag, plan.out))}
        for (title, bag), source in zip(bags, sources, strict=True)
    ]


def _next_steps(plan: Plan, result: Result) -> list[dict[str, str]]:
    """Suggested next steps after the demonstration, with their commands."""
    bag = next((bag for bag in result.bags if bag), str(plan.bags))
    mine = ("collect", plan.task, "--kitchen", plan.kitchen, "--device", "page_keyboard", "--out", "data/by_hand")
    steps = [
        ("Look at a trial closely, with Q, actions and events:", "view", bag),
        ("Drive the arm yourself, and record demonstrations of your own:", *mine),
        ("See which decisions of the demonstrations matter, according to Q:", "analyze", "critical", plan.bags)
        + ("--checkpoint", plan.run("ptr")),
        ("Try the checkpoint in a hundred other scenes, without recording:", "sim", "evaluate", "--checkpoint")
        + (plan.run("ptr"), "--task", plan.task, "--kitchen", plan.kitchen, "--level", plan.level, "--trials", 100),
    ]
    return [{"about": str(about), "command": command_text(*words)} for about, *words in steps]


def _files(plan: Plan, drawn: Sequence[figures.Figure]) -> list[str]:
    """Files next to the page, for a paper."""
    plots = [figure.path for figure in drawn if not figure.strip] + [plan.out / "figures" / "results.png"]
    paths = [plot.with_suffix(suffix) for plot in plots for suffix in FOR_PAPERS]
    paths += [plan.out / f"results{suffix}" for suffix in SUFFIXES]
    return [str(path.relative_to(plan.out)) for path in paths]


def _inline(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
