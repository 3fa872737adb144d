# SPDX-License-Identifier: Apache-2.0
"""Files, features and columns of a LeRobotDataset, as LeRobot 0.4 to 0.6 read them.

The rows of all episodes are in a few Parquet files, their frames in a few videos per camera, and the table of
episodes says where each one begins. The rest of a bag's metadata is in columns named `ptr/...` of that table; LeRobot
keeps them and does not use them.
"""

from __future__ import annotations

import errno
import importlib.util
import re
from pathlib import Path
from typing import Any

from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError

VERSION, OLD_VERSION = "v3.0", "v2.1"
CHUNK_FILES = 1000
"""Files per chunk folder."""
DATA_MEGABYTES, VIDEO_MEGABYTES = 100, 200
"""File size above which a new file is started."""

INFO, STATS, TASKS, PROVENANCE = "meta/info.json", "meta/stats.json", "meta/tasks.parquet", "meta/ptr.json"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
OLD_TASKS, OLD_EPISODES = "meta/tasks.jsonl", "meta/episodes.jsonl"

STATE, ENVIRONMENT, ACTION, IMAGES = (
    "observation.state",
    "observation.environment_state",
    "action",
    "observation.images.",
)
REWARD, DONE, SUCCESS = "next.reward", "next.done", "next.success"
METADATA, OUTCOME, EPISODE_ID = "ptr/metadata", "ptr/outcome", "ptr/episode_id"
"""Columns of the table of episodes: all metadata of the bag as JSON, and two of its values in plain form."""

UNITS = {
    **dict.fromkeys(("x", "y", "z", "item_x", "item_y", "item_z", "target_x", "target_y", "target_z"), "m"),
    **dict.fromkeys(("roll", "pitch", "yaw"), "rad"),
    **dict.fromkeys(("dx", "dy", "dz"), "m per step"),
    **dict.fromkeys(("droll", "dpitch", "dyaw"), "rad per step"),
    "gripper": "0 closed, 1 open",
}
_PLACE = re.compile(r"\{(\w+)(?::0?(\d+)d)?\}")


class UnwritableError(EpisodeError):
    """The disk can't be written. This ends the whole run, since no episode is at fault."""


def full(error: BaseException) -> bool:
    """Whether an error is the disk's: full, over quota, or read-only."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def require_extra() -> None:
    """Raise EpisodeError when pyarrow or av are not installed."""
    missing = [name for name in ("pyarrow", "av") if importlib.util.find_spec(name) is None]
    if missing:
        raise EpisodeError(
            f"LeRobot data sets need {' and '.join(missing)}: pip install 'ptr_models[lerobot]' "
            "(from a clone: pip install './models[lerobot]')"
        )


def fill(template: str, **values: int | str) -> str:
    """Put values into a path template of info.json, which comes from outside: numbers and names, nothing else.

    Raises:
        EpisodeError: the template asks for something that is not given.
    """

    def value(found: re.Match[str]) -> str:
        name, width = found[1], found[2]
        if name not in values:
            raise EpisodeError(f"the path {template[:100]!r} needs {name!r}; known: {', '.join(values)}")
        given = values[name]
        return f"{given:0{min(int(width), 20)}d}" if width and isinstance(given, int) else str(given)

    return _PLACE.sub(value, template)


def below(root: Path, relative: str) -> Path:
    """A regular file of a data set; a path that leaves its folder is refused.

    Raises:
        EpisodeError: it leaves the folder, or the file does not exist.
    """
    path = root / relative
    if not path.resolve().is_relative_to(root.resolve()):
        raise EpisodeError(f"{relative[:200]!r} points outside the data set {root}; it is not opened")
    if not path.is_file():
        raise EpisodeError(f"{path} is missing; copy the data set again")
    return path


def scalar(dtype: str) -> dict[str, Any]:
    """A feature of one number per row."""
    return {"dtype": dtype, "shape": [1], "names": None}


def vector(names: tuple[str, ...]) -> dict[str, Any]:
    """A feature of several float32 per row, with their names and units."""
    return {
        "dtype": "float32",
        "shape": [len(names)],
        "names": list(names),
        "units": [UNITS.get(name, "1") for name in names],
    }


def video(size: tuple[int, int], codec: str, pixel_format: str, fps: int) -> dict[str, Any]:
    """A camera: `size` is height and width."""
    return {
        "dtype": "video",
        "shape": [*size, 3],
        "names": ["height", "width", "channels"],
        "info": {
            "video.height": size[0],
            "video.width": size[1],
            "video.codec": codec,
            "video.pix_fmt": pixel_format,
            "video.is_depth_map": False,
            "video.fps": fps,
            "video.channels": 3,
            "has_audio": False,
        },
    }


def features(contract: Contract, videos: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """All features of an export, in the order of the columns; `videos` by camera name."""
    found = {STATE: vector(contract.proprioception)}
    if contract.objects:
        found[ENVIRONMENT] = vector(contract.objects)
    found |= {ACTION: vector(contract.action)}
    found |= {IMAGES + name: feature for name, feature in videos.items()}
    found |= {REWARD: scalar("float32"), DONE: scalar("bool"), SUCCESS: scalar("bool"), "timestamp": scalar("float32")}
    return found | {name: scalar("int64") for name in ("frame_index", "episode_index", "index", "task_index")}
