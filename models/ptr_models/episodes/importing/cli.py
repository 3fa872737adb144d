# SPDX-License-Identifier: Apache-2.0
"""`ptr import`: demonstrations of other projects into bags."""

from __future__ import annotations

import argparse
import signal

from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ptr_models.common import arguments
from ptr_models.common.guidance import AGAIN, Interrupted, next_step
from ptr_models.common.plain_text import plain
from ptr_models.contract import Contract
from ptr_models.contract_cli import adjusted, read_contract
from ptr_models.episodes import pool
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import CAMERAS, NAMES, find_files, holds_records, import_bridge
from ptr_models.episodes.importing.recordings import holds_recordings, import_recordings
from ptr_models.episodes.importing.records import Imported, tell_account
from ptr_models.exchange.cli import register_import

_COLUMNS = (TextColumn("{task.description}"), BarColumn())


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr import bridge` and `ptr import lerobot`."""
    parser = subparsers.add_parser(
        "import",
        help="convert demonstrations of other projects to bags",
        description="Convert demonstrations of other projects to bags, for training like recorded ones.",
    )
    parser.set_defaults(run=lambda options: parser.print_help())
    formats = parser.add_subparsers(title="formats", metavar="FORMAT")
    bridge = formats.add_parser(
        "bridge",
        help="BridgeData V2: RLDS (TFRecord files), raw recordings, or numpy (out.npy)",
        description="Each episode of Bridge becomes one bag, from any of its forms: TFRecord files, folders of "
        "recordings (traj_group*/traj*), or files out.npy. image_0 (in a recording, the folder images0) is the camera "
        "over_shoulder; the others are side_1, side_2 and wrist. Tasks are named after the folders of the "
        "original data, as in PTR, or after the instructions, of which the full release has 22 199. Existing "
        "bags are kept; odd or damaged episodes are left out and listed. After an interruption, run the same command "
        "to continue. Pickles are parsed, never executed.",
    )
    bridge.add_argument("source", type=arguments.existing, metavar="SRC", help="folder (or one file) of the data set")
    bridge.add_argument("--out", type=arguments.output_folder, required=True, metavar="DIR", help="folder for the bags")
    bridge.add_argument(
        "--contract",
        type=arguments.existing_file,
        metavar="FILE.json",
        help="contract of the bags (default: the suite's)",
    )
    arguments.add_image_size(bridge)
    image = arguments.OneOf("camera of Bridge", lambda: CAMERAS)
    arguments.add_cameras(bridge, image, "those of the contract")
    arguments.several(
        bridge,
        "--further-camera",
        dest="further_cameras",
        type=image,
        metavar="NAME",
        help="one or more additional cameras, for the episodes that have them; with --camera, episodes that lack the "
        "camera are left out",
    )
    bridge.add_argument(
        "--names",
        choices=NAMES,
        default="folder",
        help="what tasks are named after (default: folder; the instruction if no folder is known)",
    )
    bridge.add_argument(
        "--action-shift",
        type=arguments.optional_count,
        metavar="N",
        help="control steps by which images lag behind actions (default: 1 for raw recordings from before 2021-07-23, "
        "else 0; the conversions to RLDS and numpy have shifted theirs)",
    )
    bridge.add_argument(
        "--workers",
        type=arguments.count,
        metavar="N",
        help="processes, for raw recordings and numpy (default: one per core)",
    )
    bridge.set_defaults(run=_bridge)
    register_import(formats)


def _bridge(options: argparse.Namespace) -> int:
    contract = adjusted(read_contract(options.contract) if options.contract else Contract(), options.image_size)
    contract = contract.with_cameras(options.cameras) if options.cameras else contract
    account = Imported()
    work = _records if holds_records(options.source) or not holds_recordings(options.source) else _recordings
    try:
        work(options, contract, account)
    except KeyboardInterrupt as error:
        raise Interrupted(f"{account.account()}\n{AGAIN}", getattr(error, "number", signal.SIGINT)) from None
    except EpisodeError:
        tell_account(account)
        raise
    print(f"{options.out}: {plain(account.account(), newlines=True)}")
    next_step("inspect", options.out, about="what is in them")
    return 0


def _records(options: argparse.Namespace, contract: Contract, account: Imported) -> None:
    """TFRecord files; the bar counts bytes."""
    total = sum(file.stat().st_size for file in find_files(options.source))
    with Progress(*_COLUMNS, DownloadColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("importing Bridge", total=total)
        import_bridge(
            options.source,
            options.out,
            contract,
            lambda size: bar.advance(task, size),
            account,
            names=options.names,
            action_shift=options.action_shift or 0,
            further=options.further_cameras,
        )


def _recordings(options: argparse.Namespace, contract: Contract, account: Imported) -> None:
    """Raw recordings and numpy; the bar counts recordings, or files."""
    with Progress(*_COLUMNS, MofNCompleteColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("importing Bridge", total=None)
        import_recordings(
            options.source,
            options.out,
            contract,
            lambda done, total: bar.update(task, completed=done, total=total),
            account,
            names=options.names,
            action_shift=options.action_shift,
            further=options.further_cameras,
            workers=options.workers or pool.cores(),
        )
