# SPDX-License-Identifier: Apache-2.0
"""One lock for every folder that a command writes into: two commands never fill the same one.

A kernel lock (flock) on the file `.ptr.lock` in the folder: it ends with the process, however that ends, and
a leftover file means nothing. The file says who holds the lock. (`filelock` does the same, but the versions
that distributions ship empty the file when another process tries to get the lock.)
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ptr_models.common.errors import PtrError
from ptr_models.common.plain_text import plain
from ptr_models.json_input import parse_object

LOCK = ".ptr.lock"
_LONGEST = 120  # characters of a command that are shown


class FolderInUseError(PtrError):
    """Another process writes to the folder; the message says which."""


class FolderNotWritableError(PtrError):
    """The folder can't be made, written or locked."""


class FolderTakenError(PtrError):
    """The folder holds something that the command didn't make."""


@dataclass(frozen=True)
class Holder:
    """Who writes into a folder: process, its command, and since when (seconds of the Unix epoch)."""

    pid: int
    command: str
    since: float

    def __str__(self) -> str:
        begun = time.localtime(self.since)
        today = begun[:3] == time.localtime()[:3]
        clock = time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", begun)
        return f"process {self.pid} ({plain(self.command)}, since {clock})"


@contextmanager
def locked(folder: Path | str) -> Iterator[None]:
    """Lock a folder for the caller; it is created if missing.

    Raises:
        FolderInUseError: another process has it.
        FolderNotWritableError: it can't be made, written or locked.
    """
    lock = FolderLock(folder)
    try:
        yield
    finally:
        lock.close()


class FolderLock:
    """The lock as an object, for callers that hold it longer than a `with` block: see `locked`.

    Args:
        name: of the file that is locked.
        wait: called with the other process before waiting for the lock; None: a lock held elsewhere is an error.
    """

    def __init__(self, folder: Path | str, name: str = LOCK, wait: Callable[[str], None] | None = None) -> None:
        self._folder = Path(folder)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise FolderNotWritableError(_why_not(self._folder, error)) from error
        try:
            self._acquire(wait)
        except BaseException:
            os.close(self._file)
            raise
        _write(self._file, Holder(os.getpid(), this_command(), time.time()))

    def _acquire(self, wait: Callable[[str], None] | None) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise FolderNotWritableError(_why_not(self._folder, error)) from error
            holder = _read(self._file)
            if wait is None:
                raise FolderInUseError(in_use_text(self._folder, holder)) from None
            wait(_name_of(holder))
            fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        """Release the folder; a second call does nothing."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)
        self._file = -1


def require_unused(folder: Path) -> None:
    """Check that no other process writes to the folder, for a command whose child process will lock it.

    Raises:
        FolderInUseError: another process does.
    """
    used, holder = _lock_holder(folder)
    if used:
        raise FolderInUseError(in_use_text(folder, holder))


def in_use(folder: Path | str) -> bool:
    """Whether a process currently writes to the folder."""
    return _lock_holder(Path(folder))[0]


def is_empty(folder: Path) -> bool:
    """Whether a folder is empty, apart from its lock."""
    return all(path.name == LOCK for path in folder.iterdir())


def holds_run(folder: Path, command: str, mark: str, besides: Collection[str] = ()) -> bool:
    """True when a folder holds a run of a command; False when it is missing or empty.

    Args:
        command: as typed by a person.
        mark: a file that each of its runs has.
        besides: names that may be in the folder before a run starts.

    Raises:
        FolderTakenError: it holds something else, or is a file; the command changes neither.
    """
    if folder.is_dir() and not folder.is_symlink():
        if (folder / mark).is_file():
            return True
        if all(path.name in (LOCK, *besides) for path in folder.iterdir()):
            return False
    elif not folder.exists():
        return False
    what = f"is not a run of `{command}` (no {mark})"
    raise FolderTakenError(f"{folder} {what}, so it is left alone; choose another --out")


def require_run_or_empty(folder: Path, command: str, mark: str, besides: Collection[str] = ()) -> None:
    """Refuse a folder in which a run of a command can neither start nor continue; arguments as in `holds_run`.

    Raises:
        FolderTakenError: it holds something else.
    """
    holds_run(folder, command, mark, besides)


def in_use_text(folder: Path, holder: Holder | None) -> str:
    """The message about a folder that another process uses."""
    return f"{folder} is in use: {_name_of(holder)} writes to it; wait until it ends, or choose another folder"


def _name_of(holder: Holder | None) -> str:
    return "another process" if holder is None else str(holder)


def this_command() -> str:
    """How this process was started, as a person would have typed it."""
    name, *words = sys.argv or [""]
    path = Path(name)
    in_package = path.name in ("cli.py", "__main__.py") and path.parent.name == "ptr_models"
    text = shlex.join(["ptr" if in_package else path.name or "python", *words])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _lock_holder(folder: Path) -> tuple[bool, Holder | None]:
    try:
        file = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False, None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True, _read(file)
    finally:
        os.close(file)
    return False, None


def _write(file: int, holder: Holder) -> None:
    """Best effort: the lock also works on a full disk."""
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(dataclasses.asdict(holder)).encode(), 0)


def _read(file: int) -> Holder | None:
    try:
        values = parse_object(os.pread(file, 4096, 0), LOCK)
        return Holder(int(values["pid"]), str(values["command"]), float(values["since"]))
    except (PtrError, KeyError, TypeError, ValueError, OSError):
        return None


def _why_not(folder: Path, error: OSError) -> str:
    if error.errno == errno.EEXIST or (error.errno == errno.ENOTDIR and folder.is_file()):
        return f"{folder} is a file, not a folder; choose another folder"
    return f"{folder} cannot be written: {error.strerror}; choose another folder"
