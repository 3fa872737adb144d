# SPDX-License-Identifier: Apache-2.0
"""`ptr import`: demonstrations of other projects into bags."""

from __future__ import annotations

import argparse
import signal
import sys

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ptr_models.common import arguments
from ptr_models.common.guidance import AGAIN, Interrupted, next_step
from ptr_models.common.plain_text import plain
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import NAMES, find_files, import_bridge
from ptr_models.episodes.importing.records import Imported


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr import bridge`."""
    parser = subparsers.add_parser(
        "import",
        help="turn demonstrations of other projects into bags",
        description="Turn demonstrations of other projects into bags, for training like recorded ones.",
    )
    parser.set_defaults(run=lambda options: parser.print_help())
    formats = parser.add_subparsers(title="formats", metavar="FORMAT")
    bridge = formats.add_parser(
        "bridge",
        help="BridgeData V2 in RLDS form (TFRecord files)",
        description="Each episode of a Bridge TFRecord file becomes one bag: image_0 is the camera "
        "over_shoulder. Tasks are named after the folders of the original data, as in PTR, or after the instructions, "
        "of which the full release has 22 199. Bags that exist already are kept, and records that are odd or damaged "
        "are left out and listed; an import that was interrupted goes on with the same command.",
    )
    bridge.add_argument("source", type=arguments.existing, metavar="SRC", help="folder (or one file) of the data set")
    bridge.add_argument("--out", type=arguments.output_folder, required=True, metavar="DIR", help="folder for the bags")
    bridge.add_argument(
        "--contract",
        type=arguments.existing_file,
        metavar="FILE.json",
        help="contract of the bags (default: the suite's)",
    )
    bridge.add_argument(
        "--names",
        choices=NAMES,
        default="folder",
        help="what tasks are named after (default: folder; the instruction where no folder is known)",
    )
    bridge.add_argument(
        "--action-shift",
        type=arguments.optional_count,
        default=0,
        metavar="N",
        help="control steps by which images lag behind actions: 1 for data recorded before 2021-07-23 that no "
        "conversion has shifted (default: 0, as in the release)",
    )
    bridge.set_defaults(run=_bridge)


def _bridge(options: argparse.Namespace) -> int:
    try:
        contract = (
            Contract.from_json(options.contract.read_text(encoding="utf-8"))
            if options.contract
            else Contract()
        )
    except (OSError, UnicodeDecodeError) as error:
        raise EpisodeError(f"the contract {options.contract} cannot be read: {error}") from error
    total = sum(file.stat().st_size for file in find_files(options.source))
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    account = Imported()
    try:
        with Progress(*columns) as bar:
            task = bar.add_task("importing Bridge", total=total)
            import_bridge(
                options.source,
                options.out,
                contract,
                lambda size: bar.advance(task, size),
                account,
                names=options.names,
                action_shift=options.action_shift,
            )
    except KeyboardInterrupt as error:
        raise Interrupted(f"{account.account()}\n{AGAIN}", getattr(error, "number", signal.SIGINT)) from None
    except EpisodeError:
        print(f"interrupted: {plain(account.account(), newlines=True)}\n{AGAIN}", file=sys.stderr)
        raise
    print(f"{options.out}: {plain(account.account(), newlines=True)}")
    next_step("inspect", options.out, about="what is in them")
    return 0
