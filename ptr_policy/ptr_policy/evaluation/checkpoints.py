# SPDX-License-Identifier: Apache-2.0
"""The checkpoints under test, and the letters that hide their names in a blind evaluation.

The person who judges a trial must not know which policy acted. Letters are assigned at random, without a seed. The
policy server loads each checkpoint from a folder named by its letter, so that its log, its status and the bags reveal
nothing. `sealed.json` maps letters to checkpoints, encoded so that nobody reads it by accident. This protects against
bias, not against intent.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import shutil
import string
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ptr_models.common.assets import absolute, is_external
from ptr_models.common.files import write_atomically
from ptr_models.json_input import parse_object, read_object
from ptr_models.training.runs import resolve_checkpoint
from ptr_policy.evaluation.summary import write_json
from ptr_policy.evaluation.trials import TrialsError

SEALED = "sealed.json"
_LINKS = "ptr-blind-"  # prefix of the folders of links


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint under test: its name, and its folder or KIND:ADDRESS of an external policy."""

    name: str
    path: str


def parse_checkpoints(text: str, name: str = "policy") -> tuple[Checkpoint, ...]:
    """Parse checkpoints from a text like `scratch=runs/a, act=lerobot:runs/b`, or from one folder.

    Args:
        name: name of a single folder without one.
    Raises:
        TrialsError: a name is missing or used twice.
        CheckpointError: a folder contains no checkpoint.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = []
    for part in parts:
        before, equals, after = part.partition("=")
        if not equals and len(parts) > 1:
            raise TrialsError(f"checkpoint {part!r} has no name; write NAME={part}")
        own, folder = (before.strip(), after.strip()) if equals else (name, part)
        path = absolute(folder) if is_external(folder) else str(resolve_checkpoint(Path(folder)).resolve())
        found.append(Checkpoint(own, path))
    names = [checkpoint.name for checkpoint in found]
    if not all(names) or len(set(names)) < len(names):
        raise TrialsError(f"the checkpoints' names {names} are not all different; give each its own")
    return tuple(found)


def deal_letters(checkpoints: Sequence[Checkpoint]) -> dict[str, Checkpoint]:
    """Assign each checkpoint a random letter that is not the name of a checkpoint."""
    taken = {checkpoint.name.upper() for checkpoint in checkpoints}
    letters = [letter for letter in string.ascii_uppercase if letter not in taken]
    if len(letters) < len(checkpoints):
        raise TrialsError(f"{len(checkpoints)} checkpoints are too many for {len(letters)} letters; evaluate fewer")
    shuffled = list(checkpoints)
    secrets.SystemRandom().shuffle(shuffled)
    return dict(zip(letters, shuffled, strict=False))


def seal(directory: Path, checkpoints: Sequence[Checkpoint]) -> dict[str, Checkpoint]:
    """The letters of an evaluation: assigned when it starts, and kept when it is continued.

    Raises:
        TrialsError: the folder holds an evaluation of other checkpoints.
    """
    if not (directory / SEALED).exists():
        letters = deal_letters(checkpoints)
        content = json.dumps({letter: asdict(checkpoint) for letter, checkpoint in letters.items()})
        write_json(directory / SEALED, {"sealed": base64.b64encode(content.encode()).decode()})
    letters = unseal(directory)
    if set(letters.values()) != set(checkpoints):
        raise TrialsError(f"{directory} holds an evaluation of other checkpoints; give another directory")
    return letters


def unseal(directory: Path) -> dict[str, Checkpoint]:
    """The checkpoint of each letter.

    Raises:
        TrialsError: the file is missing or damaged.
    """
    path = directory / SEALED
    try:
        content = parse_object(base64.b64decode(read_object(path, TrialsError)["sealed"]), str(path), TrialsError)
        return {str(letter): Checkpoint(**values) for letter, values in content.items()}
    except (TrialsError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrialsError(f"{path} cannot be read ({error!r}); the names of the checkpoints are lost") from error


@contextmanager
def aliases(letters: Mapping[str, Checkpoint]) -> Iterator[dict[str, str]]:
    """Create links named by letter to the checkpoints, for the duration of the context.

    An external policy gets a file with its address instead. Links of killed evaluations are removed; running
    evaluations hold a lock on their folder.
    """
    _remove_abandoned()
    with tempfile.TemporaryDirectory(prefix=_LINKS) as folder, _locked(Path(folder)):
        links = {letter: Path(folder) / letter for letter in letters}
        for letter, link in links.items():
            if is_external(letters[letter].path):
                write_atomically(link, letters[letter].path, durable=False)
            else:
                link.symlink_to(letters[letter].path, target_is_directory=True)
        yield {letter: str(link) for letter, link in links.items()}


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder of this user until the context or the process ends.

    Raises:
        OSError: another process holds the lock, or the folder belongs to another user.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        if os.fstat(descriptor).st_uid != os.getuid():
            raise PermissionError(f"{folder} belongs to another user")
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_LINKS}*"):
        with suppress(OSError), _locked(folder):
            shutil.rmtree(folder, ignore_errors=True)
