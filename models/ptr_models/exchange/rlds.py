# SPDX-License-Identifier: Apache-2.0
"""Export bags as RLDS: files of TensorFlow Datasets, with the features of Bridge's release, without TensorFlow.

`OUT/features.json`, `OUT/dataset_info.json` and shards `OUT/NAME-train.tfrecord-00000-of-00004` are what
`tfds.builder_from_directory` reads. A record is one episode; its steps are the control steps of the bag.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ptr_models.common.errors import PtrError
from ptr_models.common.files import write_json
from ptr_models.common.jpeg import decode
from ptr_models.common.output_folder import locked
from ptr_models.contract import Contract
from ptr_models.episodes import pool
from ptr_models.episodes.bag import refusing
from ptr_models.episodes.episode_discovery import find_bags
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.importing.bridge import CAMERAS, OWN_METADATA
from ptr_models.episodes.importing.tfrecord import Feature, frame_record, serialize_example
from ptr_models.episodes.jpeg import sane_size
from ptr_models.episodes.metadata import OUTCOMES, EpisodeMetadata
from ptr_models.episodes.reader import read_metadata
from ptr_models.episodes.trajectory import encode_jpeg
from ptr_models.episodes.writer import PARTIAL
from ptr_models.exchange.alignment import Steps, aligned_steps, plain_task
from ptr_models.exchange.exporting import Exported, first_contract, refusal_of, size_refusal
from ptr_models.input_limits import MAX_RECORD_BYTES

VERSION = "1.0.0"
SHARD_BYTES = 2**28
"""File size above which a new file is started."""
_SPLIT = "train"
_TFDS = "tensorflow_datasets.core.features"


@dataclass(frozen=True)
class Options:
    """What is exported, and how.

    Attributes:
        outcomes: of the bags that are exported.
        name: of the data set, in its files' names.
        shard_bytes: file size above which a new file is started.
        workers: processes.
    """

    outcomes: tuple[str, ...] = OUTCOMES
    name: str = "ptr_dataset"
    shard_bytes: int = SHARD_BYTES
    workers: int = field(default_factory=pool.cores)


@dataclass(frozen=True)
class _Record:
    """A bag as a record, or the reason why it can't be one.

    Attributes:
        data: serialized.   steps: in it.   sizes: per image, height and width.   refusal: why it can't be exported.
    """

    data: bytes = b""
    steps: int = 0
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    refusal: str = ""


def export_rlds(
    bags: Iterable[Path | str],
    out: Path,
    options: Options | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
    account: Exported | None = None,
) -> Exported:
    """Write a data set of bags; the folder appears when it is complete.

    Args:
        bags: folders of episodes, at any depth, or manifests.
        out: folder of the data set, which must not exist.
        advance: called after each bag with how many are done, and of how many.
        account: filled while it runs; returned.
    Raises:
        EpisodeError: there is nothing to export, `out` exists, or it cannot be written.
    """
    options = options or Options()
    account = Exported() if account is None else account
    found = list(map(Path, find_bags(bags)))
    if out.exists():
        raise EpisodeError(f"{out} already exists; choose another folder or move it away")
    _, contract = first_contract(found)
    partial_folder = out.with_name(out.name + PARTIAL)
    with locked(partial_folder):
        try:
            folder = partial_folder / "dataset"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            work = partial(_record, contract=contract, outcomes=options.outcomes)
            records = pool.in_order(work, list(enumerate(found)), options.workers)
            shards, sizes = _Shards(folder, options), dict[str, tuple[int, int]]()
            for number, (path, record) in enumerate(zip(found, records, strict=True)):
                refusal = record.refusal or size_refusal(record.sizes, sizes or record.sizes)
                if refusal:
                    account.left_out.append((path, refusal))
                else:
                    sizes = dict(record.sizes)
                    shards.append(record.data)
                    account.episodes, account.steps = account.episodes + 1, account.steps + record.steps
                advance(number + 1, len(found))
            if not account.episodes:
                raise EpisodeError(f"none of {len(found)} bags can be exported; {account.left_out[0][1]}")
            shards.close()
            write_json(folder / "features.json", _features(contract, sizes))
            write_json(folder / "dataset_info.json", shards.info(_description(contract)))
            os.replace(folder, out)
            shutil.rmtree(partial_folder)
        except OSError as error:
            raise EpisodeError(f"{out} cannot be written: {error.strerror or error}") from error
    return account


class _Shards:
    """The files of records. Their names contain their number, which is only known at the end."""

    def __init__(self, folder: Path, options: Options) -> None:
        self._folder, self._options = folder, options
        self._lengths, self._bytes, self._size = list[int](), 0, 0

    def append(self, data: bytes) -> None:
        """Write a record, into a new file if the last one is full."""
        framed = frame_record(data)
        if not self._lengths or (self._size and self._size + len(framed) > self._options.shard_bytes):
            self._lengths.append(0)
            self._size = 0
        with (self._folder / str(len(self._lengths) - 1)).open("ab") as file:
            file.write(framed)
        self._lengths[-1] += 1
        self._size += len(framed)
        self._bytes += len(data)

    def close(self) -> None:
        """Give the files their names."""
        for number in range(len(self._lengths)):
            name = f"{self._options.name}-{_SPLIT}.tfrecord-{number:05d}-of-{len(self._lengths):05d}"
            os.replace(self._folder / str(number), self._folder / name)

    def info(self, description: str) -> dict[str, Any]:
        """The content of dataset_info.json."""
        split = {
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "name": _SPLIT,
            "numBytes": str(self._bytes),
            "shardLengths": [str(length) for length in self._lengths],
        }
        return {
            "description": description,
            "fileFormat": "tfrecord",
            "name": self._options.name,
            "splits": [split],
            "version": VERSION,
        }


def _record(job: tuple[int, Path], contract: Contract, outcomes: Sequence[str]) -> _Record:
    number, path = job
    try:
        metadata = read_metadata(path)
        if refusal := refusal_of(metadata, outcomes):
            return _Record(refusal=refusal)
        contract.require(metadata.contract, f"episode {path}", source=True)
        with refusing(path):
            steps = aligned_steps(path, metadata, metadata.contract)
            images = _images(steps, metadata.contract)
        data = serialize_example(_example(number, path, metadata, steps, images))
    except PtrError as error:
        return _Record(refusal=str(error))
    if len(data) > MAX_RECORD_BYTES:
        return _Record(refusal=f"its record has {len(data)} bytes; at most {MAX_RECORD_BYTES} are read back")
    return _Record(data, len(steps.actions), {name: sane_size(frames[0]) or (0, 0) for name, frames in images.items()})


def _image_name(camera: str) -> str:
    """The name as in Bridge's release, if it has such a camera."""
    return CAMERAS.get(camera, camera)


def _images(steps: Steps, contract: Contract) -> dict[str, list[bytes]]:
    """Encoded frames of each step: a JPEG as it was recorded, anything else converted to one."""
    found = {}
    for index, camera in enumerate(contract.cameras):
        frames = [_jpeg(choice.images[index][1], camera.name) for choice in steps.shown]
        sizes = {sane_size(frame) for frame in frames}
        if len(sizes) > 1:
            raise EpisodeError(f"images of camera {camera.name} have several sizes: {sorted(map(str, sizes))}")
        found[_image_name(camera.name)] = frames
    return found


def _jpeg(data: Any, camera: str) -> bytes:
    encoded = bytes(data)
    if sane_size(encoded) is not None and encoded.startswith(b"\xff\xd8"):
        return encoded
    image = None if sane_size(encoded) is None else decode(encoded)
    if image is None:
        raise EpisodeError(f"an image of camera {camera} ({len(encoded)} bytes) cannot be decoded")
    return encode_jpeg(np.ascontiguousarray(image[..., ::-1]))


def _example(
    number: int, path: Path, metadata: EpisodeMetadata, steps: Steps, images: Mapping[str, list[bytes]]
) -> dict[str, Feature]:
    count = len(steps.actions)
    last = np.arange(count) == count - 1
    success = last & (metadata.outcome == "success")
    own = dataclasses.replace(
        metadata, action_shift=0, contract=metadata.contract.without_latencies(), start_ns=steps.start_ns
    )
    features: dict[str, Feature] = {
        "steps/action": steps.actions,
        "steps/observation/state": steps.states,
        "steps/language_instruction": [plain_task(metadata).encode()] * count,
        "steps/reward": success.astype(np.float32),
        "steps/discount": np.ones(count, np.float32),
        "steps/is_first": (np.arange(count) == 0).astype(np.int64),
        "steps/is_last": last.astype(np.int64),
        "steps/is_terminal": success.astype(np.int64),
        "episode_metadata/episode_id": np.array([number], np.int64),
        "episode_metadata/file_path": [str(metadata.extra.get("source") or path.name).encode()],
        "episode_metadata/has_language": np.array([1], np.int64),
        OWN_METADATA: [own.to_json().encode()],
    }
    for name, frames in images.items():
        features[f"steps/observation/{name}"] = frames
        features[f"episode_metadata/has_{name}"] = np.array([1], np.int64)
    return features


def _features(contract: Contract, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    """The content of features.json."""
    about_state = f"Measured: {', '.join(contract.state)} (m, rad; gripper 1 = open)."
    observation = {"state": _tensor(about_state, [len(contract.state)])}
    for name, (height, width) in sizes.items():
        observation[name] = _image(height, width, "Camera image.")
    step = {
        "action": _tensor("Displacement per step (m, rad, fixed axes XYZ), and the gripper: 1 = open.", [7]),
        "observation": _dictionary(observation),
        "language_instruction": _text("The task in plain words."),
        "reward": _scalar("float32", "1 on the last step of a success."),
        "discount": _scalar("float32", "1."),
        "is_first": _scalar("bool", "True on the first step."),
        "is_last": _scalar("bool", "True on the last step."),
        "is_terminal": _scalar("bool", "True on the last step of a success."),
    }
    about = {
        "episode_id": _scalar("int32", "Number of the bag."),
        "file_path": _text("Where the original data lay, or the bag's name."),
        "has_language": _scalar("bool", "Whether there is an instruction."),
        "ptr_metadata": _text("The bag's metadata, as JSON."),
    }
    about |= {f"has_{name}": _scalar("bool", f"Whether there is {name}.") for name in sizes}
    steps = {
        "pythonClassName": f"{_TFDS}.dataset_feature.Dataset",
        "sequence": {"feature": _dictionary(step), "length": "-1"},
    }
    return _dictionary({"steps": steps, "episode_metadata": _dictionary(about)})


def _dictionary(features: Mapping[str, Any]) -> dict[str, Any]:
    return {"pythonClassName": f"{_TFDS}.features_dict.FeaturesDict", "featuresDict": {"features": dict(features)}}


def _tensor(
    about: str, shape: Sequence[int], kind: str = "float32", name: str = "tensor_feature.Tensor"
) -> dict[str, Any]:
    dimensions = {"dimensions": [str(side) for side in shape]} if shape else {}
    tensor = {"shape": dimensions, "dtype": kind, "encoding": "none"}
    return {"pythonClassName": f"{_TFDS}.{name}", "tensor": tensor, "description": about}


def _scalar(kind: str, about: str) -> dict[str, Any]:
    return _tensor(about, (), kind, "scalar.Scalar")


def _text(about: str) -> dict[str, Any]:
    return {"pythonClassName": f"{_TFDS}.text_feature.Text", "text": {}, "description": about}


def _image(height: int, width: int, about: str) -> dict[str, Any]:
    image = {"shape": {"dimensions": [str(height), str(width), "3"]}, "dtype": "uint8", "encodingFormat": "jpeg"}
    return {"pythonClassName": f"{_TFDS}.image_feature.Image", "image": image, "description": about}


def _description(contract: Contract) -> str:
    return (
        "Episodes of an arm, written by ptr_models. An action is the displacement of the commanded end effector during "
        f"its step, along the axes of {contract.frame}, and the gripper commanded at its end. There are "
        f"{contract.control_rate:g} steps per second. Angles of the state are relative to the gripper pointing down."
    )
