# SPDX-License-Identifier: Apache-2.0
"""`ptr label`: judge recorded episodes afterwards. The bag stays as it is; episode.json beside it changes."""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import time
from pathlib import Path

from ptr_models.common import arguments
from ptr_models.common.files import write_atomically
from ptr_models.common.plain_text import plain
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import OUTCOMES, EpisodeMetadata, Label
from ptr_models.episodes.reader import find_bag, read_metadata

UNDO, KEEP = "undo", "keep"
EPILOGUE = """\
examples:
  ptr label failure data/carrot/episode_0007 --note "it slipped"
  ptr label partial data/carrot/episode_0008 --score 0.5
  ptr label undo data/carrot/episode_0007                           the judgement before counts again
  ptr label keep data/carrot/episode_00* --task put_carrot_in_pot   another task than was recorded"""


def relabel(path: Path | str, label: Label) -> EpisodeMetadata:
    """Add a judgement to an episode, which becomes its outcome; returns the new metadata.

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
    """Remove the newest judgement of an episode, so that the one before it counts; returns the new metadata.

    Raises:
        EpisodeError: nobody has judged it, or the episode cannot be read or written.
    """
    folder = find_bag(path).parent
    metadata = read_metadata(folder)
    if not metadata.labels:
        raise EpisodeError(f"{folder} has no judgement that could be taken back")
    labels = metadata.labels[:-1]
    outcome, score = (labels[-1].outcome, labels[-1].score) if labels else ("unlabelled", None)
    return _write(folder, dataclasses.replace(metadata, labels=labels, outcome=outcome, score=score))


def rename_task(path: Path | str, task: str) -> EpisodeMetadata:
    """Correct the name of the task that an episode shows; the recorded name stays in its bag, and in `extra`.

    Raises:
        EpisodeError: the name is not usable, or the episode cannot be read or written.
    """
    folder = find_bag(path).parent
    metadata = read_metadata(folder)
    extra = {"recorded_task": metadata.task, **metadata.extra}
    return _write(folder, dataclasses.replace(metadata, task=task, extra=extra))


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
        help="judge recorded episodes as success, failure or partial, undo that, or correct their task",
        description="Set the outcome of recorded episodes for training, or correct the task that they show. Earlier "
        "judgements stay in the episode's history, and the bag itself is not touched.",
        epilog=EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    about = f"the judgement; {UNDO}: take the newest one back; {KEEP}: leave it, for --task"
    parser.add_argument("outcome", choices=(*OUTCOMES, UNDO, KEEP), help=about)
    parser.add_argument(
        "episodes", nargs="+", type=arguments.existing, metavar="EPISODE", help="folder of an episode"
    )
    parser.add_argument("--task", type=arguments.any_task, metavar="NAME", help="the task that they really show")
    parser.add_argument("--score", type=arguments.share, metavar="0..1", help="grade between 0 and 1")
    parser.add_argument("--by", default="", metavar="NAME", help="who judges (default: the user's name)")
    parser.add_argument("--note", default="", metavar="TEXT", help="one sentence")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.outcome == KEEP and options.task is None:
        raise EpisodeError(f"`ptr label {KEEP}` changes nothing without --task")
    for path in options.episodes:  # all or none
        find_bag(path)
    for path in options.episodes:
        if options.outcome == UNDO:
            metadata = take_back(path)
        elif options.outcome != KEEP:
            label = Label(options.outcome, time.time_ns(), options.by or _user(), options.score, options.note)
            metadata = relabel(path, label)
        if options.task is not None:
            metadata = rename_task(path, options.task)
        name, task = plain(metadata.episode_id), plain(metadata.task)
        print(f"{name}: {metadata.outcome} of {task} ({len(metadata.labels)} judgements)")
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
