# SPDX-License-Identifier: Apache-2.0
"""`ptr label`: judge recorded episodes afterwards. The bag stays as it is; episode.json beside it changes."""

from __future__ import annotations

import argparse
import getpass
import time
from pathlib import Path

from ptr_models.common import arguments
from ptr_models.common.files import write_atomically
from ptr_models.common.plain_text import plain
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import OUTCOMES, EpisodeMetadata, Label
from ptr_models.episodes.reader import find_bag, read_metadata


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
    metadata = read_metadata(folder).labelled(label)
    try:
        write_atomically(folder / "episode.json", metadata.to_json())
    except OSError as error:
        raise EpisodeError(f"{folder / 'episode.json'} cannot be written: {error.strerror}") from error
    return metadata


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add `ptr label`."""
    parser = subparsers.add_parser(
        "label",
        help="judge recorded episodes as success, failure or partial",
        description="Set the outcome of recorded episodes for training. Earlier judgements stay in "
        "the episode's history, and the bag itself is not touched.",
    )
    parser.add_argument("outcome", choices=OUTCOMES, help="the judgement")
    parser.add_argument("episodes", nargs="+", type=arguments.existing, metavar="EPISODE", help="folder of an episode")
    parser.add_argument("--score", type=arguments.share, metavar="0..1", help="grade between 0 and 1")
    parser.add_argument("--by", default="", metavar="NAME", help="who judges (default: the user's name)")
    parser.add_argument("--note", default="", help="one sentence")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    for path in options.episodes:
        label = Label(options.outcome, time.time_ns(), options.by or _user(), options.score, options.note)
        metadata = relabel(path, label)
        print(f"{plain(metadata.episode_id)}: {metadata.outcome} ({len(metadata.labels)} judgements)")
    return 0


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
