# SPDX-License-Identifier: Apache-2.0
"""Q along saved episodes, from a file of `ptr analyze` (`q` or `critical`) or computed by a checkpoint."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ptr_models.common.processes import interrupted_with_parent
from ptr_models.episodes.errors import EpisodeError
from ptr_models.json_input import read_object

TIMEOUT = 300.0  # s for a checkpoint to compute one episode


class ValueSource:
    """Provides Q for each step of an episode.

    Args:
        file: written by `ptr analyze q --json` or `critical --json`; empty: none.
        checkpoint: computes what the file does not contain; empty: none.
    """

    def __init__(self, file: str = "", checkpoint: str = "") -> None:
        self._file, self._checkpoint = file, checkpoint
        self._computed: dict[tuple[str, int], dict[str, Any]] = {}

    @property
    def known(self) -> bool:
        """Whether there is a file or a checkpoint."""
        return bool(self._file or self._checkpoint)

    def along(self, path: Path, steps: list[float]) -> dict[str, Any]:
        """Q along an episode: its source, times and values, in the form that `recording` uses for a policy.

        Args:
            path: folder of the episode.   steps: times of its control instants, s, T+1.
        Raises:
            EpisodeError: Q is not known, or has another number of steps.
        """
        found = self._of_file(path.name)
        if found is None and self._checkpoint:
            found = self._of_checkpoint(path, len(steps))
        if found is None:
            raise EpisodeError(
                f"Q along {path.name} is not known; add it to {self._file or 'a file'} (`ptr analyze q --json`)"
            )
        source, q = found
        if len(q) != len(steps) - 1:
            raise EpisodeError(f"Q of {source} has {len(q)} values, but {path.name} has {len(steps) - 1} steps")
        return {"of": source, "at": steps[:-1], "q": q}

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
    """The source of Q, and Q along one episode; None: not contained."""
    try:
        episode = next((item for item in content["demonstrations"] if item["name"] == name), None)
        return None if episode is None else (str(content.get("checkpoint", where)), list(map(float, episode["q"])))
    except (KeyError, TypeError, ValueError) as error:
        raise EpisodeError(f"{where} contains no values ({error!r}); make it with `ptr analyze q --json`") from error


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
