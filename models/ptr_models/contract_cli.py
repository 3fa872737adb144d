# SPDX-License-Identifier: Apache-2.0
"""`ptr contract`: show, make and compare contracts, which say what a policy sees and does."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from pathlib import Path

from ptr_models.common import arguments
from ptr_models.common.assets import shipped_checkpoint
from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.common.guidance import next_step
from ptr_models.common.plain_text import plain
from ptr_models.contract import Camera, Contract, ContractError
from ptr_models.episodes.episode_discovery import episodes_so_far
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.reader import read_metadata
from ptr_models.json_input import read_object

DESCRIPTION = """\
A contract says what a policy sees and does: cameras and the size of their images, the state, the action and its
bounds, the control rate. It is stored in every bag and checkpoint; training, deployment and import compare it.

To name a contract, give its JSON file, an episode, a folder of episodes, a checkpoint, or the folder of a
run; without one, the suite's own is used."""
EPILOGUE = """\
examples:
  ptr contract show                                          the suite's
  ptr contract show data/carrot                              the contracts of a folder of episodes
  ptr contract make wrist.json --camera over_shoulder wrist --image-size 128
  ptr contract compare data/carrot runs/carrot               exit code 1 when they differ

`ptr collect`, `ptr sim collect` and `ptr import` take --image-size; `ptr collect` and `ptr import` also --contract."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr contract`."""
    raw = argparse.RawDescriptionHelpFormatter
    contract = subparsers.add_parser(
        "contract",
        help="show, create and compare contracts (what a policy sees and does)",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=raw,
    )
    contract.set_defaults(run=lambda _: contract.print_help())
    kinds = contract.add_subparsers(title="kinds", metavar="KIND")
    show = kinds.add_parser("show", help="the contract of a file, of episodes, of a checkpoint, or the suite's")
    show.add_argument("source", nargs="?", type=_place, metavar="WHERE", help="default: the suite's own")
    show.add_argument("--json", action="store_true", help="in the form that `ptr contract make` writes")
    show.set_defaults(run=_show)
    make = kinds.add_parser("make", help="write a contract to a file")
    make.add_argument("out", type=arguments.output_file, metavar="FILE.json", help="file to write")
    make.add_argument("--like", type=_place, metavar="WHERE", help="start from this one instead of the suite's")
    arguments.several(make, "--camera", type=camera_name, metavar="NAME", help="one or more cameras, in this order")
    arguments.add_image_size(make)
    make.add_argument("--control-rate", type=arguments.positive, metavar="HZ", help="control steps a second")
    make.set_defaults(run=_make)
    compare = kinds.add_parser("compare", help="what differs between two contracts; exit code 1 when something does")
    for name in ("first", "second"):
        compare.add_argument(name, type=_place, metavar="WHERE", help=f"the {name} one")
    compare.set_defaults(run=_compare)


def contracts_of(source: Path | None) -> Counter[Contract]:
    """The contracts that a file, an episode, a folder of episodes, a checkpoint or a run has, and how often.

    Raises:
        PtrError: there is none, or it can't be read.
    """
    if source is None:
        return Counter([Contract()])
    if source.is_file() and source.suffix != ".mcap":
        return Counter([read_contract(source)])
    index = source / "checkpoint.json" if source.is_dir() else source
    if not index.is_file():
        steps = sorted(source.glob("checkpoints/step_*/checkpoint.json")) if source.is_dir() else []
        index = steps[-1] if steps else index
    if index.is_file() and index.name == "checkpoint.json":
        return Counter([Contract.from_dict(read_object(index, ContractError, finite=False).get("contract", {}))])
    episodes = [source] if source.is_file() else episodes_so_far(source)
    if not episodes:
        raise ContractError(f"{source} is not a contract, and holds no episode and no checkpoint")
    return Counter(read_metadata(path).contract for path in episodes)


def contract_from(source: Path | None) -> Contract:
    """The one contract of a place.

    Raises:
        PtrError: there is none, or there are several.
    """
    found = contracts_of(source)
    if len(found) > 1:
        raise ContractError(
            f"{source} holds episodes of {len(found)} contracts; `ptr contract show {source}` lists them"
        )
    return next(iter(found))


def read_contract(file: Path) -> Contract:
    """The contract in a JSON file.

    Raises:
        PtrError: it can't be read, or is not a contract.
    """
    try:
        return Contract.from_json(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise EpisodeError(f"the contract {file} cannot be read: {error}") from error
    except ContractError as error:
        raise ContractError(f"{file}: {error}") from error


def adjusted(contract: Contract, image_size: tuple[int, int] | None) -> Contract:
    """The contract with images of the size of `--image-size`, if that was given."""
    return contract if image_size is None else contract.with_image_size(*image_size)


def describe(contract: Contract) -> list[str]:
    """A contract as lines for people to read."""
    cameras = [
        f"camera {camera.name}: {camera.width}x{camera.height} pixels, at most {camera.max_age:g} s old"
        + (f", {1e3 * camera.latency:.0f} ms late" if camera.latency else "")
        for camera in contract.cameras
    ]
    bounds = zip(contract.action, contract.action_low, contract.action_high, strict=True)
    return [
        f"contract {contract.hash}, {contract.control_rate:g} Hz",
        *(cameras or ["no cameras"]),
        f"state: {', '.join(contract.state)}",
        f"action: {', '.join(f'{name} {low:g} to {high:g}' for name, low, high in bounds)}",
        f"frames: {contract.end_effector} in {contract.frame}; "
        f"gripper {contract.gripper_closed:g} (closed) to {contract.gripper_open:g} m (open)",
    ]


def _show(options: argparse.Namespace) -> int:
    found = contracts_of(options.source)
    if options.json:
        for contract in found:
            print(json.dumps(contract.to_dict(), indent=1))
        return 0
    for contract, count in found.most_common():
        if sum(found.values()) > 1:
            print(f"{count} episodes:")
        print("\n".join(plain(line) for line in describe(contract)))
    return 0


def _make(options: argparse.Namespace) -> int:
    contract = contract_from(options.like)
    if options.camera:
        contract = contract.with_cameras(options.camera)
    contract = adjusted(contract, options.image_size)
    if options.control_rate is not None:
        contract = dataclasses.replace(contract, control_rate=options.control_rate)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(options.out, contract.to_dict())
    print("\n".join(describe(contract)))
    next_step("collect", "…", "--contract", options.out, "--out", "…", about="record with it")
    return 0


def _compare(options: argparse.Namespace) -> int:
    first, second = contract_from(options.first), contract_from(options.second)
    found = first.differences(second)
    delays = [(name, one, two) for name, one, two in _latencies(first, second) if one != two]
    for line in found:
        print(plain(line))
    for name, one, two in delays:
        print(f"{name}: {1e3 * one:.0f} != {1e3 * two:.0f} ms late (each robot has its own; this does not matter)")
    if not found:
        print("the two agree in all that must be the same")
    elif all(", size: " in line for line in found):
        print("only the sizes differ: training and deployment resize the full images")
    return 1 if found else 0


def _latencies(first: Contract, second: Contract) -> list[tuple[str, float, float]]:
    theirs = {camera.name: camera.latency for camera in second.cameras}
    cameras = [(f"camera {it.name}", it.latency, theirs[it.name]) for it in first.cameras if it.name in theirs]
    return [("command", first.command_latency, second.command_latency), *cameras]


def _place(text: str) -> Path:
    """Where a contract is: a path that is there, or the name of a shipped checkpoint."""
    return shipped_checkpoint(text) or arguments.existing(text)


def camera_name(text: str) -> str:
    """Type of an argument: a well-formed name of a camera."""
    try:
        return Camera(name=text).name
    except PtrError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
