# SPDX-License-Identifier: Apache-2.0
"""`ptr label`: judge recorded episodes later. Only episode.json changes, not the bag."""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import time
from pathlib import Path

from ptr_models.common import arguments
from ptr_models.common.files import write_atomically
from ptr_models.common.plain_text import counted, plain
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.manifest import is_manifest
from ptr_models.episodes.metadata import OUTCOMES, EpisodeMetadata, Label, TaskEdit
from ptr_models.episodes.reader import find_bag, find_episodes, read_metadata

UNDO, KEEP = "undo", "keep"
EPILOGUE = """\
examples:
  ptr label failure data/carrot/episode_0007 --note "it slipped"
  ptr label partial data/carrot/episode_0008 --score 0.5
  ptr label undo data/carrot/episode_0007                           restores the previous judgment
  ptr label keep data/carrot/episode_00* --task put_carrot_in_pot   correct the recorded task
  ptr label keep data/carrot.json --instruction "put the carrot into the pot"   every episode of a set (ptr data)"""


def relabel(path: Path | str, label: Label) -> EpisodeMetadata:
    """Add a judgment, which becomes the episode's outcome; returns the new metadata.

    Raises:
        EpisodeError: the outcome is unknown, the score is outside of [0, 1], or the episode cannot be read or
            written.
    """
    if label.score is not None and not 0.0 <= label.score <= 1.0:
        raise EpisodeError(f"the score is {label.score:g}; give a number between 0 and 1")
    if label.outcome not in OUTCOMES:
        raise EpisodeError(f"outcome {label.outcome!r} is unknown; known: {', '.join(OUTCOMES)}")
    folder = find_bag(path).parent
    return _write(folder, read_metadata(folder).labelled(label))


def take_back(path: Path | str) -> EpisodeMetadata:
    """Remove the newest judgment of an episode, so that the previous one counts; returns the new metadata.

    Raises:
        EpisodeError: it has no judgment, or cannot be read or written.
    """
    folder = find_bag(path).parent
    metadata = read_metadata(folder)
    if not metadata.labels:
        raise EpisodeError(f"{folder} has no judgment to undo; give it one with ptr label")
    labels = metadata.labels[:-1]
    outcome, score = (labels[-1].outcome, labels[-1].score) if labels else ("unlabelled", None)
    return _write(folder, dataclasses.replace(metadata, labels=labels, outcome=outcome, score=score))


def edit_task(
    path: Path | str, task: str | None, instruction: str | None, annotator: str = "", note: str = ""
) -> EpisodeMetadata:
    """Correct the task or the instruction of an episode. The recorded ones stay in its bag and in `extra`.

    Args:
        task, instruction: None: unchanged.
        annotator, note: who made the change, and why; stored in the history `task_edits`.
    Raises:
        EpisodeError: the name is not usable, or the episode cannot be read or written.
    """
    folder = find_bag(path).parent
    metadata = read_metadata(folder)
    wanted = (
        metadata.task if task is None else task,
        metadata.instruction if instruction is None else instruction.strip(),
    )
    if wanted == (metadata.task, metadata.instruction):
        return metadata
    return _write(folder, metadata.edited(TaskEdit(*wanted, time.time_ns(), annotator, note)))


def _write(folder: Path, metadata: EpisodeMetadata) -> EpisodeMetadata:
    try:
        write_atomically(folder / "episode.json", metadata.to_json())
    except OSError as error:
        raise EpisodeError(f"{folder / 'episode.json'} cannot be written: {error.strerror}") from error
    return metadata


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr label`."""
    parser = subparsers.add_parser(
        "label",
        help="judge recorded episodes as success, failure or partial, undo that, or correct task and instruction",
        description="Set the outcome of recorded episodes for training, or correct their task and instruction. Earlier "
        "judgments and names stay in the episode's history. The bag itself does not change.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    about = f"the judgment; {UNDO}: remove the newest one; {KEEP}: no change, with --task or --instruction"
    parser.add_argument("outcome", choices=(*OUTCOMES, UNDO, KEEP), help=about)
    parser.add_argument(
        "episodes", nargs="+", type=arguments.existing, metavar="EPISODE", help="folder of an episode, or a set"
    )
    parser.add_argument("--task", type=arguments.any_task, metavar="NAME", help="the task that they actually show")
    parser.add_argument("--instruction", metavar="TEXT", help="the task in free words; an empty text removes it")
    parser.add_argument("--score", type=arguments.share, metavar="0..1", help="grade between 0 and 1")
    parser.add_argument("--annotator", "--by", default="", metavar="NAME", help="who judges (default: the user's name)")
    parser.add_argument("--note", default="", metavar="TEXT", help="one sentence")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    edits = options.task is not None or options.instruction is not None
    if options.outcome == KEEP and not edits:
        raise EpisodeError(f"`ptr label {KEEP}` changes nothing without --task or --instruction")
    episodes = [
        path for given in options.episodes for path in (find_episodes([given]) if is_manifest(given) else [given])
    ]
    for path in episodes:  # all or none
        find_bag(path)
    for path in episodes:
        if options.outcome == UNDO:
            metadata = take_back(path)
        elif options.outcome != KEEP:
            label = Label(options.outcome, time.time_ns(), options.annotator or _user(), options.score, options.note)
            metadata = relabel(path, label)
        if edits:
            metadata = edit_task(path, options.task, options.instruction, options.annotator or _user(), options.note)
        name, task = plain(metadata.episode_id), plain(metadata.task)
        told = f' "{plain(metadata.instruction)}"' if metadata.instruction else ""
        count = len(metadata.labels)
        judged = f" ({counted(count, 'judgment')})" if count else ""
        print(f"{name}: {metadata.outcome} of {task}{told}{judged}")
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
