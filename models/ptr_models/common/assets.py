# SPDX-License-Identifier: Apache-2.0
"""Files that ship with the package and are not Python: checkpoints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ptr_models.common.errors import PtrError


def checkpoint_directories() -> list[Path]:
    """Folders that may hold shipped checkpoints; the first one that exists counts.

    $PTR_CHECKPOINTS, the source tree's models/checkpoints, share/ptr_models/checkpoints of the Python
    installation and of the workspaces on AMENT_PREFIX_PATH.
    """
    stated = os.environ.get("PTR_CHECKPOINTS")
    prefixes = [sys.prefix, *filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))]
    source = Path(__file__).resolve().parents[2] / "checkpoints"
    shared = [Path(prefix) / "share" / "ptr_models" / "checkpoints" for prefix in prefixes]
    return [*([Path(stated)] if stated else []), source, *shared]


def shipped_checkpoint(name: str) -> Path | None:
    """Folder of the shipped checkpoint of that name; None if there is none, or if a path has that name."""
    if Path(name).exists() or os.sep in name:
        return None
    return next((folder / name for folder in checkpoint_directories() if (folder / name).is_dir()), None)


def is_external(reference: str) -> bool:
    """Whether a text names an external policy: KIND:ADDRESS, unless there is such a file or folder."""
    kind, colon, _ = reference.partition(":")
    return bool(colon) and kind.isidentifier() and not Path(reference).exists()


def absolute(reference: str) -> str:
    """An external policy, with the absolute path of its address if that is a file or folder here."""
    kind, _, address = reference.partition(":")
    return f"{kind}:{Path(address).resolve()}" if Path(address).exists() else reference


def shipped_names() -> list[str]:
    """Names of the shipped checkpoints, sorted."""
    folders = [folder for folder in checkpoint_directories() if folder.is_dir()]
    return sorted({path.name for folder in folders for path in folder.iterdir() if path.is_dir()})


def checkpoint_path(name: str | Path) -> Path:
    """Folder of a checkpoint: a path that exists, or the name of a shipped one.

    Raises:
        PtrError: neither; the message lists the shipped ones.
    """
    if Path(name).exists():
        return Path(name)
    folders = [folder for folder in checkpoint_directories() if folder.is_dir()]
    for folder in folders:
        if (folder / name).is_dir():
            return folder / name
    shipped = ", ".join(shipped_names()) or "(none)"
    raise PtrError(f"there is no checkpoint {str(name)!r}; give a folder or one of: {shipped}")
