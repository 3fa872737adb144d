# SPDX-License-Identifier: Apache-2.0
"""MP4 files as frames without actions: which frames, in what size, with how much memory, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from ptr_models.common import video
from ptr_models.common.errors import PtrError
from ptr_models.common.video import Encoding, VideoError, encode
from ptr_models.contract import Camera, Contract
from ptr_models.replay import Dataset, open_episodes
from ptr_models.replay import videos as module
from ptr_models.replay.cli import caches
from ptr_models.replay.dataset import JoinedRows
from ptr_models.replay.videos import find_videos, frames_at, open_videos

SIZE = 32
CONTRACT = Contract(cameras=(Camera(height=SIZE, width=SIZE),))


def gray_video(path: Path, levels: np.ndarray, fps: int = 30, size: tuple[int, int] = (48, 64)) -> Path:
    """A video whose frames are gray, of these levels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = (np.full((*size, 3), level, np.uint8) for level in levels)
    encode(path, frames, size, fps, Encoding(crf=1))
    return path


def opened(*places: Path, **options: object) -> Dataset:
    return open_videos(places, CONTRACT, root=places[0].parent / "cache", progress=False, workers=1, **options)


def levels_of(data: Dataset) -> list[list[float]]:
    """Mean gray of each frame of each episode."""
    return [[float(frame.mean()) for frame in data.episode(index)[0]] for index in range(len(data))]


# --------------------------------------------------------------------------- which frames
@pytest.mark.parametrize(("fps", "rate", "every"), [(30, 5.0, 6), (10, 5.0, 2), (5, 5.0, 1), (4, 5.0, 1)])
def test_frames_are_taken_at_the_rate_that_was_asked_for(fps: int, rate: float, every: int, tmp_path: Path) -> None:
    """Of 30 frames a second each sixth one at 5 Hz; of 4 a second all, since there are no more."""
    levels = np.arange(20, 20 + 6 * 37, 6)
    path = gray_video(tmp_path / "one.mp4", levels, fps)
    found = [float(frame.mean()) for frame in frames_at(path, rate)]
    assert found == pytest.approx(levels[::every].tolist(), abs=2.0)


def test_a_rate_between_the_frames_takes_the_next_one(tmp_path: Path) -> None:
    """At 30 frames a second the times 0, 1/4, 1/2 and 3/4 s are those of the frames 0, 7.5, 15 and 22.5."""
    levels = np.arange(20, 20 + 7 * 30, 7)
    path = gray_video(tmp_path / "one.mp4", levels)
    found = [float(frame.mean()) for frame in frames_at(path, 4.0)]
    assert found == pytest.approx(levels[[0, 8, 15, 23]].tolist(), abs=2.0)


def test_images_are_rgb_and_squashed_to_the_size_of_the_contract(tmp_path: Path) -> None:
    """Left half red, right half blue: OpenCV writes BGR, the networks see RGB."""
    image = np.zeros((96, 128, 3), np.uint8)
    image[:, :64, 2], image[:, 64:, 0] = 250, 250
    encode(tmp_path / "one.mp4", [image] * 12, (96, 128), 5, Encoding(crf=1))
    frames = opened(tmp_path / "one.mp4").frames[:]
    assert frames.shape == (12, SIZE, SIZE, 3)
    left, right = frames[0, :, : SIZE // 2 - 2].reshape(-1, 3), frames[0, :, SIZE // 2 + 2 :].reshape(-1, 3)
    assert (left[:, 0] > 200).all() and left[:, 1:].max() < 60
    assert (right[:, 2] > 200).all() and right[:, :2].max() < 60


def test_folders_are_searched_and_every_file_is_an_episode_without_actions(tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    gray_video(videos / "b.mp4", np.full(12, 90), 5)
    gray_video(videos / "deep" / "A.MP4", np.full(7, 40), 5)
    (videos / "notes.txt").write_text("no video")
    gray_video(videos / ".hidden.mp4", np.full(7, 40), 5)
    (videos / "loop").symlink_to(videos)
    data = opened(videos)
    assert [Path(path).name for path in data.paths] == ["b.mp4", "A.MP4"]
    assert data.lengths.tolist() == [11, 6] and set(data.tasks) == {"video"}
    assert levels_of(data) == [pytest.approx([90.0] * 12, abs=2), pytest.approx([40.0] * 7, abs=2)]
    assert not np.any(data.actions) and not np.any(data.states)
    assert data.actions.shape[1:] == (7,) and data.states.shape[1:] == (7,)


# --------------------------------------------------------------------------- memory
def test_a_long_video_is_kept_in_parts_of_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """31 frames in parts of 10: the last one is a single frame, which has no successor."""
    monkeypatch.setattr(module, "PART_FRAMES", 10)
    written: list[int] = []
    append = module.Writer.append
    monkeypatch.setattr(module.Writer, "append", lambda self, rows: written.append(len(rows[0])) or append(self, rows))
    path = gray_video(tmp_path / "one.mp4", np.arange(31) * 7 + 20, 5)
    data = opened(path)
    assert written == [10, 10, 10] and data.lengths.tolist() == [9, 9, 9]
    assert [Path(path).name for path in data.paths] == ["one.mp4", "one.mp4#1", "one.mp4#2"]
    assert np.concatenate(levels_of(data)) == pytest.approx(np.arange(30) * 7 + 20, abs=2.5)


def test_frames_are_decoded_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes three frames has had no more than four decoded to images."""
    path = gray_video(tmp_path / "one.mp4", np.full(60, 90), 5)
    count = 0
    bgr = video.bgr

    def counted(frame: object) -> np.ndarray:
        nonlocal count
        count += 1
        return bgr(frame)

    monkeypatch.setattr(module, "bgr", counted)
    frames = frames_at(path, 5.0)
    for _ in range(3):
        next(frames)
    assert count <= 4


@pytest.mark.parametrize(("size", "most"), [(64, 1000), (224, 445), (4096, 2)])
def test_parts_have_at_most_a_thousand_frames_and_64_mib(size: int, most: int) -> None:
    contract = Contract(cameras=(Camera(height=size, width=size),))
    assert module._VideoReader(None, contract)._most == most  # type: ignore[arg-type]  # nothing is written
    assert most == 2 or most * size * size * 3 <= 64 * 2**20


# --------------------------------------------------------------------------- once
def test_a_file_is_read_again_only_after_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_FRAMES", 10)
    read: list[str] = []
    original = module.frames_at

    def counted(path: Path, rate: float) -> Iterator[np.ndarray]:
        read.append(path.name)
        return original(path, rate)

    monkeypatch.setattr(module, "frames_at", counted)
    videos = tmp_path / "videos"
    gray_video(videos / "a.mp4", np.full(25, 90), 5)
    gray_video(videos / "b.mp4", np.full(12, 40), 5)
    first = opened(videos)
    assert len(opened(videos)) == len(first) == 5 and read == ["a.mp4", "b.mp4"]
    gray_video(videos / "a.mp4", np.full(9, 200), 5)  # shorter: its later parts are gone
    os.utime(videos / "a.mp4", ns=(1, 1))
    changed = opened(videos)
    assert read == ["a.mp4", "b.mp4", "a.mp4"]
    assert changed.lengths.tolist() == [8, 9, 1] and levels_of(changed)[0] == pytest.approx([200.0] * 9, abs=2)
    opened(videos, rate=2.5)  # other frames: another cache
    assert read[3:] == ["a.mp4", "b.mp4"]


def test_the_cache_of_videos_is_listed_beside_those_of_bags(tmp_path: Path) -> None:
    opened(gray_video(tmp_path / "one.mp4", np.full(6, 90), 5))
    (found,) = caches(tmp_path / "cache")
    assert found.contract is not None and found.contract.cameras[0].name == "video" and found.bags == 1


def test_damaged_frames_of_the_cache_are_refused(tmp_path: Path) -> None:
    path = gray_video(tmp_path / "one.mp4", np.full(6, 90), 5)
    opened(path)
    (found,) = caches(tmp_path / "cache")
    with (found.folder / "frames.bin").open("r+b") as file:
        file.write(b"\1" * 100)
    with pytest.raises(PtrError, match="replay cache .* is damaged"):
        opened(path).frames[0:1]


# --------------------------------------------------------------------------- bad files
def truncated(path: Path) -> Path:
    path.write_bytes(gray_video(path, np.arange(40) * 5 + 20, 5).read_bytes()[:900])
    return path


def play_list(path: Path) -> Path:
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/one.ts\n#EXT-X-ENDLIST\n")
    return path


def empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def jpeg(path: Path) -> Path:
    path.write_bytes(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    return path


def single_frame(path: Path) -> Path:
    return gray_video(path, np.full(1, 90), 5)


def of_unknown_codec(path: Path) -> Path:
    path.write_bytes(gray_video(path, np.full(6, 90), 5).read_bytes().replace(b"avc1", b"zzzz"))
    return path


BAD = [
    (truncated, "is not an intact MP4 video"),
    (play_list, "is not an intact MP4 video"),
    (empty, "is not an intact MP4 video"),
    (jpeg, "is not an intact MP4 video"),
    (of_unknown_codec, "has the codec unknown; known: h264, hevc, av1, vp9, mpeg4"),
    (single_frame, "has fewer than two frames at 5 Hz; give a longer video"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[make.__name__ for make, _ in BAD])
def test_a_bad_file_is_left_out_with_one_sentence(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    bad = make(tmp_path / "bad.mp4")
    with pytest.raises(PtrError, match=f"none of 1 videos is usable; the first: {bad} {message}") as caught:
        opened(bad)
    assert "\n" not in str(caught.value)
    gray_video(tmp_path / "good.mp4", np.full(6, 90), 5)
    data = opened(bad, tmp_path / "good.mp4")
    assert [Path(path).name for path in data.paths] == ["good.mp4"]
    (left_out,) = data.left_out
    assert left_out.path == str(bad) and message in left_out.reason


def test_frames_that_are_too_large_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = gray_video(tmp_path / "one.mp4", np.full(6, 90), 5)
    monkeypatch.setattr(video, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(VideoError, match="claims frames of 64 x 48 pixels; at most 1000 are decoded"):
        list(frames_at(path, 5.0))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "nothing does not exist"),
        ("folder", "folder holds no .mp4 file"),
        ("film.avi", "film.avi is not an .mp4 file; give MP4 files, or folders of them"),
    ],
)
def test_a_place_without_videos_is_refused(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "film.avi").write_bytes(b"RIFF")
    with pytest.raises(PtrError, match=message):
        find_videos([tmp_path / name])


def test_videos_have_one_view(tmp_path: Path) -> None:
    contract = CONTRACT.with_cameras(["over_shoulder", "wrist"])
    with pytest.raises(PtrError, match=r"the bags have over_shoulder, wrist; choose one with data.cameras"):
        open_videos([tmp_path], contract)


def test_without_av_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "can_encode", lambda: False)
    with pytest.raises(VideoError, match=r"videos need av: pip install 'ptr_models\[view\]'"):
        open_videos([tmp_path], CONTRACT)


# --------------------------------------------------------------------------- beside bags
def test_bags_and_videos_are_one_data_set_whose_frames_lie_in_two_files(
    make_episode: Callable[..., Path], tmp_path: Path
) -> None:
    make_episode(0, steps=5)
    cache, contract = tmp_path / "cache", Contract()
    bags = open_episodes([tmp_path / "bags"], contract, root=cache, progress=False)
    path = gray_video(tmp_path / "one.mp4", np.arange(4) * 40 + 20, 5)
    videos = open_videos([path], contract, root=cache, progress=False)
    both = bags.followed_by(videos)
    assert both.lengths.tolist() == [5, 3] and both.contract == contract
    for index, (data, own) in enumerate(((bags, 0), (videos, 0))):
        for part, wanted in zip(both.episode(index), data.episode(own), strict=True):
            assert np.array_equal(part, wanted)
    rows = np.array([7, 0, 9, 5, 6])
    wanted = np.concatenate([bags.frames[:], videos.frames[:]])
    assert np.array_equal(both.frames[rows], wanted[rows]) and np.array_equal(both.frames, wanted)
    assert isinstance(both.frames, JoinedRows) and both.frames.shape == wanted.shape
