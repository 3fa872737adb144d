# SPDX-License-Identifier: Apache-2.0
"""What the commands of `ptr` share: argument types that refuse bad values in one sentence, and common options.

The types check the environment (does the folder exist, is it writable, is there such a task), so that mistakes show
before anything starts. Each option means the same in every command:

--task, --kitchen       names of the simulator; if a command takes several, they follow one another
--episodes, --trials    demonstrations, and runs of a policy: how many
--data, --target        folders of episodes: of many tasks, and of the new task
--videos                MP4 files and folders of them, without actions
--checkpoint, --run     a checkpoint or the folder of its run, and the folder of a run
--out                   the folder, or the file, that the command writes
--namespace             of the robot that the command talks to, if a ROS domain has several
"""

from __future__ import annotations

import argparse
import difflib
import math
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ptr_models.common.plain_text import plain
from ptr_models.input_limits import MAX_IMAGE_SIDE

MAX_COUNT = 2**31 - 1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_vocabulary: dict[str, Callable[[], Collection[str]]] = {}


class Parser(argparse.ArgumentParser):
    """A parser that reports an error in one sentence on stderr and exits with code 2; so do its subcommands."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where the help is."""
        self.exit(2, f"error: {plain(message)}; see {self.prog} --help\n")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse an unknown choice and suggest the nearest one."""
        if action.choices is not None and value not in action.choices:
            what = "command" if isinstance(action, argparse._SubParsersAction) else "choice"
            raise argparse.ArgumentError(action, unknown_text(what, str(value), [str(one) for one in action.choices]))


def teach(kind: str, names: Callable[[], Collection[str]]) -> None:
    """Register the names of a kind (task, kitchen); the simulator's package calls it."""
    _vocabulary[kind] = names


def known(kind: str) -> Collection[str]:
    """The known names of a kind; none if no simulator is installed."""
    return _vocabulary[kind]() if kind in _vocabulary else ()


def unknown_text(kind: str, name: str, names: Collection[str], where: str = "") -> str:
    """The sentence about an unknown name, with the nearest one and, if there are few, all of them.

    Args:
        where: where all of them are listed.
    """
    similar = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    near = difflib.get_close_matches(similar, names, n=1, cutoff=0.0)
    nearest = f"; the nearest is {near[0]}" if near else ""
    listed = where or f"known: {', '.join(names)}"
    return f"there is no {kind} {name!r}{nearest}; {listed}"


class Name:
    """Type of an argument: a name known to the simulator; without a simulator, any well-formed name.

    Args:
        kind: task, kitchen or camera.
        free: other names are valid too, such as those of tasks on a real table.
    """

    def __init__(self, kind: str, free: bool = False) -> None:
        self.kind, self.free = kind, free

    def __call__(self, text: str) -> str:
        names = known(self.kind)
        if text in names:
            return text
        if names and not self.free:
            raise argparse.ArgumentTypeError(unknown_text(self.kind, text, names, "ptr sim tasks lists all"))
        if not _NAME.fullmatch(text):
            similar = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_.-")[:100] or f"my_{self.kind}"
            raise argparse.ArgumentTypeError(
                f"a {self.kind} has a name of letters, digits and '_', such as {similar}, not {text!r}"
            )
        return text


class OneOf:
    """Type of an argument: one of the names that a function lists when they are needed.

    Args:
        what: what the names refer to.
        where: where to find them, for a long list.
    """

    def __init__(self, what: str, names: Callable[[], Collection[str]], where: str = "") -> None:
        self.what, self.names, self.where = what, names, where

    def __call__(self, text: str) -> str:
        names = self.names()
        if text not in names:
            raise argparse.ArgumentTypeError(unknown_text(self.what, text, names, self.where))
        return text


def image_size(text: str) -> tuple[int, int]:
    """Type of an argument: height and width of images, from N (a square) or WIDTHxHEIGHT."""
    found = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text)
    sides = [int(side) for side in found.groups() if side] if found else []
    if not sides or not all(8 <= side <= MAX_IMAGE_SIDE for side in sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not an image size; write N or WIDTHxHEIGHT, from 8 to {MAX_IMAGE_SIDE}"
        )
    return sides[-1], sides[0]


def device(text: str) -> str:
    """Type of an argument: where PyTorch computes."""
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"there is no device {text!r}; known: auto, cpu, cuda, cuda:0, cuda:1, …")
    return text


def setting(text: str) -> str:
    """Type of an argument: KEY=VALUE of a configuration."""
    if not re.fullmatch(r"[A-Za-z_][\w.]*=.*", text, re.DOTALL):
        raise argparse.ArgumentTypeError(f"{text!r} is not an assignment; write KEY=VALUE")
    return text


WAYS = ("mode", "sample", "sample_gripper", "argmax_q", "softmax_q")
"""Ways of choosing actions: `algorithms.config.CHOICES`, whose import would load PyTorch."""
WAYS_TEXT = ", ".join(WAYS)
way = OneOf("way of choosing actions", lambda: WAYS)
task, kitchen, camera = Name("task"), Name("kitchen"), Name("camera")
any_task, any_kitchen = Name("task", free=True), Name("kitchen", free=True)
LONGEST_INSTRUCTION = 120
"""Characters; the policy server accepts no more."""


def task_or_instruction(text: str) -> str:
    """Type of an argument: the name of a task, or words for a policy that takes instructions."""
    if not any(character.isspace() for character in text.strip()):
        return any_task(text)
    if len(text) > LONGEST_INSTRUCTION or not text.isprintable():
        raise argparse.ArgumentTypeError(f"an instruction has at most {LONGEST_INSTRUCTION} printable characters")
    return text


class Whole:
    """Type of an argument: a whole number within bounds."""

    def __init__(self, low: int, high: int = MAX_COUNT, also: Sequence[int] = ()) -> None:
        self.low, self.high, self.also = low, high, tuple(also)

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"a whole number is needed, not {text!r}") from None
        if not self.low <= value <= self.high and value not in self.also:
            limit = f"{self.low} or more" if self.high == MAX_COUNT else f"{self.low} to {self.high}"
            raise argparse.ArgumentTypeError(f"{limit} is needed, not {text}")
        return value


class Real:
    """Type of an argument: a finite number within bounds; `above`: greater than the lower bound."""

    def __init__(self, low: float = -math.inf, high: float = math.inf, above: bool = False) -> None:
        self.low, self.high, self.above = low, high, above

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"a number is needed, not {text!r}")
        if not self.low <= value <= self.high or (self.above and value == self.low):
            least = f"more than {self.low:g}" if self.above else f"{self.low:g} or more"
            limit = least if math.isinf(self.high) else f"{self.low:g} to {self.high:g}"
            raise argparse.ArgumentTypeError(f"{limit} is needed, not {text}")
        return value


count, optional_count, seed = Whole(1), Whole(0), Whole(0)
positive, share = Real(0.0, above=True), Real(0.0, 1.0)


class Existing:
    """Type of an argument: an existing path that can be read.

    Args:
        folder, file: what it may be.
    """

    def __init__(self, folder: bool = True, file: bool = False) -> None:
        self.folder, self.file = folder, file

    def __call__(self, text: str) -> Path:
        place, wanted = path(text), "a folder" if self.folder else "a file"
        if not place.exists():
            raise argparse.ArgumentTypeError(f"{text} does not exist; give {wanted}{_beside(place)}")
        if place.is_dir() and not self.folder:
            raise argparse.ArgumentTypeError(f"{text} is a folder; give a file")
        if not place.is_dir() and not self.file:
            raise argparse.ArgumentTypeError(f"{text} is a file; give a folder")
        if not os.access(place, os.R_OK | (os.X_OK if place.is_dir() else 0)):
            raise argparse.ArgumentTypeError(f"{text} is not readable; change its permissions")
        return place


class Episodes(Existing):
    """Type of an argument: a folder with episodes, or a file `.json` that lists some (`ptr data`)."""

    def __call__(self, text: str) -> Path:
        place = path(text)
        if place.is_file() and place.suffix != ".json":
            raise argparse.ArgumentTypeError(f"{text} is a file; give a folder with episodes, or a set of them (.json)")
        return Existing(True, True)(text)


class Output:
    """Type of an argument: a folder or a file that can be written, whether it exists or not.

    Args:
        endings: allowed endings of a file's name; none: any.
    """

    def __init__(self, folder: bool = True, endings: Sequence[str] = ()) -> None:
        self.folder, self.endings = folder, tuple(endings)

    def __call__(self, text: str) -> Path:
        place = path(text).expanduser()
        if place.is_dir() and not self.folder:
            raise argparse.ArgumentTypeError(f"{text} is a folder; give a file")
        if place.exists() and not place.is_dir() and self.folder:
            raise argparse.ArgumentTypeError(f"{text} is a file; give a folder")
        there = next(parent for parent in (place, *place.absolute().parents) if parent.exists())
        if there != place and not there.is_dir():
            raise argparse.ArgumentTypeError(f"{text} cannot be created, since {there} is a file")
        if not os.access(there, os.W_OK | (os.X_OK if there.is_dir() else 0)):
            raise argparse.ArgumentTypeError(f"{text} cannot be written: {there} is not writable")
        if self.endings and place.suffix.lower() not in self.endings:
            raise argparse.ArgumentTypeError(f"{text} does not end in {', '.join(self.endings)}")
        return place


class Checkpoint(Existing):
    """Type of an argument: the folder of a checkpoint, or of a run that has one, or the name of a shipped one."""

    def __call__(self, text: str) -> Path:
        from ptr_models.common.assets import shipped_checkpoint, shipped_names

        place = shipped_checkpoint(text)
        if place is None and not path(text).exists():
            near = _beside(path(text)) or f", or a shipped checkpoint: {', '.join(shipped_names()) or 'none'}"
            raise argparse.ArgumentTypeError(f"{text} does not exist; give the folder of a checkpoint or a run{near}")
        place = place or super().__call__(text)
        steps = place.glob("checkpoints/step_*/checkpoint.json")
        if not (place / "checkpoint.json").is_file() and next(steps, None) is None:
            raise argparse.ArgumentTypeError(f"{text} is neither a checkpoint nor a run that has one")
        return place


existing_folder, existing_file, existing = Existing(), Existing(False, True), Existing(True, True)
output_folder, output_file = Output(), Output(folder=False)
image_file = Output(folder=False, endings=(".png", ".jpg", ".jpeg", ".webp"))
figure_file = Output(folder=False, endings=(*image_file.endings, ".pdf", ".svg"))
set_file = Output(folder=False, endings=(".json",))
episodes = Episodes()
checkpoint = Checkpoint()


def option(
    parser: argparse._ActionsContainer, *names: str, old: Sequence[str] = (), **keywords: Any
) -> argparse.Action:
    """Add an option that also goes by `old` names, which the help does not show."""
    action = parser.add_argument(*names, **keywords)
    for name in old:
        parser._option_string_actions[name] = action
    return action


def several(
    parser: argparse._ActionsContainer, *names: str, old: Sequence[str] = (), **keywords: Any
) -> argparse.Action:
    """Add an option that takes one or more values and may be repeated."""
    keywords = {"nargs": "+", "action": "extend", "default": []} | keywords
    return option(parser, *names, old=old, **keywords)


def also_by_place(parser: argparse.ArgumentParser, name: str, dest: str = "", **keywords: Any) -> None:
    """A required argument that is given as `--name VALUE` or, shorter, as the next word without a name.

    Args:
        dest: attribute of the options; by default the name.
        keywords: of add_argument, among them `type`, `metavar` and `help`.
    """
    pair = parser.add_mutually_exclusive_group(required=True)
    about = keywords.pop("help")
    dest = dest or name
    pair.add_argument(f"--{name}", dest=dest, default=argparse.SUPPRESS, help=about, **keywords)
    pair.add_argument(dest, nargs="?", action=_ByPlace, help=f"the same, without --{name}", **keywords)


class _ByPlace(argparse.Action):
    """A word without a name; if it is missing, it overwrites nothing."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        if values is not None:
            setattr(namespace, self.dest, values)


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add the folder of replay caches."""
    about = "folder of the replay caches (default: ~/.cache/ptr/replay)"
    parser.add_argument("--cache", type=output_folder, metavar="DIR", help=about)


def add_limit(parser: argparse.ArgumentParser, default: int, about: str = "demonstrations") -> None:
    """Add the maximum number of episodes, as `limit`."""
    text = f"{about} (default: {default})"
    option(parser, "--episodes", old=("--limit",), dest="limit", type=count, default=default, metavar="N", help=text)


def add_image_size(parser: argparse.ArgumentParser) -> None:
    """`--image-size` of a command that writes bags: the size of the images that policies will see."""
    about = "that a policy sees, N or WIDTHxHEIGHT; bags keep the full images (default: 64)"
    parser.add_argument("--image-size", type=image_size, metavar="SIZE", help=about)


def add_cameras(parser: argparse.ArgumentParser, type: Callable[[str], str], usual: str) -> None:
    """`--camera` of a command that writes bags.

    Args:
        usual: the cameras if the option is missing.
    """
    about = f"one or more cameras, in the order in which a policy sees them (default: {usual})"
    several(parser, "--camera", old=("--cameras",), dest="cameras", type=type, metavar="NAME", help=about)


def add_tasks(parser: argparse.ArgumentParser, required: bool = False, about: str = "") -> None:
    """`--task` and `--kitchen` of a command of the simulator that takes several; `ptr sim tasks` lists them."""
    usual = "" if required else " (default: those of pre-training)"
    several(
        parser,
        "--task",
        old=("--tasks",),
        dest="tasks",
        type=task,
        required=required,
        metavar="NAME",
        help=about or f"one or more tasks, see ptr sim tasks{usual}",
    )
    several(
        parser,
        "--kitchen",
        old=("--kitchens",),
        dest="kitchens",
        type=kitchen,
        required=required,
        metavar="NAME",
        help=f"one or more kitchens{usual}",
    )


def leaves(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command below a parser, itself included, as (words, parser)."""
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from leaves(child, (*words, name))


def path(text: str) -> Path:
    """Type of an argument: a path on another machine, or one that need not exist."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError("a path is needed, not an empty word")
    return Path(text)


def _beside(path: Path) -> str:
    """A hint at a file or folder with a similar name in the same folder; empty: none."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f", perhaps {path.parent / near[0]}" if near else ""
