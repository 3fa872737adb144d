# SPDX-License-Identifier: Apache-2.0
"""`ptr inspect`: what is in a bag, and whether training can use it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import (
    Episode,
    find_bag,
    find_episodes,
    messages,
    open_bag,
    read_episode,
    read_metadata,
)
from ptr_models.errors import PtrError


@dataclass(frozen=True)
class StreamReport:
    """One topic of a bag.

    Attributes:
        topic, type_name: as recorded.
        count: messages.
        rate: Hz, mean between the first and the last; 0 for fewer than two.
        longest_gap: s between two source stamps.
        delay: s, median of arrival minus source stamp.
        size: bytes of all messages.
    """

    topic: str
    type_name: str
    count: int
    rate: float
    longest_gap: float
    delay: float
    size: int


@dataclass(frozen=True)
class EpisodeReport:
    """A bag as `ptr inspect` shows it: `steps` control steps, or None and the `problem` in the way."""

    path: Path
    metadata: EpisodeMetadata
    duration: float
    streams: tuple[StreamReport, ...]
    steps: int | None
    problem: str


def inspect(path: Path | str) -> EpisodeReport:
    """Look through a bag.

    Raises:
        EpisodeError: it cannot be read at all.
    """
    folder = find_bag(path).parent
    metadata = read_metadata(folder)
    stamps: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    with open_bag(folder) as reader:
        duration = reader.duration * 1e-9
        for topic, kind, stamp, arrival, raw in messages(reader):
            stamps.setdefault((topic, kind), []).append((stamp, arrival, len(raw)))
    streams = tuple(_stream(topic, kind, np.array(rows)) for (topic, kind), rows in sorted(stamps.items()))
    try:
        steps, problem = len(read_episode(folder)), ""
    except EpisodeError as error:
        steps, problem = None, str(error)
    return EpisodeReport(folder, metadata, duration, streams, steps, problem)


def _stream(topic: str, kind: str, rows: NDArray[np.int64]) -> StreamReport:
    source = np.sort(rows[:, 0])
    span = (source[-1] - source[0]) * 1e-9
    return StreamReport(
        topic=topic,
        type_name=kind,
        count=len(rows),
        rate=(len(rows) - 1) / span if span > 0 else 0.0,
        longest_gap=float(np.diff(source).max() * 1e-9) if len(rows) > 1 else 0.0,
        delay=float(np.median(rows[:, 1] - rows[:, 0]) * 1e-9),
        size=int(rows[:, 2].sum()),
    )


def contact_sheet(episode: Episode, columns: int = 8, most: int = 32, tile: int = 128) -> NDArray[np.uint8]:
    """Frames of an episode as one picture, evenly spaced and in reading order, one band per camera.

    Args:
        columns: pictures in a row.
        most: frames at most, per camera.
        tile: width of a picture in pixels.
    Returns:
        (rows * height, columns * width, 3) uint8 RGB.
    """
    bands = []
    for frames in episode.images.values():
        chosen = np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int))
        height = max(1, round(tile * frames.shape[1] / frames.shape[2]))
        tiles = [_tile(frames[index], tile, height, episode, int(index)) for index in chosen]
        blank = np.full((height, tile, 3), 255, np.uint8)
        tiles += [blank] * (math.ceil(len(tiles) / columns) * columns - len(tiles))
        bands += [
            np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)
        ]
    return np.concatenate(bands)


def _tile(
    frame: NDArray[np.uint8], width: int, height: int, episode: Episode, index: int
) -> NDArray[np.uint8]:
    picture = cv2.resize(frame, (width, height), interpolation=cv2.INTER_NEAREST)
    seconds = (episode.stamps[index] - episode.stamps[0]) * 1e-9
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(
            picture, f"{seconds:.1f} s", (4, height - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, thickness
        )
    return picture


def save_image(path: Path, image: NDArray[np.uint8]) -> None:
    """Write an RGB picture; the suffix names the format.

    Raises:
        EpisodeError: unknown format, or the folder does not exist.
    """
    try:
        written = cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    except cv2.error:
        written = False
    if not written:
        raise EpisodeError(f"the picture {path} cannot be written; name an existing folder and .png or .jpg")


def show(report: EpisodeReport, console: Console) -> None:
    """Print a report as tables."""
    it = report.metadata
    console.print(f"[bold]{report.path}[/bold]  {report.duration:.1f} s", soft_wrap=True)
    graded = "" if it.score is None else f", score {it.score:g}"
    console.print(f"{it.kind} of [cyan]{it.task}[/cyan], outcome {it.outcome}{graded}")
    console.print(
        f"robot {it.robot}, kitchen {it.kitchen or '-'}, seed {'-' if it.seed is None else it.seed}, "
        f"operator {it.operator or '-'}, device {it.device or '-'}"
    )
    cameras = ", ".join(f"{camera.name} {camera.width}x{camera.height}" for camera in it.contract.cameras)
    console.print(f"contract {it.contract.hash}: {cameras}, {it.contract.control_rate:g} Hz")
    table = Table("topic", "type", box=None, pad_edge=False)
    for heading in ("messages", "Hz", "longest gap (s)", "delay (ms)", "MB"):
        table.add_column(heading, justify="right")
    for stream in report.streams:
        table.add_row(
            stream.topic,
            stream.type_name.rpartition("/")[2],
            str(stream.count),
            f"{stream.rate:.1f}",
            f"{stream.longest_gap:.3f}",
            f"{stream.delay * 1e3:.1f}",
            f"{stream.size / 1e6:.2f}",
        )
    console.print(table)
    if report.problem:
        console.print(f"[red]not usable for training:[/red] {report.problem}")
    else:
        console.print(f"[green]usable:[/green] {report.steps} control steps")


def to_dict(report: EpisodeReport) -> dict[str, Any]:
    """A report as JSON values."""
    values = dataclasses.asdict(report) | {"path": str(report.path)}
    values["metadata"] = json.loads(report.metadata.to_json())
    return values


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr inspect`."""
    parser = subparsers.add_parser(
        "inspect",
        help="show what is in a bag and whether training can use it",
        description="Show an episode's task, outcome, contract and streams (rates, gaps, delays), and "
        "whether it yields control steps. A folder of episodes shows all of them.",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="BAG", help="an episode's folder, or a folder of episodes"
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE.png", help="write a contact sheet of the (only) episode"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    episodes = [episode for path in options.paths for episode in _episodes_of(path)]
    if options.sheet is not None:
        if len(episodes) != 1:
            raise EpisodeError(f"--sheet shows one episode, not {len(episodes)}; name one")
        save_image(options.sheet, contact_sheet(read_episode(episodes[0])))
    console = Console(highlight=False)
    reports, failures = [], 0
    for path in episodes:
        try:
            report = inspect(path)
        except PtrError as error:
            if len(episodes) == 1:
                raise
            failures += 1
            console.print(f"[red]{error}[/red]", soft_wrap=True)
            continue
        reports.append(to_dict(report))
        if not options.json:
            show(report, console)
    if options.json:
        print(json.dumps(reports, indent=1))
    return 2 if failures else 0


def _episodes_of(path: Path) -> list[Path]:
    """The episode itself, or those in a folder without a bag of its own."""
    if path.is_dir() and not list(path.glob("*.mcap")) and any(path.rglob("*.mcap")):
        return find_episodes([path])
    return [find_bag(path).parent]
