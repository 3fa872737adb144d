# SPDX-License-Identifier: Apache-2.0
"""`ptr export`, and the LeRobot part of `ptr import`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ptr_models.common import arguments
from ptr_models.common.guidance import next_step, resumable
from ptr_models.common.plain_text import plain
from ptr_models.contract_cli import read_contract
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import OUTCOMES
from ptr_models.exchange.lerobot import layout

CODECS = ("h264", "av1")


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr export lerobot` and `ptr export rlds`."""
    parser = subparsers.add_parser(
        "export",
        help="convert bags to data sets of other projects",
        description="Convert bags to data sets of other projects.",
    )
    parser.set_defaults(run=lambda options: parser.print_help())
    formats = parser.add_subparsers(title="formats", metavar="FORMAT")
    lerobot = formats.add_parser(
        "lerobot",
        help="LeRobotDataset v3.0",
        description="Each bag becomes one episode of a LeRobotDataset v3.0: a row per control step, and a video per "
        "camera. Bags that can't be read, or whose contract differs from that of the first one, "
        "are left out and listed. After an interruption, run the same command to continue.",
    )
    _add_export(lerobot)
    lerobot.add_argument(
        "--camera",
        action="append",
        metavar="NAME",
        help="camera of the bags; can be repeated (default: those of the contract)",
    )
    lerobot.add_argument(
        "--image-size",
        type=arguments.image_size,
        metavar="SIZE",
        help="of the videos, N or WIDTHxHEIGHT: small ones train faster (default: as recorded)",
    )
    lerobot.add_argument("--codec", choices=CODECS, default="h264", help="of the videos (default: h264)")
    lerobot.add_argument(
        "--crf",
        type=arguments.Whole(0, 51),
        default=18,
        metavar="N",
        help="constant rate factor; lower is better (default: 18)",
    )
    lerobot.set_defaults(run=_export)
    _register_rlds(formats)


def _register_rlds(formats: argparse._SubParsersAction) -> None:
    rlds = formats.add_parser(
        "rlds",
        help="RLDS in the files of TensorFlow Datasets, like Bridge's release",
        description="Each bag becomes one record of a data set that TensorFlow Datasets and `ptr import bridge` read, "
        "with the features of Bridge's release: over_shoulder is image_0. Images are written as recorded. Bags "
        "that can't be read, or whose contract differs from that of the first one, are left out and listed. TensorFlow "
        "is not needed. An interrupted export leaves no data set.",
    )
    _add_export(rlds)
    rlds.add_argument(
        "--name",
        type=_dataset_name,
        default="ptr_dataset",
        metavar="NAME",
        help="of the data set (default: ptr_dataset)",
    )
    rlds.set_defaults(run=_export_rlds)


def _dataset_name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid name of a data set; use a-z, digits and '_'")
    return text


def register_import(formats: argparse._SubParsersAction) -> None:
    """Add `ptr import lerobot`."""
    lerobot = formats.add_parser(
        "lerobot",
        help="LeRobotDataset v2.1 or v3.0 of a WidowX with end-effector displacements",
        description="Each episode of a local LeRobotDataset becomes one bag. The actions must be displacements of the "
        "end effector per step (m, rad) and a gripper, the state its pose and gripper. Data sets that `ptr export "
        "lerobot` wrote include their contract, names and labels. Existing bags are kept; odd or damaged episodes "
        "are left out and listed. After an interruption, run the same command to continue. "
        "Nothing is downloaded.",
    )
    lerobot.add_argument(
        "source", type=arguments.existing_folder, metavar="DIR", help="folder of the data set, with meta/info.json"
    )
    lerobot.add_argument(
        "--out", type=arguments.output_folder, required=True, metavar="DIR", help="folder for the bags"
    )
    lerobot.add_argument(
        "--contract",
        type=arguments.existing_file,
        metavar="FILE.json",
        help="contract of the bags (default: the data set's or the suite's)",
    )
    lerobot.add_argument(
        "--camera",
        action="append",
        metavar="NAME=KEY",
        help="camera of the bags and the part after observation.images. of the feature that it takes; can be repeated "
        "(default: cameras of the same name; image_0 or the only one as the contract's only camera)",
    )
    lerobot.add_argument(
        "--state-names",
        type=_names,
        metavar="A,B,...",
        help="meaning of the state's numbers, if its names differ: x,y,z,roll,pitch,yaw,gripper in its order",
    )
    lerobot.add_argument(
        "--action-names",
        type=_names,
        metavar="A,B,...",
        help="meaning of the action's numbers, if its names differ: dx,dy,dz,droll,dpitch,dyaw,gripper",
    )
    lerobot.add_argument(
        "--gripper-closed-is-1", action="store_true", help="the data set's gripper is 1 when closed (default: open)"
    )
    lerobot.add_argument(
        "--outcome",
        choices=OUTCOMES,
        default="success",
        help="outcome of episodes that have none (default: success, as demonstrations)",
    )
    lerobot.add_argument(
        "--robot", default="", metavar="NAME", help="of the bags (default: wx250s for a widowx, else the data set's)"
    )
    lerobot.add_argument(
        "--jpeg-quality",
        type=arguments.Whole(1, 100),
        default=95,
        metavar="N",
        help="of the images in the bags (default: 95)",
    )
    _add_workers(lerobot)
    lerobot.set_defaults(run=_import)


def _add_export(parser: argparse.ArgumentParser) -> None:
    """The arguments of exports in all formats."""
    parser.add_argument(
        "bags",
        type=arguments.episodes,
        nargs="+",
        metavar="BAGS",
        help="folders of episodes, at any depth, or sets (.json)",
    )
    parser.add_argument(
        "--out", type=arguments.output_folder, required=True, metavar="DIR", help="new folder for the data set"
    )
    parser.add_argument(
        "--outcome",
        action="append",
        choices=OUTCOMES,
        help="outcome of the bags to export; can be repeated (default: any)",
    )
    _add_workers(parser)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=arguments.count, metavar="N", help="processes (default: one per core)")


def _export(options: argparse.Namespace) -> int:
    layout.require_extra()
    from ptr_models.episodes import pool
    from ptr_models.exchange.exporting import Exported
    from ptr_models.exchange.lerobot import exporting
    from ptr_models.exchange.lerobot.video import Encoding

    wanted = exporting.Options(
        cameras=tuple(options.camera) if options.camera else None,
        outcomes=tuple(options.outcome or OUTCOMES),
        encoding=Encoding(options.codec, options.crf),
        image_size=options.image_size,
        workers=options.workers or pool.cores(),
    )
    account = Exported()
    with _bar("exporting bags") as advance:
        with resumable(account.account):
            exporting.export_lerobot(options.bags, options.out, wanted, advance, account)
    print(f"{options.out}: {plain(account.account(), newlines=True)}")
    return 0


def _export_rlds(options: argparse.Namespace) -> int:
    from ptr_models.episodes import pool
    from ptr_models.exchange import rlds
    from ptr_models.exchange.exporting import Exported

    wanted = rlds.Options(
        outcomes=tuple(options.outcome or OUTCOMES), name=options.name, workers=options.workers or pool.cores()
    )
    account = Exported()
    with _bar("exporting bags") as advance:
        rlds.export_rlds(options.bags, options.out, wanted, advance, account)
    print(f"{options.out}: {plain(account.account(), newlines=True)}")
    return 0


def _import(options: argparse.Namespace) -> int:
    layout.require_extra()
    from ptr_models.episodes import pool
    from ptr_models.episodes.importing.records import Imported, tell_account
    from ptr_models.exchange.lerobot import importing

    wanted = importing.Options(
        contract=read_contract(options.contract) if options.contract else None,
        cameras=_cameras(options.camera or []),
        state_names=options.state_names,
        action_names=options.action_names,
        gripper_closed_is_1=options.gripper_closed_is_1,
        outcome=options.outcome,
        robot=options.robot,
        jpeg_quality=options.jpeg_quality,
        workers=options.workers or pool.cores(),
    )
    account = Imported()
    with _bar("importing LeRobot") as advance:
        try:
            with resumable(account.account):
                importing.import_lerobot(options.source, options.out, wanted, advance, account)
        except EpisodeError:
            tell_account(account)
            raise
    print(f"{options.out}: {plain(account.account(), newlines=True)}")
    next_step("inspect", options.out, about="what is in them")
    return 0


@contextmanager
def _bar(about: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar; yields a function to report the number done and the total."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(about, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _cameras(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, equals, key = pair.partition("=")
        if not (name and equals and key):
            raise EpisodeError(f"--camera {pair!r} is not NAME=KEY, for example over_shoulder=image_0")
        found[name] = key
    return found


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name; write A,B,C")
    return names
