# SPDX-License-Identifier: Apache-2.0
"""`ptr cache`: list and delete replay caches."""

from __future__ import annotations

import argparse
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ptr_models.common import arguments
from ptr_models.common.errors import PtrError
from ptr_models.common.plain_text import for_markup
from ptr_models.contract import Contract
from ptr_models.replay.cache import DEFAULT_ROOT
from ptr_models.replay.store import stored_contract

EPILOGUE = """\
examples:
  ptr cache list                   folders, contracts, sizes
  ptr cache clear 3f2a             delete the cache whose name starts like this
  ptr cache clear --all            delete all; bags are read again when needed"""


@dataclass(frozen=True)
class Cache:
    """A cache folder: its contract (None: unreadable), bags in its index, bytes on disk."""

    folder: Path
    contract: Contract | None
    bags: int
    size: int


def caches(root: Path) -> list[Cache]:
    """All caches in a folder, sorted by name."""
    if not root.is_dir():
        return []
    return [_cache(folder) for folder in sorted(root.iterdir()) if (folder / "frames.bin").is_file()]


def _cache(folder: Path) -> Cache:
    try:
        with closing(sqlite3.connect(f"file:{folder / 'index.sqlite'}?mode=ro", uri=True)) as connection:
            (bags,) = connection.execute("SELECT count(*) FROM bags").fetchone()
    except sqlite3.Error:
        bags = 0
    size = sum(512 * file.stat().st_blocks for file in folder.iterdir())
    return Cache(folder, stored_contract(folder), bags, size)


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `cache` to `ptr`."""
    cache = subparsers.add_parser(
        "cache",
        help="list or delete replay caches",
        description="Replay caches hold the decoded frames of bags, and of videos. They can be deleted at any time.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    cache.set_defaults(run=lambda _: cache.print_help())
    kinds = cache.add_subparsers(title="kinds", metavar="KIND")
    listing = kinds.add_parser("list", help="list the caches")
    clear = kinds.add_parser("clear", help="delete caches")
    clear.add_argument("names", nargs="*", metavar="NAME", help="first characters of a cache's name")
    clear.add_argument("--all", action="store_true", help="all of them")
    for parser, run in ((listing, run_list), (clear, run_clear)):
        parser.add_argument(
            "--cache", type=arguments.output_folder, default=DEFAULT_ROOT, metavar="DIR", help="folder of the caches"
        )
        parser.set_defaults(run=run)


def run_list(options: argparse.Namespace) -> int:
    """`ptr cache list`."""
    table = Table("name", "contract", "cameras", "control", box=None, pad_edge=False, title=str(options.cache))
    for heading in ("bags", "GB"):
        table.add_column(heading, justify="right")
    for item in caches(options.cache):
        contract = item.contract
        found = () if contract is None else contract.cameras
        cameras = ", ".join(f"{c.name} {c.width}x{c.height}" for c in found) or "none"
        words = (
            ("unreadable", "", "") if contract is None else (contract.hash, cameras, f"{contract.control_rate:g} Hz")
        )
        table.add_row(item.folder.name, *map(for_markup, words), str(item.bags), f"{item.size / 1e9:.2f}")
    Console(highlight=False).print(table)
    return 0


def run_clear(options: argparse.Namespace) -> int:
    """`ptr cache clear`."""
    chosen = [
        item
        for item in caches(options.cache)
        if options.all or any(item.folder.name.startswith(name) for name in options.names)
    ]
    if not chosen and not options.all:
        wrong = f"no cache in {options.cache} is called {' or '.join(options.names)}; " if options.names else ""
        raise PtrError(f"{wrong}give a name from `ptr cache list`, or --all")
    for item in chosen:
        shutil.rmtree(item.folder)
        print(f"deleted {item.folder} ({item.size / 1e9:.2f} GB)")
    if not chosen:
        print(f"nothing to delete in {options.cache}")
    return 0
