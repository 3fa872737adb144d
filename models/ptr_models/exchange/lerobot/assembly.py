# SPDX-License-Identifier: Apache-2.0
"""Combine staged episodes into one data set: rows and videos are appended, nothing is encoded again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ptr_models.contract import Contract
from ptr_models.exchange.lerobot import layout, statistics, video
from ptr_models.exchange.lerobot.staging import Staged

_MEGABYTE = 2**20
_TABLE_ROWS = 200
"""Rows of the table of episodes that are held before they are written."""
_TYPES = {"float32": pa.float32(), "int64": pa.int64(), "bool": pa.bool_()}


class Assembly:
    """A data set that grows by one episode at a time; `close` completes it."""

    def __init__(self, root: Path, contract: Contract, first: Staged, encoding: video.Encoding, robot: str) -> None:
        """Args:
        root: its folder.
        contract: of all episodes.
        first: an episode whose image sizes are those of all.
        """
        self._root, self._fps, self._robot = root, round(contract.control_rate), robot
        self._cameras = tuple(first.sizes)
        self.features = layout.features(
            contract,
            {
                name: layout.video(size, encoding.codec, encoding.pixel_format(*size), self._fps)
                for name, size in first.sizes.items()
            },
        )
        self._columns = {name: item for name, item in self.features.items() if item["dtype"] != "video"}
        self._schema = pa.schema([(name, _type(item)) for name, item in self._columns.items()])
        self._data = _Rolling(root, layout.DATA_PATH)
        self._table = _Rolling(root, layout.EPISODES_PATH)
        self._videos = {name: _Videos(root, layout.IMAGES + name, self._fps) for name in self._cameras}
        self._tasks: dict[str, int] = {}
        self._pending: list[dict[str, Any]] = []
        self._histograms = {name: (np.zeros((3, 256), np.int64), 0) for name in self._cameras}
        self.episodes = self.frames = 0

    def append(self, staged: Staged) -> None:
        """Add an episode."""
        task = self._tasks.setdefault(staged.task, len(self._tasks))
        count = staged.frames
        rows = staged.rows() | {
            "episode_index": np.full(count, self.episodes, np.int64),
            "index": np.arange(self.frames, self.frames + count),
            "task_index": np.full(count, task, np.int64),
        }
        columns = [_column(rows[name], item) for name, item in self._columns.items()]
        self._data.prepare(layout.DATA_MEGABYTES)
        self._data.write(pa.table(columns, schema=self._schema))
        summaries = {name: statistics.of_rows(rows[name]) for name in self._columns}
        entry: dict[str, Any] = {
            "episode_index": self.episodes,
            "tasks": [staged.task],
            "length": count,
            "data/chunk_index": self._data.chunk,
            "data/file_index": self._data.file,
            "dataset_from_index": self.frames,
            "dataset_to_index": self.frames + count,
        }
        for name in self._cameras:
            entry |= self._videos[name].append(staged.folder / f"{name}.mp4")
            counts, images = staged.histograms[name]
            summaries[layout.IMAGES + name] = statistics.of_histogram(counts, images)
            summed, seen = self._histograms[name]
            self._histograms[name] = (summed + counts, seen + images)
        entry |= {
            layout.EPISODE_ID: staged.metadata.episode_id,
            layout.OUTCOME: staged.metadata.outcome,
            layout.METADATA: staged.metadata.to_json(),
        }
        self._pending.append(entry | statistics.flat(summaries))
        self.episodes, self.frames = self.episodes + 1, self.frames + count
        if len(self._pending) >= _TABLE_ROWS:
            self._write_table()

    def _write_table(self) -> None:
        if not self._pending:
            return
        self._table.prepare(layout.DATA_MEGABYTES)
        place = {"meta/episodes/chunk_index": self._table.chunk, "meta/episodes/file_index": self._table.file}
        self._table.write(pa.Table.from_pylist([entry | place for entry in self._pending]))
        self._pending.clear()

    def close(self, provenance: dict[str, Any]) -> None:
        """Write what is left, and the files about the whole data set."""
        self._write_table()
        writers: tuple[_Rolling | _Videos, ...] = (self._data, self._table, *self._videos.values())
        for writer in writers:
            writer.close()
        self._write_tasks()
        (self._root / layout.STATS).write_text(json.dumps(self._statistics(), indent=4), encoding="utf-8")
        (self._root / layout.PROVENANCE).write_text(json.dumps(provenance, indent=2), encoding="utf-8")
        info = {
            "codebase_version": layout.VERSION,
            "robot_type": self._robot,
            "total_episodes": self.episodes,
            "total_frames": self.frames,
            "total_tasks": len(self._tasks),
            "chunks_size": layout.CHUNK_FILES,
            "data_files_size_in_mb": layout.DATA_MEGABYTES,
            "video_files_size_in_mb": layout.VIDEO_MEGABYTES,
            "fps": self._fps,
            "splits": {"train": f"0:{self.episodes}"},
            "data_path": layout.DATA_PATH,
            "video_path": layout.VIDEO_PATH if self._cameras else None,
            "features": self.features,
        }
        (self._root / layout.INFO).write_text(json.dumps(info, indent=4), encoding="utf-8")

    def _write_tasks(self) -> None:
        """The texts are the index of a pandas table, which is how LeRobot reads them."""
        pandas = {
            "index_columns": ["task"],
            "column_indexes": [],
            "columns": [
                {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
                for name, kind, numpy in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
            ],
            "pandas_version": "2.0.0",
        }
        table = pa.table({"task_index": pa.array(self._tasks.values(), pa.int64()), "task": list(self._tasks)})
        pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), self._root / layout.TASKS)

    def _statistics(self) -> dict[str, statistics.Summary]:
        """Statistics of the whole data set, read back one feature at a time."""
        found = {}
        for name, item in self._columns.items():
            parts = [rows_of(pq.read_table(path, columns=[name])[name], item) for path in self._data.paths]
            found[name] = statistics.of_rows(np.concatenate(parts))
        for name, (counts, images) in self._histograms.items():
            found[layout.IMAGES + name] = statistics.of_histogram(counts, images)
        return found


class _Places:
    """Numbers of chunk and file."""

    def __init__(self) -> None:
        self.chunk, self.file = 0, -1

    def advance(self) -> None:
        """Switch to the next file."""
        self.file += 1
        if self.file == layout.CHUNK_FILES:
            self.chunk, self.file = self.chunk + 1, 0


class _Rolling(_Places):
    """Parquet files of about one size, with a row group per table that is written."""

    def __init__(self, root: Path, template: str) -> None:
        super().__init__()
        self._root, self._template = root, template
        self._writer: pq.ParquetWriter | None = None
        self.paths: list[Path] = []

    def prepare(self, megabytes: int) -> None:
        """Start a new file when the last one is full; after this, chunk and file are those of the next table."""
        if self._writer is None or self.paths[-1].stat().st_size >= megabytes * _MEGABYTE:
            self.close()
            self.advance()

    def write(self, table: pa.Table) -> None:
        """Append a table as one row group."""
        if self._writer is None:
            path = self._root / layout.fill(self._template, chunk_index=self.chunk, file_index=self.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(path, table.schema, compression="snappy")
            self.paths.append(path)
        self._writer.write_table(table)

    def close(self) -> None:
        """Complete the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class _Videos(_Places):
    """The videos of one camera."""

    def __init__(self, root: Path, key: str, fps: int) -> None:
        super().__init__()
        self._root, self._key, self._fps = root, key, fps
        self._open: video.Joined | None = None

    def append(self, path: Path) -> dict[str, Any]:
        """Add an episode's video; returns its columns of the table of episodes."""
        size = path.stat().st_size
        if self._open is None or self._open.bytes + size >= layout.VIDEO_MEGABYTES * _MEGABYTE:
            self.close()
            self.advance()
            place = layout.fill(layout.VIDEO_PATH, video_key=self._key, chunk_index=self.chunk, file_index=self.file)
            self._open = video.Joined(self._root / place, self._fps)
        begin, end = self._open.append(path)
        columns = {"chunk_index": self.chunk, "file_index": self.file, "from_timestamp": begin, "to_timestamp": end}
        return {f"videos/{self._key}/{name}": value for name, value in columns.items()}

    def close(self) -> None:
        """Complete the file."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _type(feature: dict[str, Any]) -> pa.DataType:
    kind = _TYPES[feature["dtype"]]
    return kind if feature["shape"] == [1] else pa.list_(kind, feature["shape"][0])


def _column(rows: NDArray[Any], feature: dict[str, Any]) -> pa.Array:
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1), _TYPES[feature["dtype"]])
    return flat if feature["shape"] == [1] else pa.FixedSizeListArray.from_arrays(flat, feature["shape"][0])


def rows_of(column: pa.ChunkedArray | pa.Array, feature: dict[str, Any]) -> NDArray[Any]:
    """A column of numbers as an array (T,) or (T, D)."""
    chunks: Sequence[pa.Array] = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    flat = [
        chunk if not pa.types.is_list(chunk.type) and not pa.types.is_fixed_size_list(chunk.type) else chunk.flatten()
        for chunk in chunks
    ]
    values = np.concatenate([part.to_numpy(zero_copy_only=False) for part in flat])
    return values if feature["shape"] == [1] else values.reshape(-1, feature["shape"][0])
