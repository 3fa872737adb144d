# SPDX-License-Identifier: Apache-2.0
"""Files that say they are small and are not, and files of weights that are none."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from backports import zstd
from rosbags.rosbag2 import Writer
from rosbags.rosbag2.enums import CompressionFormat, CompressionMode, StoragePlugin

from ptr_models.contract import Camera
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.inspection import inspect
from ptr_models.episodes.messages import METADATA_TOPIC, STRING, definition
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.sampling import decode_image
from ptr_models.networks.published import WeightsError, _read


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG that claims a size and holds nothing."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xd9"


@pytest.mark.parametrize("make", [png_of, jpeg_of])
@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (16_384, 16_384), (65_500, 600)])
def test_an_image_that_claims_too_many_pixels_is_not_decoded(
    make: Callable[[int, int], bytes], width: int, height: int
) -> None:
    sentence = f"claims {width} x {height} = {width * height} pixels; at most 33554432 are decoded"
    with pytest.raises(EpisodeError, match=sentence):
        decode_image(make(width, height), Camera())


def test_a_small_chunk_that_holds_a_gigabyte_is_not_unpacked(tmp_path: Path) -> None:
    """Two bags: one says so, the other one lies about it."""
    text, digest = definition(STRING)
    folder = tmp_path / "bomb"
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection(METADATA_TOPIC, STRING, msgdef=text, rihs01=digest)
        writer.write(connection, 1, bytes(70 * 2**20))
    (folder / "episode.json").write_text(EpisodeMetadata("bomb", "t").to_json())
    bag = folder / "bomb.mcap"
    assert bag.stat().st_size < 41_000
    for read in (read_episode, inspect):
        with pytest.raises(EpisodeError, match=r"a chunk holds 7340\d{4} bytes; at most 67108864 are read"):
            read(folder)
    content = bag.read_bytes()
    size = next(
        struct.unpack_from("<Q", content, place)[0]
        for place in range(len(content) - 8)
        if 70 * 2**20 < struct.unpack_from("<Q", content, place)[0] < 71 * 2**20
    )
    bag.write_bytes(content.replace(struct.pack("<Q", size), struct.pack("<Q", 1000)))
    for read in (read_episode, inspect):
        with pytest.raises(EpisodeError, match="a chunk holds 1001 bytes or more, not 1000"):
            read(folder)


def bomb(path: Path) -> None:
    """41 MB that unpack to 8 GB, as far as the directory of the archive says."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 2**32 - 2)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"")
        archive.writestr("b.npy", b"")
    content = bytearray(path.read_bytes())
    place = -1
    while (place := content.find(b"PK\x01\x02", place + 1)) >= 0:
        struct.pack_into("<I", content, place + 24, 2**32 - 2)
    path.write_bytes(content)


NPY = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }" + b" " * 60 + b"\n" + bytes(4)
NO_WEIGHTS = {
    "empty": b"",
    "a web page": b"<!DOCTYPE html><html><body>Not found</body></html>",
    "a cut zip": b"PK\x03\x04" + bytes(40),
    "noise": bytes(range(256)),
    "one array": NPY,
}


@pytest.mark.parametrize("content", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_file_that_holds_no_weights_is_named(tmp_path: Path, ending: str, content: bytes) -> None:
    path = tmp_path / f"weights.{ending}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"weights.{ending} cannot be read as .*weights \\(.+\\); ") as caught:
        _read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_an_archive_that_was_cut_off_is_named(tmp_path: Path, cut: float) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.zeros(1000), "b": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[: int(cut * path.stat().st_size)])
    with pytest.raises(WeightsError, match=r"weights.pt cannot be read"):
        _read(path)


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    bomb(tmp_path / "weights.pt")
    with pytest.raises(WeightsError, match="its arrays have 8589934588 bytes; at most 4294967296 are read"):
        _read(tmp_path / "weights.pt")


def test_the_bomb_of_this_test_is_small() -> None:
    assert len(zstd.compress(bytes(70 * 2**20))) < 41_000
