# SPDX-License-Identifier: Apache-2.0
"""Read a local LeRobotDataset v2.1 or v3.0, episode by episode, as untrusted input.

What a file declares is checked before it is read, paths stay in the folder, JSON is bounded, and nothing is
unpickled or fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ptr_models.episodes.errors import EpisodeError
from ptr_models.exchange.lerobot import layout
from ptr_models.exchange.lerobot.assembly import rows_of
from ptr_models.input_limits import MAX_COLUMN_BYTES, MAX_CONTROL_STEPS, MAX_JSON_BYTES, MAX_TABLE_ROWS, MAX_TASK_SLOTS
from ptr_models.json_input import parse_object, read_object

_BATCH, _IMAGE_BATCH = 4096, 64
_MOST_FEATURES = 1000
_MOST_FPS = 1000


@dataclass(frozen=True)
class Span:
    """Where an episode's frames are: in a video, from a time (s) on."""

    path: Path
    begin: float


@dataclass(frozen=True)
class Record:
    """An episode of a data set.

    Attributes:
        index: its number.
        task: in plain words.
        rows: arrays (T, ...) by feature; images that are stored in the rows are lists of bytes.
        videos: by feature.
        metadata: JSON from an export of this suite; empty: none.
        problem: why it can't be read; then the rest is empty.
    """

    index: int
    task: str = ""
    rows: Mapping[str, Any] = field(default_factory=dict)
    videos: Mapping[str, Span] = field(default_factory=dict)
    metadata: str = ""
    problem: str = ""


class Dataset:
    """The content of info.json; `records` reads the episodes."""

    def __init__(self, root: Path) -> None:
        """Raises: EpisodeError: it is not a data set, or has another version."""
        if not root.is_dir():
            raise EpisodeError(f"{root} is not a folder; give the folder of a LeRobotDataset")
        if not (root / layout.INFO).is_file():
            raise EpisodeError(f"{root} holds no {layout.INFO}; give the folder of a LeRobotDataset")
        self.root = root
        info = read_object(layout.below(root, layout.INFO), EpisodeError)
        version = str(info.get("codebase_version"))
        if version not in (layout.OLD_VERSION, layout.VERSION):
            raise EpisodeError(
                f"{root} has version {version[:20]}; known: {layout.OLD_VERSION}, {layout.VERSION}; "
                "LeRobot converts older ones"
            )
        self.old = version == layout.OLD_VERSION
        self.robot = str(info.get("robot_type") or "")[:200]
        fps, features = info.get("fps"), info.get("features")
        if not isinstance(fps, (int, float)) or fps != round(fps) or not 1 <= fps <= _MOST_FPS:
            raise EpisodeError(f"{root} has {fps!r} frames per second; a whole number up to {_MOST_FPS} is needed")
        self.fps = round(fps)
        if not isinstance(features, dict) or len(features) > _MOST_FEATURES:
            raise EpisodeError(f"{root} lists no features in {layout.INFO}")
        if not all(isinstance(item, dict) for item in features.values()):
            raise EpisodeError(f"{root} lists a feature in {layout.INFO} that is not an object")
        self.features: dict[str, dict[str, Any]] = features
        self._data_path = _text(info, "data_path")
        self._video_path = _text(info, "video_path") if self.video_keys else ""
        chunks = info.get("chunks_size", layout.CHUNK_FILES)
        self._chunks = chunks if isinstance(chunks, int) and chunks > 0 else layout.CHUNK_FILES
        total = info.get("total_episodes")
        self.total = total if isinstance(total, int) and total >= 0 else 0

    @property
    def video_keys(self) -> list[str]:
        """Features that are videos."""
        return [name for name, item in self.features.items() if item.get("dtype") == "video"]

    def records(self, columns: tuple[str, ...], videos: tuple[str, ...], images: tuple[str, ...]) -> Iterator[Record]:
        """All episodes in order; an error of one is reported in its place.

        Args:
            columns: features of numbers to read.   videos, images: features of images.
        Raises:
            EpisodeError: the tables of tasks or episodes can't be read.
        """
        tasks = self._old_tasks() if self.old else self._tasks()
        with closing(_Rows(self, columns, images)) as rows:
            for entry in self._old_episodes() if self.old else self._episodes(videos):
                index = entry["episode_index"]
                try:
                    path = self._data_file(entry)
                    found = rows.read(path, index, entry["length"])
                    where = {key: self._span(key, entry) for key in videos}
                except EpisodeError as error:
                    yield Record(index, problem=str(error))
                    continue
                task = entry["task"] or tasks.get(int(found["task_index"][0]), "")
                yield Record(index, task, found, where, entry["metadata"])

    def _data_file(self, entry: Mapping[str, Any]) -> Path:
        index = entry["episode_index"]
        place = {"chunk_index": entry["chunk"], "file_index": entry["file"], "episode_index": index}
        return layout.below(self.root, layout.fill(self._data_path, **place, episode_chunk=index // self._chunks))

    def _span(self, key: str, entry: Mapping[str, Any]) -> Span:
        index = entry["episode_index"]
        chunk, file, begin = entry["videos"].get(key, (0, 0, 0.0))
        place = {"chunk_index": chunk, "file_index": file, "episode_index": index, "video_key": key}
        path = layout.fill(self._video_path, **place, episode_chunk=index // self._chunks)
        return Span(layout.below(self.root, path), begin)

    def _tasks(self) -> dict[int, str]:
        with _table(layout.below(self.root, layout.TASKS)) as table:
            rows = table.read().to_pydict()
        texts: list[Any] = next((values for name, values in rows.items() if name != "task_index"), [])
        numbers = rows.get("task_index", [])
        if len(numbers) > MAX_TASK_SLOTS or len(numbers) != len(texts):
            raise EpisodeError(f"{self.root / layout.TASKS} has {len(numbers)} tasks and {len(texts)} texts")
        return {int(number): str(text) for number, text in zip(numbers, texts, strict=True) if number is not None}

    def _old_tasks(self) -> dict[int, str]:
        found: dict[int, str] = {}
        for item in self._lines(layout.OLD_TASKS):
            if isinstance(item.get("task_index"), int) and len(found) < MAX_TASK_SLOTS:
                found[item["task_index"]] = str(item.get("task", ""))
        return found

    def _old_episodes(self) -> Iterator[dict[str, Any]]:
        for item in self._lines(layout.OLD_EPISODES):
            tasks = item.get("tasks")
            text = str(tasks[0]) if isinstance(tasks, list) and len(tasks) == 1 else ""
            yield _entry(item, text) | {"chunk": 0, "file": 0, "videos": {}, "metadata": ""}

    def _episodes(self, videos: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        paths = sorted((self.root / "meta" / "episodes").glob("*/*.parquet"))
        if not paths:
            raise EpisodeError(f"{self.root} has no table of episodes in meta/episodes; copy the data set again")
        wanted = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index", layout.METADATA]
        parts = ("chunk_index", "file_index", "from_timestamp")
        wanted += [f"videos/{key}/{part}" for key in videos for part in parts]
        for path in paths:
            with _table(layout.below(self.root, str(path.relative_to(self.root)))) as table:
                known = [name for name in wanted if name in table.schema_arrow.names]
                for batch in table.iter_batches(batch_size=100, columns=known):
                    for item in batch.to_pylist():
                        tasks = item.get("tasks")
                        text = str(tasks[0]) if isinstance(tasks, list) and len(tasks) == 1 else ""
                        yield _entry(item, text) | {
                            "chunk": _number(item, "data/chunk_index"),
                            "file": _number(item, "data/file_index"),
                            "videos": {key: _place(item, key) for key in videos},
                            "metadata": str(item.get(layout.METADATA) or ""),
                        }

    def _lines(self, name: str) -> Iterator[dict[str, Any]]:
        path = layout.below(self.root, name)
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_JSON_BYTES + 1):
                number += 1
                if line.strip():
                    yield parse_object(line, f"{path}, line {number}", EpisodeError)


class _Rows:
    """Rows of episodes, read in their order from files that hold one or many."""

    def __init__(self, dataset: Dataset, columns: tuple[str, ...], images: tuple[str, ...]) -> None:
        self._features, self._columns, self._images = dataset.features, columns, images
        self._path: Path | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._held: pa.RecordBatch | None = None
        self._opened: Any = None

    def read(self, path: Path, index: int, length: int) -> dict[str, Any]:
        """The rows of an episode.

        Raises:
            EpisodeError: they are missing or damaged, or their number is wrong.
        """
        try:
            if path != self._path:
                self._open(path)
            parts = list(self._parts(index))
        except (pa.ArrowException, OSError, MemoryError) as error:
            self.close()
            raise EpisodeError(f"{path} is damaged: {error}") from error
        if sum(map(len, parts)) != length:
            raise EpisodeError(f"{path} has {sum(map(len, parts))} rows of episode {index}, not {length}")
        table = pa.Table.from_batches(parts)
        numbers = (*self._columns, "task_index", "timestamp")
        found: dict[str, Any] = {name: self._numbers(table, name) for name in numbers}
        return found | {name: _bytes(table, name) for name in self._images}

    def _open(self, path: Path) -> None:
        self.close()
        self._opened = _table(path)
        table = self._opened.__enter__()
        wanted = ["episode_index", "task_index", "timestamp", *self._columns, *self._images]
        missing = [name for name in wanted if name not in table.schema_arrow.names]
        if missing:
            self.close()
            raise EpisodeError(f"{path} has no column {missing[0]}")
        self._path = path
        self._batches = table.iter_batches(_IMAGE_BATCH if self._images else _BATCH, columns=wanted)

    def _parts(self, index: int) -> Iterator[pa.RecordBatch]:
        """Slices with an episode's rows; earlier ones are skipped, the first later one is kept."""
        while True:
            batch = self._held if self._held is not None else next(self._batches, None)
            self._held = None
            if batch is None:
                return
            numbers = batch.column("episode_index").to_numpy(zero_copy_only=False)
            begin, end = (int(np.searchsorted(numbers, index, side)) for side in ("left", "right"))
            if end > begin:
                yield batch.slice(begin, end - begin)
            if end < len(numbers):
                self._held = batch.slice(end)
                return

    def _numbers(self, table: pa.Table, name: str) -> NDArray[np.float64]:
        column = table.column(name).combine_chunks()
        feature = self._features.get(name) or layout.scalar("int64")
        if column.null_count:
            raise EpisodeError(f"{name} has {column.null_count} empty rows")
        try:
            values = np.asarray(rows_of(column, feature), dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise EpisodeError(f"{name} does not have the shape {feature.get('shape')}: {error}") from error
        if len(values) != table.num_rows:
            raise EpisodeError(f"{name} does not have the shape {feature.get('shape')}")
        if not np.isfinite(values).all():
            raise EpisodeError(f"{name} has a value that is not finite")
        return values

    def close(self) -> None:
        """Release the file."""
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened, self._path, self._held, self._batches = None, None, None, iter(())


def _bytes(table: pa.Table, name: str) -> list[bytes]:
    """Images that are stored in the rows, as {bytes, path}."""
    found = table.column(name).to_pylist()
    images = [item["bytes"] for item in found if isinstance(item, dict) and isinstance(item.get("bytes"), bytes)]
    if len(images) != len(found):
        raise EpisodeError(f"{name} has rows without an image; paths to files are not followed")
    return images


@contextmanager
def _table(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file whose declared sizes are sane."""
    try:
        with pq.ParquetFile(path, memory_map=False, pre_buffer=False) as table:
            metadata = table.metadata
            if metadata.num_rows > MAX_TABLE_ROWS:
                raise EpisodeError(f"{path} claims {metadata.num_rows} rows; at most {MAX_TABLE_ROWS} are read")
            for group in range(metadata.num_row_groups):
                row_group = metadata.row_group(group)
                for column in range(row_group.num_columns):
                    chunk = row_group.column(column)
                    size = max(chunk.total_uncompressed_size, 4 * chunk.num_values)
                    if not 0 <= size <= MAX_COLUMN_BYTES:
                        raise EpisodeError(
                            f"{path} claims a column of {size} bytes; at most {MAX_COLUMN_BYTES} are read"
                        )
            yield table
    except (pa.ArrowException, OSError, MemoryError) as error:
        raise EpisodeError(f"{path} is not an intact Parquet file: {error}") from error


def _entry(item: Mapping[str, Any], task: str) -> dict[str, Any]:
    index, length = _number(item, "episode_index"), _number(item, "length")
    if not 1 <= length <= MAX_CONTROL_STEPS:
        raise EpisodeError(f"episode {index} claims {length} frames; from 1 to {MAX_CONTROL_STEPS} are read")
    return {"episode_index": index, "length": length, "task": task}


def _place(item: Mapping[str, Any], key: str) -> tuple[int, int, float]:
    begin = item.get(f"videos/{key}/from_timestamp")
    if not isinstance(begin, (int, float)) or not 0 <= begin < 1e9:
        raise EpisodeError(f"the table of episodes has {begin!r} as the start of the video of {key}")
    return _number(item, f"videos/{key}/chunk_index"), _number(item, f"videos/{key}/file_index"), float(begin)


def _number(item: Mapping[str, Any], name: str) -> int:
    value = item.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**9:
        raise EpisodeError(f"the table of episodes has {value!r} as {name}")
    return value


def _text(info: Mapping[str, Any], name: str) -> str:
    value = info.get(name)
    if not isinstance(value, str) or len(value) > 1000:
        raise EpisodeError(f"{layout.INFO} has no {name}")
    return value
