# SPDX-License-Identifier: Apache-2.0
"""`ptr completion`: the Tab key completes commands, options, tasks, kitchens and paths, through argcomplete."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from ptr_models.common.arguments import Existing, Name, Output, known, leaves
from ptr_models.common.errors import PtrError

DESCRIPTION = """\
Print what a shell needs so that the Tab key completes commands, options, tasks, kitchens and paths. Run this
once; it works in every shell that you open from then on:

  ptr completion bash >> ~/.bashrc
  ptr completion zsh >> ~/.zshrc
  ptr completion fish > ~/.config/fish/completions/ptr.fish

For a `ptr` that is not on the PATH, name it as you type it: ptr completion bash --name .venv/bin/ptr"""


class CompletionError(PtrError):
    """Completion is not possible here; the message says what it needs."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr completion`."""
    parser = subparsers.add_parser(
        "completion",
        help="set up Tab completion of commands, tasks, kitchens and paths",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that you type in")
    parser.add_argument("--name", default="ptr", metavar="COMMAND", help="how you type the command (default: ptr)")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    shell = "bash" if options.shell == "zsh" else options.shell  # argcomplete's code for bash also serves zsh
    print(_argcomplete().shellcode([options.name], shell=shell))
    return 0


def answer(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what could come next, and end the process; called with every Tab."""
    for _, leaf in leaves(parser):
        for action in leaf._actions:
            completer: _Names | _Paths | None = None
            if isinstance(action.type, Name):
                completer = _Names(action.type.kind)
            elif isinstance(action.type, (Existing, Output)):
                completer = _Paths(only_folders(action.type))
            if completer is not None:
                action.completer = completer  # type: ignore[attr-defined]  # where argcomplete looks for it
    _argcomplete().autocomplete(parser, always_complete_options=False)


def only_folders(kind: Existing | Output) -> bool:
    """Whether a path of this type is never a file."""
    return kind.folder and not getattr(kind, "file", False)


class _Names:
    """The names of a kind that begin with the prefix."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, prefix: str = "", **_: Any) -> list[str]:
        return [name for name in known(self._kind) if name.startswith(prefix)]


class _Paths:
    """The files and folders that begin with the prefix; folders end with a slash."""

    def __init__(self, folders: bool) -> None:
        self._folders = folders

    def __call__(self, prefix: str = "", **_: Any) -> list[str]:
        folder, start = os.path.split(prefix)
        try:
            entries = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda entry: entry.name)
        except OSError:
            return []
        fitting = [entry for entry in entries if entry.name.startswith(start)]
        shown = [entry for entry in fitting if start.startswith(".") or not entry.name.startswith(".")]
        return [
            os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "")
            for entry in shown
            if entry.is_dir() or not self._folders
        ]


def _argcomplete() -> Any:
    try:
        import argcomplete
    except ImportError as error:
        how = f"{sys.executable} -m pip install argcomplete"
        raise CompletionError(f"completion needs the package argcomplete: {how}") from error
    return argcomplete
