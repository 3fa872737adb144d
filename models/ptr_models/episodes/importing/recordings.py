# SPDX-License-Identifier: Apache-2.0
"""Import recordings of raw Bridge, and its numpy form, as bags, with several processes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import google_crc32c

from ptr_models.common.output_folder import locked
from ptr_models.contract import Contract
from ptr_models.episodes import pool
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import ODD, BridgeEpisode, Rule, describe, to_trajectory
from ptr_models.episodes.importing.raw import (
    Recording,
    find_numpy_files,
    find_recordings,
    images_not_taken,
    numpy_episode,
    read_numpy,
    read_recording,
    recordings_in,
)
from ptr_models.episodes.importing.records import Imported, LeftOut, is_there
from ptr_models.episodes.metadata import EpisodeMetadata, placeholder_start
from ptr_models.episodes.trajectory import Trajectory, write_episode

_SHOWN = 6
"""Names at the end of a path that tell recordings apart: task, number, date, raw, group, trajectory."""


@dataclass
class _Done:
    """The result of one process for a recording or a file: bags, and what it left out."""

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    not_taken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Job:
    """A recording, or a file of the numpy form."""

    source: Recording | Path
    rule: Rule


def holds_recordings(source: Path) -> bool:
    """Whether there is raw Bridge or its numpy form in a folder; a file `.npy` counts."""
    return bool(find_numpy_files(source)) or any(True for _ in recordings_in(source))


def import_recordings(
    source: Path,
    out: Path,
    contract: Contract | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    account: Imported | None = None,
    *,
    names: str = "folder",
    action_shift: int | None = None,
    further: Sequence[str] = (),
    workers: int = 1,
) -> Imported:
    """Write a bag for each recording; existing bags are kept, odd recordings are left out.

    Args:
        source: folder of the raw release or of its numpy form, at any depth.
        out: folder for the bags.
        contract: by default the suite's own; its cameras must be in `bridge.CAMERAS`.
        advance: called after each recording, or file of the numpy form, with how many are done, and of how many.
        account: filled during the import, so that it is available after an interruption; returned.
        names: what tasks are named after, one of `bridge.NAMES`.
        action_shift: control steps by which images and states lag behind actions. None: 1 for recordings before
            2021-07-23, else 0; the numpy form is already shifted.
        further: additional cameras, for the episodes that have them.
        workers: processes.
    Raises:
        EpisodeError: there is nothing to import, or the bags cannot be written.
    """
    rule = Rule.of(contract, names, action_shift or 0, further)
    account = Imported() if account is None else account
    jobs = list(_jobs(source, rule, action_shift))
    if not jobs:
        raise EpisodeError(f"{source} holds no recording of Bridge (traj_group*/traj*) and no out.npy")
    with locked(out):
        for done, result in enumerate(pool.in_order(partial(_import, out=out), jobs, workers)):
            account.written += result.written
            account.kept += result.kept
            account.left_out += result.left_out
            _record_not_taken(account, result.not_taken)
            advance(done + 1, len(jobs))
    return account


def _jobs(source: Path, rule: Rule, action_shift: int | None) -> Iterator[_Job]:
    for recording in find_recordings(source):
        yield _Job(recording, rule if action_shift is not None else replace(rule, action_shift=recording.action_shift))
    for path in find_numpy_files(source):
        yield _Job(path, rule)


def _record_not_taken(account: Imported, not_taken: Sequence[str]) -> None:
    """Note once for each kind of image that it is not imported."""
    for name in not_taken:
        why = "bags hold no depth images" if name.startswith("depth_") else "no camera of the contract uses it"
        if (note := f"{name} is not imported: {why}") not in account.notes:
            account.notes.append(note)


def _import(job: _Job, out: Path) -> _Done:
    done = _Done()
    if isinstance(job.source, Recording):
        folder, begun = job.source.folder, job.source.begun
        done.not_taken = images_not_taken(job.source, (*job.rule.cameras.values(), *job.rule.further.values()))
        session = f"{begun:%Y-%m-%d_%H-%M-%S}" if begun else folder.parent.name
        _import_episode(_Episode(job, session, job.source.number, partial(read_recording, job.source)), out, done)
        return done
    path = job.source
    try:
        episodes = read_numpy(path)
    except EpisodeError as error:
        done.left_out.append(LeftOut(path, None, str(error), _shown(path)))
        return done
    session = "_".join(path.absolute().parts[-5:-1])
    for number, found in enumerate(episodes):
        read = partial(numpy_episode, found, source=str(path.absolute()))
        _import_episode(_Episode(job, session, number, read), out, done)
    return done


@dataclass(frozen=True)
class _Episode:
    """One episode that will become a bag.

    Attributes:
        place, number: what the bag is named after.
        read: reads it, with the images of the first names, and those of the second names that it has.
    """

    job: _Job
    place: str
    number: int
    read: Callable[[Sequence[str], Sequence[str]], BridgeEpisode]

    def title(self) -> str:
        """Name of the bag: place, number and a checksum of its numbers, so that it depends on no other episode."""
        episode = self.read((), ())
        checksum = google_crc32c.value(episode.states.tobytes() + episode.actions.tobytes())
        words = re.sub(r"[^A-Za-z0-9-]+", "_", self.place).strip("_")[-80:]
        return f"bridge_{words}_{self.number:05d}_{checksum:08x}"

    def bag(self, title: str) -> tuple[EpisodeMetadata, Trajectory]:
        """What goes into the bag."""
        rule = self.job.rule
        episode = self.read(tuple(rule.cameras.values()), tuple(rule.further.values()))
        return describe(title, episode, rule), to_trajectory(episode, placeholder_start(title))

    def left_out(self, error: Exception) -> LeftOut:
        """Why it does not become a bag."""
        if isinstance(self.job.source, Recording):
            return LeftOut(self.job.source.folder, None, str(error), _shown(self.job.source.folder))
        place = f"{_shown(self.job.source)}, episode {self.number}"
        return LeftOut(self.job.source, self.number, str(error), place)


def _import_episode(episode: _Episode, out: Path, done: _Done) -> None:
    """One bag, unless it is there already (then no image is read) or the episode is odd."""
    try:
        title = episode.title()
    except (*ODD, OSError) as error:
        done.left_out.append(episode.left_out(error))
        return
    if is_there(out / title, episode.job.rule.contract, tuple(episode.job.rule.further)):
        done.kept.append(out / title)
        return
    try:
        metadata, trajectory = episode.bag(title)
    except (*ODD, OSError) as error:
        done.left_out.append(episode.left_out(error))
        return
    write_episode(out, metadata, trajectory)
    done.written.append(out / title)


def _shown(path: Path) -> str:
    return "/".join(path.parts[-_SHOWN:])
