# SPDX-License-Identifier: Apache-2.0
"""A separate ROS domain for a simulated session, so that two sessions on one machine do not interfere."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import IO

from ptr_bringup.domain import LAST, occupied
from ptr_models.common.errors import PtrError

VARIABLE = "ROS_DOMAIN_ID"
_held: list[IO[str]] = []


class DomainError(PtrError):
    """No domain is available for a session; the message says what to do."""


def take_own_domain(environment: MutableMapping[str, str] = os.environ, locks: Path | None = None) -> int | None:
    """Set the domain of this process and its children to a free one, and reserve it until the process ends.

    Args:
        environment: modified.
        locks: folder with a lock file per domain; None: the user's.
    Returns:
        The domain; None if the user has set one, which is kept.
    Raises:
        DomainError: none is free.
    """
    if environment.get(VARIABLE):
        return None
    folder = locks or Path(tempfile.gettempdir()) / f"ptr-domains-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if (owner := folder.lstat().st_uid) != os.getuid() or folder.is_symlink():
        raise DomainError(f"{folder} belongs to user {owner}; have it removed, or set {VARIABLE}")
    for domain in range(LAST + 1):
        file = os.fdopen(os.open(folder / str(domain), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        if occupied(domain):
            file.close()
            continue
        _held.append(file)
        environment[VARIABLE] = str(domain)
        return domain
    raise DomainError(f"all {LAST + 1} ROS domains of this machine are in use; end a robot, or set {VARIABLE}")


def sentence_of(domain: int) -> str:
    """How to reach the session from another terminal."""
    return f"ROS domain {domain}; in another terminal: export {VARIABLE}={domain}"
