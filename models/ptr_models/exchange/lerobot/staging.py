# SPDX-License-Identifier: Apache-2.0
"""Convert one bag to the rows and videos of one episode, in its own folder.

The rows are the control steps that training reads (`episodes.reader`), so row k really is at time k / fps. The frames
have the recorded size, or are resized by area averaging as in training.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.jpeg import decode
from ptr_models.contract import Camera, Contract
from ptr_models.episodes.bag import refusing
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.jpeg import sane_size
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.resize import squash
from ptr_models.exchange.alignment import Steps, aligned_steps, plain_task
from ptr_models.exchange.lerobot import layout, statistics, video
from ptr_models.json_input import read_object

ROWS, EPISODE = "rows.npz", "episode.json"


@dataclass(frozen=True)
class Plan:
    """What is exported of each bag.

    Attributes:
        contract: that the bags must follow.
        cameras: names; those outside the contract are sampled in the same way.
        encoding: of the videos.
        image_size: height and width of the videos; None: as recorded.
    """

    contract: Contract
    cameras: tuple[str, ...]
    encoding: video.Encoding
    image_size: tuple[int, int] | None = None

    @property
    def sampled(self) -> Contract:
        """A contract with exactly these cameras."""
        known = {camera.name: camera for camera in self.contract.cameras}
        first = next(iter(known.values()), Camera())
        cameras = tuple(known.get(name) or dataclasses.replace(first, name=name) for name in self.cameras)
        return dataclasses.replace(self.contract, cameras=cameras)

    @property
    def fps(self) -> int:
        """Rows per second."""
        return round(self.contract.control_rate)


@dataclass(frozen=True)
class Staged:
    """An episode that is ready to be put into the data set.

    Attributes:
        folder: with the videos, CAMERA.mp4, and the rows.
        frames: its length.
        task: what LeRobot shows as the task: the instruction in plain words.
        metadata: of the bag, as changed by staging.
        sizes: per camera height and width.
        histograms: per camera (3, 256) pixels, and the number of images.
    """

    folder: Path
    frames: int
    task: str
    metadata: EpisodeMetadata
    sizes: dict[str, tuple[int, int]]
    histograms: dict[str, tuple[NDArray[np.int64], int]]

    def rows(self) -> dict[str, NDArray[Any]]:
        """Arrays (T, ...) by feature."""
        with np.load(self.folder / ROWS, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}

    @classmethod
    def load(cls, folder: Path) -> Staged:
        """Read one that was staged before.

        Raises:
            EpisodeError: it is damaged.
        """
        found = read_object(folder / EPISODE, EpisodeError, advice="delete it, and it is made again")
        with np.load(folder / ROWS, allow_pickle=False) as archive:
            frames = len(archive[layout.ACTION])
        return cls(
            folder,
            frames,
            found["task"],
            EpisodeMetadata.from_json(json.dumps(found["metadata"])),
            {name: (int(size[0]), int(size[1])) for name, size in found["sizes"].items()},
            {name: (np.array(counts), int(images)) for name, (counts, images) in found["histograms"].items()},
        )


def stage(path: Path, folder: Path, plan: Plan) -> None:
    """Write a bag's rows and videos into a folder, which appears when it is complete.

    Raises:
        EpisodeError, ContractError: as in `read_episode`, or an image has another size than the previous one.
    """
    metadata = read_metadata(path)
    plan.contract.require(metadata.contract, f"episode {path}")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with refusing(path):
        try:
            _stage(path, metadata, partial, plan)
        except OSError as error:
            if layout.full(error):
                raise layout.UnwritableError(f"{folder} cannot be written: {error.strerror}") from error
            raise
        except EpisodeError as error:
            if isinstance(error, layout.UnwritableError) or str(path) in str(error):
                raise
            raise EpisodeError(f"episode {path}: {error}") from error
    os.replace(partial, folder)


def _stage(path: Path, metadata: EpisodeMetadata, folder: Path, plan: Plan) -> None:
    contract = plan.sampled.with_latencies(_with_cameras(metadata.contract, plan.sampled))
    steps = aligned_steps(path, metadata, contract)
    shown = steps.shown
    rows = _rows(contract, steps, metadata.outcome == "success", plan.fps)
    folder.mkdir(parents=True)
    sizes, histograms = {}, {}
    for index, name in enumerate(plan.cameras):
        frames = _Frames(name, [choice.images[index] for choice in shown], plan.image_size)
        video.encode(folder / f"{name}.mp4", frames, frames.size, plan.fps, plan.encoding)
        sizes[name] = frames.size
        histograms[name] = (frames.counts.tolist(), frames.counted)
    np.savez(folder / ROWS, **rows)  # type: ignore[arg-type]  # mypy mistakes one for `allow_pickle`
    found = {
        "task": plain_task(metadata),
        "metadata": json.loads(_exported_metadata(metadata, steps.start_ns).to_json()),
        "sizes": sizes,
        "histograms": histograms,
    }
    (folder / EPISODE).write_text(json.dumps(found), encoding="utf-8")


def _with_cameras(contract: Contract, wanted: Contract) -> Contract:
    """The bag's contract, extended by the wanted cameras that it lacks; their latency is not known."""
    known = {camera.name for camera in contract.cameras}
    more = tuple(camera for camera in wanted.cameras if camera.name not in known)
    return dataclasses.replace(contract, cameras=(*contract.cameras, *more))


def _exported_metadata(metadata: EpisodeMetadata, start_ns: int) -> EpisodeMetadata:
    """The metadata of the exported rows: they are aligned, so no shift or latency is left."""
    period = {"latencies": {camera.name: camera.latency for camera in metadata.contract.cameras if camera.latency}}
    return dataclasses.replace(
        metadata,
        action_shift=0,
        contract=metadata.contract.without_latencies(),
        extra=metadata.extra | {"lerobot": {"start_ns": start_ns, "action_shift": metadata.action_shift, **period}},
    )


def _rows(contract: Contract, steps: Steps, success: bool, fps: int) -> dict[str, NDArray[Any]]:
    states, actions = steps.states, steps.actions
    split = len(contract.proprioception)
    last = np.arange(len(actions)) == len(actions) - 1
    rows = {layout.STATE: states[:, :split]}
    if contract.objects:
        rows[layout.ENVIRONMENT] = states[:, split:]
    return rows | {
        layout.ACTION: actions,
        layout.REWARD: (last & success).astype(np.float32),
        layout.DONE: last,
        layout.SUCCESS: last & success,
        "timestamp": (np.arange(len(actions)) / fps).astype(np.float32),
        "frame_index": np.arange(len(actions), dtype=np.int64),
    }


class _Frames:
    """The images of a camera, decoded and resized one by one, and counted along the way.

    Args:
        size: height and width; None: as recorded.
    """

    def __init__(
        self, name: str, images: Sequence[tuple[int, bytes | NDArray[np.uint8]]], size: tuple[int, int] | None
    ) -> None:
        self._name, self._images = name, images
        recorded = sane_size(np.frombuffer(images[0][1], np.uint8).data)
        if recorded is None:
            raise EpisodeError(f"the first image of camera {name} is not a JPEG or PNG")
        self._recorded, self.size = recorded, size or recorded
        if self.size[0] > recorded[0] or self.size[1] > recorded[1]:
            raise EpisodeError(
                f"camera {name} was recorded with {recorded[1]}x{recorded[0]} pixels, fewer than the requested "
                f"{self.size[1]}x{self.size[0]}"
            )
        self.counts, self.counted = np.zeros((3, 256), np.int64), 0

    def __iter__(self) -> Iterator[video.Image]:
        chosen = statistics.sampled(len(self._images))
        previous: int | None = None
        image: video.Image | None = None
        for number, (stamp, data) in enumerate(self._images):
            if image is None or stamp != previous:
                image, previous = self._decoded(data, number), stamp
            if number in chosen:
                self.counts += statistics.histogram(image)
                self.counted += 1
            yield image

    def _decoded(self, data: bytes | NDArray[np.uint8], number: int) -> video.Image:
        encoded = np.frombuffer(data, np.uint8)
        size = sane_size(encoded.data)
        image = None if size is None else decode(encoded)
        if image is None:
            raise EpisodeError(f"image {number} of camera {self._name} ({len(encoded)} bytes) cannot be decoded")
        if image.shape[:2] != self._recorded:
            raise EpisodeError(
                f"image {number} of camera {self._name} has {image.shape[1]} x {image.shape[0]} pixels, "
                f"the first one {self._recorded[1]} x {self._recorded[0]}"
            )
        return squash(image, *self.size)
