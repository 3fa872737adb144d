# SPDX-License-Identifier: Apache-2.0
"""The command line `ptr`: own commands, and those that other packages add through entry points.

A command is a function `register(subparsers)` that adds an argparse parser and calls
`parser.set_defaults(run=function)`; `function(arguments)` returns an exit code or None for 0. Packages name
theirs in the entry-point group `ptr.commands`. What a command raises as `PtrError` is printed as one
sentence.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points

from ptr_models import __version__
from ptr_models.errors import PtrError
from ptr_models.plain_text import plain

GROUP = "ptr.commands"
OWN = {
    "import": "ptr_models.episodes.importing.cli:register",
    "export": "ptr_models.exchange.cli:register",
    "inspect": "ptr_models.episodes.inspection:register",
    "label": "ptr_models.episodes.labelling:register",
    "recover": "ptr_models.episodes.recovery:register",
    "cache": "ptr_models.replay.cli:register",
    "train": "ptr_models.training.cli:register",
    "analyze": "ptr_models.analysis.cli:register",
}
DESCRIPTION = """\
PTR (Pre-Training for Robots): teach a WidowX 250 a new task from ten demonstrations.

The usual way: record demonstrations as bags, look at them, fine-tune a pre-trained checkpoint
on them, run the result on the arm, evaluate it. Each command explains itself: ptr COMMAND --help."""
EPILOGUE = """\
examples:
  ptr inspect data/carrot/episode_0001 --sheet sheet.png     what is in a bag
  ptr label failure data/carrot/episode_0007                 judge an episode afterwards
  ptr import bridge bridge_dataset/ --out data/bridge        real WidowX episodes as bags
  ptr export lerobot data/carrot --out carrot_lerobot        bags as a LeRobotDataset
  ptr train finetune --help                                  ten demonstrations into a policy

Errors are one sentence on stderr and exit code 2; --debug before the command shows where they come from."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0, 2 for an error that a person can mend, 130 after ctrl-C)."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    parser, broken = build_parser(debug="--debug" in words[:1])
    for name, reason in broken:
        print(f"warning: the command {name!r} is not available: {reason}", file=sys.stderr)
    options = parser.parse_args(words)
    if getattr(options, "run", None) is None:
        parser.print_help()
        return 0
    try:
        return int(options.run(options) or 0)
    except PtrError as error:
        if options.debug:
            traceback.print_exc()
        print(f"error: {plain(error, newlines=True)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def build_parser(debug: bool = False) -> tuple[argparse.ArgumentParser, list[tuple[str, str]]]:
    """The parser with all commands that can be loaded, and (name, reason) of those that cannot."""
    parser = argparse.ArgumentParser(
        prog="ptr",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ptr {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND")
    broken = []
    for name, load in commands():
        known = set(subparsers.choices)
        try:
            load()(subparsers)
        except Exception as error:  # another package's fault must not take the other commands away
            if debug:
                traceback.print_exc()
            _withdraw(subparsers, set(subparsers.choices) - known)
            broken.append((name, f"{type(error).__name__}: {error}"))
    return parser, broken


def _withdraw(subparsers: argparse._SubParsersAction, names: set[str]) -> None:
    """Take back the commands of a registration that failed half-way, also from the help."""
    for name in names:
        subparsers.choices.pop(name)
    subparsers._choices_actions[:] = [item for item in subparsers._choices_actions if item.dest not in names]


def commands() -> Iterator[tuple[str, Callable[[], Callable[[argparse._SubParsersAction], None]]]]:
    """Name and loader of each command, own ones first."""
    for name, place in OWN.items():
        yield name, lambda place=place: _load(place)
    for entry in sorted(entry_points(group=GROUP), key=lambda item: item.name):
        if entry.name not in OWN:
            yield entry.name, entry.load


def _load(place: str) -> Callable[[argparse._SubParsersAction], None]:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    sys.exit(main())
