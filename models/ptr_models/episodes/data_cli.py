# SPDX-License-Identifier: Apache-2.0
"""`ptr data`: sets of episodes, as files that list bags without copying them."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from ptr_models.common import arguments
from ptr_models.common.guidance import next_step
from ptr_models.common.output_folder import this_command
from ptr_models.common.plain_text import counted, for_markup, plain
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.exclusion import Exclusion, add_exclude
from ptr_models.episodes.manifest import write_manifest
from ptr_models.episodes.metadata import KINDS, OUTCOMES, EpisodeMetadata
from ptr_models.episodes.overview import NAME, TASK, both_ends, shares
from ptr_models.episodes.reader import find_episodes, read_metadata
from ptr_models.episodes.selection import PARTS, Criteria, ScoreRule, day, last_moment, split

EPILOGUE = """\
examples:
  ptr data list data/carrot                                          show the episodes
  ptr data select data --task put_carrot_on_plate --outcome success --since 2026-03-01 -o good.json
  ptr data split good.json --share 0.9 --seed 1 -o train.json held_out.json
  ptr data merge train.json data/corn -o both.json
  ptr train finetune --checkpoint ptr_bernoulli_small --target both.json --out runs/both --steps 800

A set is a file that lists bags with their checksums. Use it wherever a folder of episodes is expected. If a bag has
changed or is missing, the command stops and names it. Labels may change."""

WIDTH = 140  # columns that the table needs; a narrower terminal breaks its lines
Found = list[tuple[Path, EpisodeMetadata]]


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr data`."""
    parser = subparsers.add_parser(
        "data",
        help="list, select, split and merge sets of episodes",
        description="List episodes, and create sets of them: files that list bags. Use a set wherever a folder of "
        "episodes is expected. No bag is copied or changed.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=lambda options: parser.print_help())
    kinds = parser.add_subparsers(title="what to do", metavar="ACTION")
    listing = _add(kinds, "list", "show totals and one line for each episode", _list)
    select = _add(kinds, "select", "write a set of the matching episodes", _select)
    _add_criteria(select)
    divide = _add(kinds, "split", "split episodes at random into two sets", _split)
    merge = _add(kinds, "merge", "merge several sets into one; identical bags are listed once", _merge)
    divide.add_argument(
        "--share", type=arguments.share, default=0.9, metavar="0..1", help="share of the first set (default: 0.9)"
    )
    divide.add_argument(
        "--by",
        choices=PARTS,
        default="episode",
        help="episode: the share of each task's episodes; task: the share of the tasks, each as a whole "
        "(default: episode)",
    )
    divide.add_argument(
        "--seed", type=arguments.seed, default=0, metavar="N", help="same seed, same split (default: 0)"
    )
    divide.add_argument(
        "-o",
        "--out",
        nargs=2,
        type=arguments.set_file,
        required=True,
        metavar=("FIRST.json", "REST.json"),
        help="files of the two sets",
    )
    for parser_of_one in (select, merge):
        parser_of_one.add_argument(
            "-o", "--out", type=arguments.set_file, required=True, metavar="SET.json", help="file of the set"
        )
    for one in (listing, select, divide, merge):
        add_exclude(one)


def _add(kinds: argparse._SubParsersAction, name: str, about: str, run: object) -> argparse.ArgumentParser:
    parser = kinds.add_parser(name, help=about)
    parser.add_argument(
        "sources", nargs="+", type=arguments.episodes, metavar="EPISODES", help="folders of episodes, or sets (.json)"
    )
    parser.set_defaults(run=run)
    return parser


def _add_criteria(parser: argparse.ArgumentParser) -> None:
    several, add = arguments.several, parser.add_argument
    several(parser, "--task", dest="tasks", type=arguments.any_task, metavar="NAME", help="one or more tasks")
    several(parser, "--outcome", dest="outcomes", choices=OUTCOMES, help="one or more outcomes")
    several(parser, "--operator", metavar="NAME", help="one or more operators")
    several(
        parser, "--kitchen", dest="kitchens", type=arguments.any_kitchen, metavar="NAME", help="one or more kitchens"
    )
    several(parser, "--kind", dest="kinds", choices=KINDS, help="one or more kinds of episodes")
    add(
        "--score",
        type=ScoreRule.parse,
        metavar="'>0.5'",
        help="comparison with the score: >, >=, <, <= or =, in quotes",
    )
    add("--since", type=day, metavar="DATE", help="started at or after this time: 2026-03-31, or 2026-03-31T14:00")
    add(
        "--until",
        type=last_moment,
        metavar="DATE",
        help="started at or before this time; a date without a time means the end of that day",
    )


def _read(options: argparse.Namespace) -> Found:
    exclusion = Exclusion(options.exclude)
    folders = find_episodes(options.sources, exclusion)
    exclusion.warn_of_unused()
    return [(folder, read_metadata(folder)) for folder in _progress(folders, "reading metadata")]


def _progress(folders: Sequence[Path], about: str) -> Sequence[Path]:
    console = Console(stderr=True)
    hidden = not console.is_terminal
    return track(folders, about, console=console, transient=True, disable=hidden)  # type: ignore[return-value]


def _list(options: argparse.Namespace) -> int:
    found = _read(options)
    console = Console(highlight=False)
    console.width = max(WIDTH, console.width)
    seconds = sum(_seconds(item) or 0.0 for _, item in found)
    console.print(f"{len(found)} episodes, {seconds / 60:.1f} minutes", markup=False)
    for line in shares([item for _, item in found]):
        console.print(line, soft_wrap=True, markup=False)
    console.print()
    console.print(_table(found))
    return 0


def _table(found: Found) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("episode", "task", "kind", "outcome", "operator", "begun"):
        table.add_column(heading, no_wrap=True)
    table.add_column("s", justify="right", no_wrap=True)
    for path, item in found:
        seconds = _seconds(item)
        table.add_row(
            for_markup(both_ends(path.name, NAME)),
            for_markup(both_ends(item.task, TASK)),
            item.kind,
            item.outcome if item.score is None else f"{item.outcome} {item.score:g}",
            for_markup(item.operator or "-"),
            time.strftime("%Y-%m-%d %H:%M", time.localtime(item.begun_ns // 10**9)) if item.begun_ns > 0 else "-",
            "-" if seconds is None else f"{seconds:.1f}",
        )
    return table


def _seconds(item: EpisodeMetadata) -> float | None:
    return (item.end_ns - item.start_ns) * 1e-9 if item.end_ns > item.start_ns > 0 else None


def _select(options: argparse.Namespace) -> int:
    criteria = Criteria(
        tasks=options.tasks,
        outcomes=options.outcomes,
        operators=options.operator,
        kitchens=options.kitchens,
        kinds=options.kinds,
        score=options.score,
        since=options.since,
        until=options.until,
    )
    found = _read(options)
    chosen = [path for path, item in found if criteria.fits(item)]
    if not chosen:
        told = "; ".join(" ".join(line.split()) for line in shares([item for _, item in found])[:2])
        scored = sum(item.score is not None for _, item in found)
        also = f"; with a score: {scored}" if criteria.score is not None else ""
        raise EpisodeError(f"none of {len(found)} episodes matches; there are, {told}{also}")
    _write(options.out, chosen, len(found))
    return 0


def _split(options: argparse.Namespace) -> int:
    first, rest = options.out
    if first.absolute() == rest.absolute():
        raise EpisodeError(f"both sets would be {first}; give two different files")
    found = _read(options)
    parts = split(found, options.share, options.seed, options.by, lambda pair: pair[1].task)
    for path, part in zip((first, rest), parts, strict=True):
        _write(path, [folder for folder, _ in part], len(found), last=path == rest)
    return 0


def _merge(options: argparse.Namespace) -> int:
    exclusion = Exclusion(options.exclude)
    folders = find_episodes(options.sources, exclusion)
    exclusion.warn_of_unused()
    _write(options.out, folders, len(folders))
    return 0


def _write(path: Path, folders: Sequence[Path], of: int, last: bool = True) -> None:
    listed = write_manifest(path, _progress(folders, "computing checksums"), this_command())
    again = len(folders) - len(listed)
    names = Counter(folder.name for folder in listed)
    print(
        f"{plain(path)}: {len(listed)} of {of} episodes" + (f", {counted(again, 'duplicate')} omitted" if again else "")
    )
    doubled = [name for name, count in names.items() if count > 1]
    if doubled:
        print(f"  {len(doubled)} names occur more than once, e.g. {plain(doubled[0])}")
    if last:
        next_step("data", "list", path, about="show its episodes")
