# SPDX-License-Identifier: Apache-2.0
"""The command line `ptr`: its own commands, and those that other packages add through entry points.

A command is a function `register(subparsers)` that adds an argparse parser and calls
`parser.set_defaults(run=function)`; `function(arguments)` returns an exit code or None for 0. Packages name
theirs in the entry-point group `ptr.commands`. A `PtrError` that a command raises is printed as one
sentence, and so are errors of the operating system.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import os
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import entry_points

from ptr_models import __version__
from ptr_models.common.arguments import Parser
from ptr_models.common.errors import PtrError
from ptr_models.common.guidance import BEGINS_AGAIN, resumable, tell_interrupted, termination_interrupts
from ptr_models.common.plain_text import plain

GROUP = "ptr.commands"
OWN = {
    "import": "ptr_models.episodes.importing.cli:register",
    "export": "ptr_models.exchange.cli:register",
    "inspect": "ptr_models.episodes.inspection:register",
    "data": "ptr_models.episodes.data_cli:register",
    "label": "ptr_models.episodes.labelling:register",
    "discard": "ptr_models.episodes.discarding:register",
    "recover": "ptr_models.episodes.recovery:register",
    "contract": "ptr_models.contract_cli:register",
    "cache": "ptr_models.replay.cli:register",
    "train": "ptr_models.training.cli:register",
    "analyze": "ptr_models.analysis.cli:register",
    "view": "ptr_models.viewing.cli:register",
    "completion": "ptr_models.completion:register",
}
STAGES = (
    ("try it, in simulation", ("demo", "sim", "inject")),
    (
        "collect demonstrations",
        ("launch", "collect", "teleop", "record", "import", "export", "data", "label", "discard", "replay"),
    ),
    ("train", ("train",)),
    ("run on the arm", ("policy", "arm")),
    ("evaluate", ("evaluate", "table")),
    ("look", ("view", "inspect", "analyze")),
    ("maintain", ("doctor", "calibrate", "contract", "cache", "recover", "completion")),
)
"""Commands in the order of the work; what other packages add beyond them comes last."""
DESCRIPTION = """\
PTR (Pre-Training for Robots): teach a WidowX 250 a new task from ten demonstrations.

Each command explains itself: ptr COMMAND --help."""
EPILOGUE = """\
examples:
  ptr demo                                                   the whole path once, in simulation
  ptr collect put_carrot_on_plate --out data/carrot          ten demonstrations as bags
  ptr view data/carrot                                       a video of each
  ptr inspect data/carrot                                    what is in them
  ptr train finetune --checkpoint ptr_bernoulli_small --target data/carrot --data data/mix --out runs/carrot --steps 800
  ptr sim evaluate --checkpoint runs/carrot --task put_carrot_on_plate --kitchen toykitchen1
  ptr export lerobot data/carrot --out carrot_lerobot        bags as a LeRobotDataset

--task, --kitchen, --episodes, --trials, --checkpoint, --run and --out mean the same in every command. Errors are one
sentence on stderr and exit code 2; --debug before the command adds a traceback. Ctrl-C ends a command with exit code
130 and says how to continue. `ptr completion --help` explains Tab completion of commands, tasks and kitchens."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code.

    0: success; 1: a check found a problem; 2: an error that the user can fix; 128 + the number of the signal that ended
    it.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        with termination_interrupts():
            code = _run(words)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt as error:
        return tell_interrupted(error)
    except BrokenPipeError:  # the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: Sequence[str]) -> int:
    debug = "--debug" in words[:1]
    parser, broken = build_parser(debug)
    if "_ARGCOMPLETE" in os.environ:
        from ptr_models.completion import answer

        answer(parser)
    for name, reason in broken:
        print(f"warning: the command {name!r} is not available: {reason}", file=sys.stderr)
    try:
        with resumable(lambda: "nothing is written yet", BEGINS_AGAIN):
            options = parser.parse_args(words)
    except SystemExit as ended:  # from --help, --version, or an error that was already printed
        return int(ended.code or 0)
    if getattr(options, "run", None) is None:
        parser.print_help()
        return 0
    try:
        return int(options.run(options) or 0)
    except PtrError as error:
        problem: Exception = error
        text = plain(error, newlines=True)
    except BrokenPipeError:
        raise
    except OSError as error:  # e.g. a vanished path or a full disk: the system's message says which
        problem = error
        place = "" if error.filename is None else f"{plain(error.filename)}: "
        text = f"{place}{plain(error.strerror or error)}"
    if debug:
        traceback.print_exception(problem)
    print(f"error: {text}", file=sys.stderr)
    return 2


def build_parser(debug: bool = False) -> tuple[argparse.ArgumentParser, list[tuple[str, str]]]:
    """The parser with all commands that can be loaded, and (name, reason) of those that cannot."""
    parser = _TopParser(
        prog="ptr",
        usage="ptr [-h] [--version] [--debug] COMMAND …",
        description=DESCRIPTION,
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ptr {__version__}")
    parser.add_argument("--debug", action="store_true", help="show a traceback with an error")
    subparsers = parser.add_subparsers(prog="ptr", metavar="COMMAND", help=argparse.SUPPRESS, parser_class=Parser)
    parser.subcommands = subparsers
    broken = []
    for name, load in commands():
        known = set(subparsers.choices)
        try:
            load()(subparsers)
        except Exception as error:  # an error in another package must not disable the other commands
            if debug:
                traceback.print_exc()
            _withdraw(subparsers, set(subparsers.choices) - known)
            broken.append((name, f"{type(error).__name__}: {error}"))
    _describe(parser)
    return parser, broken


def _describe(parser: argparse.ArgumentParser) -> None:
    """Give each command without a description its sentence from the list of commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {item.dest: item.help or "" for item in action._choices_actions}
            for name, child in action.choices.items():
                if not child.description:
                    sentence = about.get(name, "")
                    child.description = f"{sentence[:1].upper()}{sentence[1:]}." if sentence else None
                _describe(child)


class _TopParser(Parser):
    """`ptr` itself: its help lists the commands by purpose."""

    subcommands: argparse._SubParsersAction

    def format_help(self) -> str:
        """Usage, description, commands stage by stage, examples."""
        about = {item.dest: item.help or "" for item in self.subcommands._choices_actions}
        listed = [name for _, names in STAGES for name in names]
        stages = [*STAGES, ("more", tuple(name for name in about if name not in listed))]
        lines = [self.format_usage(), self.description or "", ""]
        for title, names in stages:
            present = [name for name in names if name in about]
            lines += [f"{title}:", *(_entry(name, about[name]) for name in present), ""] if present else []
        lines += ["options:", *(_entry(*pair) for pair in _OPTIONS), "", self.epilog or ""]
        return "\n".join(lines) + "\n"


_OPTIONS = (
    ("-h, --help", "show this help and exit"),
    ("--version", "show the version and exit"),
    ("--debug", "show a traceback with an error"),
)


def _entry(name: str, about: str) -> str:
    return "\n".join(textwrap.wrap(about, 100, initial_indent=f"  {name:<12}", subsequent_indent=" " * 14))


def _withdraw(subparsers: argparse._SubParsersAction, names: set[str]) -> None:
    """Remove the commands of a registration that failed halfway, including from the help."""
    for name in names:
        subparsers.choices.pop(name)
    subparsers._choices_actions[:] = [item for item in subparsers._choices_actions if item.dest not in names]


def commands() -> Iterator[tuple[str, Callable[[], Callable[[argparse._SubParsersAction], None]]]]:
    """Name and loader of each command, own ones first."""
    for name, place in OWN.items():
        yield name, functools.partial(_load, place)
    for entry in sorted(entry_points(group=GROUP), key=lambda item: item.name):
        if entry.name not in OWN:
            yield entry.name, entry.load


def _load(place: str) -> Callable[[argparse._SubParsersAction], None]:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    sys.exit(main())
