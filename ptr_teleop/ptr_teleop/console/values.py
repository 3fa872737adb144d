# SPDX-License-Identifier: Apache-2.0
"""Q along saved episodes: of a file that `ptr analyze` has written (`q` or `critical`), or of a checkpoint."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ptr_models.common.processes import interrupted_with_parent
from ptr_models.episodes.errors import EpisodeError
from ptr_models.json_input import read_object

TIMEOUT = 300.0  # s that a checkpoint may take for one episode


class ValueSource:
    """Where Q of each step of an episode comes from.

    Args:
        file: of `ptr analyze q --json` or `critical --json`; empty: none.
        checkpoint: that computes what the file does not have; empty: none.
    """

    def __init__(self, file: str = "", checkpoint: str = "") -> None:
        self._file, self._checkpoint = file, checkpoint
        self._computed: dict[tuple[str, int], dict[str, Any]] = {}

    @property
    def known(self) -> bool:
        """Whether there is a file or a checkpoint at all."""
        return bool(self._file or self._checkpoint)

    def along(self, path: Path, steps: list[float]) -> dict[str, Any]:
        """Q along an episode: whose, at which times and how much, as `recording` has it of a policy.

        Args:
            path: its folder.   steps: times of its control instants, s, T+1.
        Raises:
            EpisodeError: nobody knows it, or it is of other steps.
        """
        found = self._of_file(path.name)
        if found is None and self._checkpoint:
            found = self._of_checkpoint(path, len(steps))
        if found is None:
            raise EpisodeError(f"{self._file or 'no file of values'} holds no Q along {path.name}")
        whose, q = found
        if len(q) != len(steps) - 1:
            raise EpisodeError(f"Q of {whose} has {len(q)} values, but {path.name} has {len(steps) - 1} steps")
        return {"of": whose, "at": steps[:-1], "q": q}

    def _of_file(self, name: str) -> tuple[str, list[float]] | None:
        return _values(Path(self._file).expanduser(), name) if self._file else None

    def _of_checkpoint(self, path: Path, steps: int) -> tuple[str, list[float]] | None:
        key = (path.name, steps)
        if key not in self._computed:
            with tempfile.TemporaryDirectory(prefix="ptr-values-") as folder:
                file = Path(folder) / "q.json"
                out = ["--json", str(file), "--out", str(file.with_suffix(".png"))]
                analyze = [sys.executable, "-m", "ptr_models", "analyze", "q", str(path)]
                _run([*analyze, "--checkpoint", self._checkpoint, *out])
                self._computed[key] = read_object(file, EpisodeError)
        return _of(self._computed[key], path.name, self._checkpoint)


def _values(file: Path, name: str) -> tuple[str, list[float]] | None:
    return _of(read_object(file, EpisodeError), name, str(file))


def _of(content: dict[str, Any], name: str, where: str) -> tuple[str, list[float]] | None:
    """Whose Q it is, and Q along one episode; None: it is not in there."""
    try:
        episode = next((item for item in content["demonstrations"] if item["name"] == name), None)
        return None if episode is None else (str(content.get("checkpoint", where)), list(map(float, episode["q"])))
    except (KeyError, TypeError, ValueError) as error:
        raise EpisodeError(f"{where} holds no values ({error!r}); make it with `ptr analyze q --json`") from error


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT, check=False, preexec_fn=interrupted_with_parent()
        )
    except subprocess.TimeoutExpired:
        raise EpisodeError(f"the checkpoint gave no Q within {TIMEOUT:.0f} s") from None
    if done.returncode:
        words = done.stderr.strip().splitlines() or ["no reason was given"]
        raise EpisodeError(f"the checkpoint gave no Q: {words[-1]}")
