# SPDX-License-Identifier: Apache-2.0
"""Bridge as it was recorded (folders of images and pickles), and its numpy form (out.npy): into episodes.

A recording is a folder .../KITCHEN/TASK/NUMBER/DATE/raw/traj_group0/traj0 with images0/im_0.jpg ..., obs_dict.pkl
(full_state), policy_out.pkl (actions) and perhaps lang.txt. It has one more observation than actions. Units, frames
and gripper (1 = open) are those of the RLDS release. In recordings from before 2021-07-23, images and states
lag behind the actions by one step. The conversion to numpy corrects that; a recording still has the lag.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import (
    BridgeEpisode,
    plain_words,
    require_images,
    require_plausible,
)
from ptr_models.episodes.importing.naming import TRAJECTORY, session_of
from ptr_models.episodes.importing.restricted_pickle import load, read_pickle
from ptr_models.episodes.trajectory import encode_jpeg
from ptr_models.input_limits import MAX_NUMPY_BYTES, MAX_RECORD_BYTES, MAX_TEXT

STATES, ACTIONS, INSTRUCTIONS = "obs_dict.pkl", "policy_out.pkl", "lang.txt"
NUMPY = "out.npy"
NO_LATENCY_SINCE = datetime(2021, 7, 23)
"""Recordings that began before this have images that are a step late."""
_GROUP = re.compile(r"traj_group\d+")
_IMAGE = re.compile(r"im_(\d+)\.jpg")


@dataclass(frozen=True)
class Recording:
    """Where an episode of the raw release is.

    Attributes:
        folder: traj0, with the images.   number: of the trajectory.
        begun: of its session, from the dated folder; None: not known.
    """

    folder: Path
    number: int
    begun: datetime | None

    @classmethod
    def at(cls, folder: Path) -> Recording:
        """A recording by its folder's name and the names above it."""
        found, session = TRAJECTORY.fullmatch(folder.name), session_of(folder.parts)
        return cls(folder, int(found[1]) if found else 0, session[1] if session else None)

    @property
    def action_shift(self) -> int:
        """Steps by which its images and states lag behind its actions."""
        return int(self.begun is not None and self.begun < NO_LATENCY_SINCE)


def find_recordings(source: Path) -> list[Recording]:
    """All trajectories in and under a folder, sorted."""
    return sorted(recordings_in(source), key=lambda item: (item.folder.parent, item.number))


def recordings_in(source: Path) -> Iterator[Recording]:
    """The same, one by one; folders of images are not searched, links are followed, and a folder is entered once."""
    folders, entered = [os.path.abspath(source)] if source.is_dir() else [], set[str]()
    while folders:
        folder = folders.pop()
        if (place := os.path.realpath(folder)) in entered:
            continue
        entered.add(place)
        with os.scandir(folder) as entries:
            inside = {entry.name: entry.is_dir() for entry in entries}
        if ACTIONS in inside or STATES in inside or _is_trajectory(folder):
            yield Recording.at(Path(folder))
        else:
            folders += [os.path.join(folder, name) for name, is_folder in inside.items() if is_folder]


def find_numpy_files(source: Path) -> list[Path]:
    """All files out.npy in and under a folder, sorted, or the file itself."""
    if source.is_file():
        return [source] if source.suffix == ".npy" else []
    found = []
    for place, folders, names in os.walk(source):
        folders[:] = [name for name in folders if not TRAJECTORY.fullmatch(name)]
        found += [Path(place, NUMPY)] if NUMPY in names else []
    return sorted(found)


def images_not_taken(recording: Recording, taken: Sequence[str]) -> list[str]:
    """Names of the folders of images that a recording has and that are not imported, such as depth_images0."""
    with os.scandir(recording.folder) as entries:
        names = {entry.name for entry in entries if re.fullmatch(r"(depth_)?images\d+", entry.name)}
    return sorted(names - {_folder_of(image) for image in taken})


def read_recording(recording: Recording, images: Sequence[str], further: Sequence[str] = ()) -> BridgeEpisode:
    """Read one: T actions and T+1 observations.

    Args:
        images: names as in the RLDS release; image_1 is in the folder images1.
        further: those that are read if they exist.
    Raises:
        EpisodeError: a file is missing, damaged, or holds something unexpected.
    """
    folder = recording.folder
    for name in (STATES, ACTIONS):
        if not (folder / name).is_file():
            raise EpisodeError(f"it has no {name}")
    states, actions = _states(read_pickle(folder / STATES)), _actions(read_pickle(folder / ACTIONS))
    there = [image for image in further if (folder / _folder_of(image)).is_dir()]
    frames = {image: _frames(folder / _folder_of(image)) for image in (*images, *there)}
    return _checked(states, actions, frames, _instructions(folder / INSTRUCTIONS), str(folder))


def read_numpy(path: Path) -> list[Any]:
    """The episodes of a file of the numpy form, each for `numpy_episode`.

    Raises:
        EpisodeError: it does not have this format.
    """
    size = path.stat().st_size
    if size > MAX_NUMPY_BYTES:
        raise EpisodeError(f"it has {size} bytes; at most {MAX_NUMPY_BYTES} are read")
    with path.open("rb") as file:
        try:
            old = np.lib.format.read_magic(file) == (1, 0)
            read_header = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
            shape, _, kind = read_header(file)
        except (ValueError, EOFError, SyntaxError, TokenError, MemoryError, RecursionError) as error:
            raise EpisodeError(f"it is not an intact .npy file ({str(error)[:100]})") from error
        if not kind.hasobject:
            raise EpisodeError(f"it holds an array of {kind}; a list of episodes is needed")
        found = load(file, path.name)
    if not isinstance(found, list) or shape != (len(found),):
        raise EpisodeError("it holds no list of episodes")
    return found


def numpy_episode(found: Any, images: Sequence[str], further: Sequence[str] = (), *, source: str) -> BridgeEpisode:
    """T observations, and the one after the last action, which is the last of next_observations.

    Raises:
        EpisodeError: it does not have this format.
    """
    try:
        observations = [*found["observations"], found["next_observations"][-1]]
        taken = [*images, *(image for image in further if _folder_of(image) in observations[0])]
        frames = {image: _encoded([item.get(_folder_of(image)) for item in observations], image) for image in taken}
        states = _rows([item["state"] for item in observations], "states")
        told = [line for line in found.get("language") or [] if isinstance(line, str)]
        actions = _rows(found["actions"], "actions")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EpisodeError(f"it is not in Bridge's numpy form ({type(error).__name__}: {str(error)[:100]})") from error
    return _checked(states, actions, frames, _without_confidence(told), source)


def _is_trajectory(folder: str) -> bool:
    name, group = os.path.basename(folder), os.path.basename(os.path.dirname(folder))
    return bool(TRAJECTORY.fullmatch(name) and _GROUP.fullmatch(group))


def _folder_of(image: str) -> str:
    return image.replace("image_", "images")


def _states(found: Any) -> NDArray[np.float64]:
    if not isinstance(found, dict) or "full_state" not in found:
        raise EpisodeError(f"{STATES} has no full_state")
    return _rows(found["full_state"], "full_state")


def _actions(found: Any) -> NDArray[np.float64]:
    if isinstance(found, list) and found and isinstance(found[0], dict):
        found = [step.get("actions") if isinstance(step, dict) else None for step in found]
    return _rows(found, "actions")


def _rows(values: Any, what: str) -> NDArray[np.float64]:
    """A table of seven columns from an array, or from a list of arrays or lists of numbers."""
    rows = list(values) if isinstance(values, list | tuple | np.ndarray) else []
    sound = [isinstance(row, np.ndarray | list | tuple) and len(row) == 7 and _are_numbers(row) for row in rows]
    if not rows or not all(sound):
        raise EpisodeError(f"its {what} are not rows of 7 numbers")
    table = np.array([np.asarray(row, dtype=np.float64) for row in rows])
    if not np.isfinite(table).all():
        raise EpisodeError(f"its {what} have a value that is not finite")
    return table


def _are_numbers(row: Any) -> bool:
    if isinstance(row, np.ndarray):
        return row.ndim == 1 and row.dtype.kind in "iuf"
    return all(isinstance(value, int | float) and abs(value) < 1e9 for value in row)


def _frames(folder: Path) -> list[bytes]:
    """The encoded images im_0.jpg, im_1.jpg, ... of a camera."""
    if not folder.is_dir():
        raise EpisodeError(f"it has no folder {folder.name}")
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_file()]
    numbers = sorted(int(found[1]) for name in names if (found := _IMAGE.fullmatch(name)))
    if numbers != list(range(len(numbers))):
        missing = next(number for number in range(len(numbers)) if number not in set(numbers))
        raise EpisodeError(f"{folder.name} has no im_{missing}.jpg")
    paths = [folder / f"im_{number}.jpg" for number in numbers]
    size = sum(path.stat().st_size for path in paths)
    if size > MAX_RECORD_BYTES:
        raise EpisodeError(f"{folder.name} has {size} bytes; at most {MAX_RECORD_BYTES} are read")
    return [path.read_bytes() for path in paths]


def _instructions(path: Path) -> list[str]:
    """The lines of a file of instructions."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = file.read(MAX_TEXT).splitlines()
    return _without_confidence(lines)


def _without_confidence(lines: Sequence[str]) -> list[str]:
    """The lines that people wrote, without the annotators' confidence."""
    return [plain_words(line) for line in lines if "confidence" not in line]


def _checked(
    states: NDArray[np.float64],
    actions: NDArray[np.float64],
    images: Mapping[str, list[bytes]],
    instructions: Sequence[str],
    source: str,
) -> BridgeEpisode:
    """An episode whose lengths agree: one observation for each action, and perhaps one more."""
    lengths = {"states": len(states), **{name: len(frames) for name, frames in images.items()}}
    if len(set(lengths.values())) > 1 or len(states) - len(actions) not in (0, 1):
        raise EpisodeError(f"it has {len(actions)} actions but {lengths}")
    require_plausible(states, actions)
    require_images(images)
    told = [line.strip() for line in instructions if line.strip()]
    return BridgeEpisode(
        states=states,
        actions=actions,
        images=dict(images),
        instruction=told[0] if told else "",
        source=source,
        complete=True,
        size=sum(len(frame) for frames in images.values() for frame in frames),
        more_instructions=tuple(told[1:]),
    )


def _encoded(frames: Sequence[Any], image: str) -> list[bytes]:
    for step, frame in enumerate(frames):
        colored = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        if not colored or not frame.size:
            raise EpisodeError(f"{_folder_of(image)} of step {step} is not an image of height x width x 3 bytes")
    return [encode_jpeg(frame) for frame in frames]
