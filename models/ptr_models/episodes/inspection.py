# SPDX-License-Identifier: Apache-2.0
"""`ptr inspect`: show what is in a bag, whether training can use it, and whether it is worth keeping."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.plain_text import for_markup
from ptr_models.episodes.bag import find_bag, refusing
from ptr_models.episodes.bag_audit import BagAudit, audit_bag
from ptr_models.episodes.contact_sheet import contact_sheet, save_image
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.exclusion import Exclusion, add_exclude
from ptr_models.episodes.manifest import is_manifest
from ptr_models.episodes.metadata import EpisodeMetadata, processor_use_of
from ptr_models.episodes.overview import show_overview
from ptr_models.episodes.quality import DISCARD, Motion, StreamReport, judge
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata

EPILOGUE = """\
examples:
  ptr inspect data/carrot                                    totals, then one line per episode
  ptr inspect data/carrot/episode_0001 --sheet sheet.png     one episode, with its images as a contact sheet
  ptr inspect data/carrot --json                             everything, for programs

Remove a bad episode with `ptr discard`; change its label with `ptr label`."""
WIDTH = 100  # columns that the table of streams needs; a narrower terminal breaks its lines


@dataclasses.dataclass(frozen=True)
class EpisodeReport:
    """A bag as `ptr inspect` shows it.

    Attributes:
        duration: s from the first to the last arrival.
        steps: control steps; None if there is a `problem`.
        motion: the commands; None if there is a `problem`.
        recommendation, findings: keep or discard, and why.
    """

    path: Path
    metadata: EpisodeMetadata
    duration: float
    streams: tuple[StreamReport, ...]
    steps: int | None
    problem: str
    motion: Motion | None
    recommendation: str
    findings: tuple[str, ...]


def inspect(path: Path | str) -> EpisodeReport:
    """Inspect a bag without decoding its images.

    Raises:
        EpisodeError: it cannot be read at all.
    """
    folder = find_bag(path).parent
    metadata = read_metadata(folder)
    with refusing(path):
        audit = audit_bag(path, metadata)
        motion, problem = _motion(audit)
        streams = audit.stream_reports()
    judgment = judge(problem, motion, streams, audit.stalls, audit.mixed, processor_use_of(metadata))
    return EpisodeReport(
        path=folder,
        metadata=metadata,
        duration=audit.duration,
        streams=streams,
        steps=None if motion is None else motion.steps,
        problem=problem,
        motion=motion,
        recommendation=judgment.recommendation,
        findings=judgment.findings,
    )


def _motion(audit: BagAudit) -> tuple[Motion | None, str]:
    """The commands, or why training cannot use the episode."""
    try:
        return audit.motion(), ""
    except EpisodeError as error:
        return None, str(error)


def show(report: EpisodeReport, console: Console) -> None:
    """Print a report as tables."""
    it = report.metadata
    console.print(f"[bold]{for_markup(report.path)}[/bold]  {report.duration:.1f} s", soft_wrap=True)
    graded = "" if it.score is None else f", score {it.score:g}"
    words = f' "{for_markup(it.instruction)}"' if it.instruction else ""
    console.print(f"{it.kind} of [cyan]{it.task}[/cyan]{words}, outcome {it.outcome}{graded}")
    console.print(
        f"robot {for_markup(it.robot)}, kitchen {for_markup(it.kitchen or '-')}, "
        f"seed {'-' if it.seed is None else it.seed}, "
        f"operator {for_markup(it.operator or '-')}, device {for_markup(it.device or '-')}"
    )
    if it.commit:
        console.print(f"software {for_markup(it.commit)}")
    seen = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in it.contract.cameras)
    console.print(f"contract {it.contract.hash}: {seen or 'objects, no cameras'}, {it.contract.control_rate:g} Hz")
    console.print(_table(report.streams))
    if report.motion is not None:
        console.print(_sentence(report.motion))
    if report.problem:
        console.print(f"[red]not usable for training:[/red] {for_markup(report.problem)}")
    else:
        console.print(f"[green]usable:[/green] {report.steps} control steps")
    color = "red" if report.recommendation == DISCARD else "green"
    console.print(f"[{color}]recommendation: {report.recommendation}[/{color}]")
    for finding in report.findings:
        console.print(f"  - {for_markup(finding)}", soft_wrap=True)
    if report.recommendation == DISCARD:
        console.print(f"`ptr discard {for_markup(report.path)}` removes it from the data", soft_wrap=True)


def _table(streams: tuple[StreamReport, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("topic", no_wrap=True)
    for heading in ("count", "lost", "same", "Hz", "jitter\nms", "gap\ns", "delay\nms", "MB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stream in streams:
        table.add_row(
            for_markup(stream.topic),
            str(stream.count),
            str(stream.lost),
            str(stream.repeated),
            f"{stream.rate:.1f}",
            f"{stream.jitter * 1e3:.1f}",
            f"{stream.longest_gap:.2f}",
            f"{stream.delay * 1e3:.1f}",
            f"{stream.size / 1e6:.2f}",
        )
    return table


def _sentence(motion: Motion) -> str:
    clipped = ", ".join(f"{name} {share:.0%}" for name, share in motion.clipped.items()) or "none"
    return (
        f"{motion.duration:.1f} s driven, idle in {motion.idle:.0%} of the steps, gripper closed {motion.closes} and "
        f"opened {motion.opens} times, clipped commands: {clipped}"
    )


def to_dict(report: EpisodeReport) -> dict[str, Any]:
    """A report as JSON values."""
    values = dataclasses.asdict(report) | {"path": str(report.path)}
    values["metadata"] = json.loads(report.metadata.to_json())
    return values


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr inspect`."""
    parser = subparsers.add_parser(
        "inspect",
        help="show what is in bags, whether training can use them, and which are better discarded",
        description="Show an episode's task, outcome, contract and streams (rates, gaps, jitter, delays, lost and "
        "repeated messages), whether training can use it, and whether it is worth keeping. For several episodes, or a "
        "folder of them: totals by task, outcome and operator, the findings and their counts, and one line each.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths",
        nargs="+",
        type=arguments.existing,
        metavar="BAG",
        help="an episode's folder, a folder of episodes, or a set (.json)",
    )
    parser.add_argument(
        "--sheet", type=arguments.image_file, metavar="FILE.png", help="write a contact sheet of the (only) episode"
    )
    add_exclude(parser)
    parser.add_argument("--long", action="store_true", help="for several episodes: all tables of each, no totals")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    console = Console(highlight=False)
    errors = Console(stderr=True, highlight=False) if options.json else console
    episodes, failures = episodes_in(options.paths, Exclusion(options.exclude), errors)
    if options.sheet is not None:
        if len(episodes) != 1:
            raise EpisodeError(f"--sheet shows one episode, not {len(episodes)}; give a single one")
        save_image(options.sheet, contact_sheet(read_episode(episodes[0])))
    reports = list[EpisodeReport]()
    one_by_one = options.long or len(episodes) == 1
    for path in track(episodes, "inspecting", console=Console(stderr=True), transient=True, disable=one_by_one):
        try:
            report = inspect(path)
        except PtrError as error:
            if len(episodes) == 1 and not failures:
                raise
            failures += 1
            _refuse(error, errors)
            continue
        reports.append(report)
        if one_by_one and not options.json:
            console.width = max(WIDTH, console.width)
            show(report, console)
    if options.json:
        print(json.dumps([to_dict(report) for report in reports], indent=1))
    elif not one_by_one:
        show_overview(reports, failures, console)
    return 2 if failures else 0


def episodes_in(paths: Sequence[Path], exclusion: Exclusion, errors: Console) -> tuple[list[Path], int]:
    """The episodes of some paths, and how many paths were unusable, which is printed. A single unusable path raises."""
    found, failures = list[Path](), 0
    for path in paths:
        try:
            found += _episodes_of(path, exclusion)
        except EpisodeError as error:
            if len(paths) == 1:
                raise
            failures += 1
            _refuse(error, errors)
    exclusion.warn_of_unused()
    return found, failures


def _episodes_of(path: Path, exclusion: Exclusion) -> list[Path]:
    """The episode itself, or those in a folder without a bag of its own."""
    if path.is_dir():
        if exclusion.covers(os.fspath(path), os.fspath(path.parent), path.stat()):
            return []
        if not list(path.glob("*.mcap")) and any(path.rglob("*.mcap")):
            return find_episodes([path], exclusion)
    elif is_manifest(path):
        return find_episodes([path], exclusion)
    elif path.is_file() and path.suffix != ".mcap":
        raise EpisodeError(f"{path} is not an episode; give an episode, a folder of episodes, or a set (.json)")
    return [find_bag(path).parent]


def _refuse(error: PtrError, errors: Console) -> None:
    errors.print(f"[red]{for_markup(error)}[/red]", soft_wrap=True)
