# SPDX-License-Identifier: Apache-2.0
"""The replay cache: what it holds, what it reads again, what becomes of it when something goes wrong."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ptr_models.cli import main
from ptr_models.contract import Camera, Contract, ContractError
from ptr_models.episodes.actions import scale
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata, Label
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.trajectory import write_episode
from ptr_models.replay import Dataset, Sampler, build, open_episodes, store
from ptr_models.replay.verified import checksum
from ptr_models.replay.windows import WindowSampler

CONTRACT = Contract()
FRAME_BYTES = 64 * 64 * 3


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Dataset]:
    """The episodes in tmp_path/bags, with the cache in tmp_path/cache."""

    def load(contract: Contract = CONTRACT, **options: Any) -> Dataset:
        options = {"progress": False} | options
        return open_episodes([tmp_path / "bags"], contract, root=tmp_path / "cache", **options)

    return load


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the bags whose streams are read, from now on."""
    names: list[str] = []

    def counted(path: str, *arguments: Any) -> Any:
        names.append(Path(path).name)
        return read_episode(path, *arguments)

    monkeypatch.setattr(build, "read_episode", counted)
    return names


def relabel(folder: Path, outcome: str) -> None:
    metadata = EpisodeMetadata.from_json((folder / "episode.json").read_text())
    (folder / "episode.json").write_text(metadata.labelled(Label(outcome, 1, "reviewer")).to_json())


def test_each_episode_is_as_the_reader_gives_it(
    make_episode: Callable[..., Path], load: Callable[..., Dataset]
) -> None:
    for index, steps in enumerate((12, 5, 8)):
        make_episode(index, steps=steps)
    data = load()
    assert (len(data), data.transitions, len(data.frames)) == (3, 25, 28)
    for index, path in enumerate(data.paths):
        episode = read_episode(path)
        frames, states, actions = data.episode(index)
        assert (frames == episode.images["over_shoulder"]).all()
        assert (states == episode.states).all()
        assert (actions == episode.actions).all()


def test_a_bag_whose_images_lag_pairs_each_action_with_what_shows_it_and_others_do_not(
    make_episode: Callable[..., Path], load: Callable[..., Dataset]
) -> None:
    """PTR's rule for Bridge before 2021-07-23: drop the first observation and the last action."""
    make_episode(0, steps=12, action_shift=1)
    make_episode(1, steps=5)
    data = load()
    assert list(data.lengths) == [11, 5] and data.transitions == 16
    for index, shift in ((0, 1), (1, 0)):
        episode = read_episode(data.paths[index])
        frames, states, actions = data.episode(index)
        assert (frames == episode.images["over_shoulder"][shift:]).all()
        assert (states == episode.states[shift:]).all()
        assert (actions == episode.actions[: len(episode) - shift]).all()
    ids = {"put_carrot_in_pot": 0}
    batch, window = Sampler(data, ids).gather(np.array([0, 10])), WindowSampler(data, ids, 0, 4).gather(np.array([0]))
    raw = read_episode(data.paths[0])
    assert (batch.next_state == raw.states[[2, 12]]).all() and (window.state == raw.states[1:5]).all()
    assert_allclose(batch.action, scale(raw.actions[[0, 10]], data.contract))
    assert list(batch.mask) == [1.0, 0.0]


def test_a_shift_that_changes_is_read_again_and_one_that_leaves_no_step_excludes_the_bag(
    make_episode: Callable[..., Path], load: Callable[..., Dataset], reads: list[str]
) -> None:
    folder = make_episode(0, steps=5)
    make_episode(1, steps=5, action_shift=5)
    data = load()
    assert [item.reason for item in data.left_out] == [
        "it has 5 steps, none of which is left with its action_shift of 5"
    ]
    metadata = EpisodeMetadata.from_json((folder / "episode.json").read_text())
    (folder / "episode.json").write_text(dataclasses.replace(metadata, action_shift=2).to_json())
    assert list(load().lengths) == [3]
    assert sorted(reads) == ["episode_0000", "episode_0000", "episode_0001"]


def test_cameras_are_stacked_in_the_order_of_the_contract(
    make_trajectory: Callable[..., Any], tmp_path: Path, load: Callable[..., Dataset]
) -> None:
    contract = Contract(cameras=(Camera("wrist"), Camera("front")))
    trajectory = make_trajectory(steps=4)[0]
    images = trajectory.images["over_shoulder"]
    both = dataclasses.replace(trajectory, images={"front": images, "wrist": images[::-1]})
    write_episode(tmp_path / "bags", EpisodeMetadata("e", "t", outcome="success", contract=contract), both)
    frames = load(contract).episode(0)[0]
    assert frames.shape == (5, 64, 64, 6)
    assert (frames[..., :3] == frames[::-1, ..., 3:]).all()


def test_only_bags_that_are_new_or_changed_are_read(
    make_episode: Callable[..., Path], load: Callable[..., Dataset], reads: list[str]
) -> None:
    make_episode(0)
    make_episode(1)
    load()
    load()
    assert sorted(reads) == ["episode_0000", "episode_0001"]
    reads.clear()
    make_episode(2)
    os.utime(make_episode(3) / "episode_0003.mcap")
    assert len(load()) == 4
    assert sorted(reads) == ["episode_0002", "episode_0003"]
    reads.clear()
    bag = Path(load().paths[1]) / "episode_0001.mcap"
    os.utime(bag, ns=(1, 1))
    assert len(load()) == 4
    assert reads == ["episode_0001"]


def test_a_label_changes_an_episode_without_reading_its_streams(
    make_episode: Callable[..., Path], load: Callable[..., Dataset], reads: list[str], tmp_path: Path
) -> None:
    folder, unjudged = make_episode(0), make_episode(1, outcome="unlabelled")
    assert list(load().successes) == [True]
    relabel(folder, "failure")
    assert list(load().successes) == [False]
    assert reads == ["episode_0000"]
    relabel(unjudged, "success")
    assert list(load().successes) == [False, True]
    assert reads == ["episode_0000", "episode_0001"]
    shutil.rmtree(tmp_path / "cache")
    assert list(load().successes) == [False, True]


def test_a_bag_that_is_removed_leaves_the_data_set(
    make_episode: Callable[..., Path], load: Callable[..., Dataset], reads: list[str]
) -> None:
    removed, _ = make_episode(0), make_episode(1)
    assert len(load()) == 2
    shutil.rmtree(removed)
    assert [Path(path).name for path in load().paths] == ["episode_0001"]
    assert len(reads) == 2


def test_a_data_set_that_is_open_stays_as_it_is(
    make_episode: Callable[..., Path], load: Callable[..., Dataset]
) -> None:
    make_episode(0)
    last = make_episode(1)
    data = load()
    before = [array.copy() for array in data.episode(1)]
    os.utime(last / "episode_0001.mcap", ns=(1, 1))
    make_episode(2)
    load()
    for array, copy in zip(data.episode(1), before, strict=True):
        assert (array == copy).all()


def test_unusable_episodes_are_left_out_by_name_and_reason(
    make_episode: Callable[..., Path], load: Callable[..., Dataset], capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(0)
    make_episode(1, outcome="unlabelled")
    make_episode(2, kind="practice")
    cut = make_episode(3) / "episode_0003.mcap"
    cut.write_bytes(cut.read_bytes()[:5000])
    make_episode(4, contract=dataclasses.replace(CONTRACT, control_rate=10.0))
    (make_episode(5) / "episode.json").write_text("{")
    data = load(progress=True)
    assert [Path(path).name for path in data.paths] == ["episode_0000"]
    reasons = {Path(entry.path).name: entry.reason for entry in data.left_out}
    expected = {
        "episode_0001": "its outcome is unlabelled",
        "episode_0002": "it is practice",
        "episode_0003": "cut off or damaged",
        "episode_0004": "follows another contract .*control_rate: 5.0 != 10.0",
        "episode_0005": "cannot be read",
    }
    assert set(reasons) == set(expected)
    for name, pattern in expected.items():
        assert re.search(pattern, reasons[name]), reasons[name]
    assert "5 episodes left out, 1 used" in capsys.readouterr().err


def test_a_folder_without_any_usable_episode_is_an_error(
    make_episode: Callable[..., Path], load: Callable[..., Dataset]
) -> None:
    make_episode(0, outcome="unlabelled")
    with pytest.raises(EpisodeError, match="none of 1 episodes is usable; the first, .*episode_0000: its outcome"):
        load()


def test_where_all_follow_another_contract_the_error_names_the_field_and_both_values(
    make_episode: Callable[..., Path], load: Callable[..., Dataset]
) -> None:
    for index in range(2):
        make_episode(index, contract=dataclasses.replace(CONTRACT, control_rate=10.0))
    with pytest.raises(ContractError, match="episode_0000 follows another contract .*control_rate: 5.0 != 10.0"):
        load()


@pytest.mark.parametrize("name", ["frames.bin", "states.bin", "actions.bin", "index.sqlite"])
def test_a_damaged_cache_says_to_delete_it(
    make_episode: Callable[..., Path], load: Callable[..., Dataset], tmp_path: Path, name: str
) -> None:
    make_episode(0)
    load()
    file = next((tmp_path / "cache").iterdir()) / name
    file.write_bytes(b"x" * 100)
    with pytest.raises(EpisodeError, match="is damaged .* delete the folder"):
        load()


def test_a_full_disk_says_so_and_keeps_what_is_done(
    make_episode: Callable[..., Path], load: Callable[..., Dataset], reads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for index in range(6):
        make_episode(index)
    with monkeypatch.context() as full:
        write, written = os.pwrite, []

        def pwrite(file: int, content: memoryview, place: int) -> int:
            written.append(len(content))
            if len(written) > 3 * 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(file, content[: max(1, len(content) // 2)] if len(written) == 1 else content, place)

        full.setattr(store.os, "pwrite", pwrite)
        with pytest.raises(EpisodeError, match="No space left on device; 2 of 6 episodes are done and kept; free"):
            load(workers=1)
    reads.clear()
    data = load()
    assert len(data) == 6
    assert sorted(reads) == [f"episode_{index:04d}" for index in range(2, 6)]
    for index, path in enumerate(data.paths):
        assert (data.episode(index)[0] == read_episode(path).images["over_shoulder"]).all()


FILL = """
import sys
from ptr_models.contract import Contract
from ptr_models.replay import build, open_episodes
build.COMMIT_SECONDS = float(sys.argv[3])
data = open_episodes([sys.argv[1]], Contract(), root=sys.argv[2], workers=1, progress=False)
print(len(data), data.transitions, int(data.frames[:].sum()))
"""


def fill_elsewhere(tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    """A process that fills tmp_path/cache, and commits that often."""
    words = [sys.executable, "-c", FILL, str(tmp_path / "bags"), str(tmp_path / "cache"), str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


def indexed(tmp_path: Path) -> int:
    """Episodes in the index so far."""
    for index in (tmp_path / "cache").glob("*/index.sqlite"):
        try:
            with closing(sqlite3.connect(index)) as connection:
                return connection.execute("SELECT count(*) FROM bags").fetchone()[0]
        except sqlite3.Error:
            pass
    return 0


def test_a_process_that_is_killed_while_it_reads_keeps_what_it_finished(
    make_episode: Callable[..., Path], load: Callable[..., Dataset], reads: list[str], tmp_path: Path
) -> None:
    for index in range(40):
        make_episode(index)
    process = fill_elsewhere(tmp_path, seconds=0.0)
    deadline = time.monotonic() + 60
    while not (done := indexed(tmp_path)):
        assert time.monotonic() < deadline
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    data = load()
    assert len(data) == 40
    assert len(reads) <= 40 - done
    for index, path in enumerate(data.paths):
        assert (data.episode(index)[0] == read_episode(path).images["over_shoulder"]).all()


def test_two_processes_at_once_read_each_bag_once(make_episode: Callable[..., Path], tmp_path: Path) -> None:
    for index in range(10):
        make_episode(index)
    both = [fill_elsewhere(tmp_path, seconds=5.0) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith("10 120 ")
    frames = next((tmp_path / "cache").glob("*/frames.bin"))
    assert frames.stat().st_size == 10 * 13 * FRAME_BYTES


def test_whoever_waits_for_the_cache_says_which_process_has_it(
    tmp_path: Path, load: Callable[..., Dataset], make_episode: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A training that was suspended with Ctrl-Z, for example, keeps the cache until it ends."""
    make_episode(0)
    shelf = store.Store(tmp_path / "cache", CONTRACT)
    with ThreadPoolExecutor() as pool:
        with shelf.writer():
            waiting = pool.submit(load, progress=True)
            said = ""
            while "waiting" not in said and not waiting.done():
                said += capsys.readouterr().err
                time.sleep(0.01)
        waiting.result(timeout=60)
    assert f"process {os.getpid()} (" in said and f") is filling the cache {shelf.folder}; waiting for it" in said


def test_thousands_of_episodes_are_opened_without_reading_anything(
    tmp_path: Path, load: Callable[..., Dataset], reads: list[str]
) -> None:
    """The index alone knows them: files whose stamps it holds are not opened."""
    count, steps = 2000, 4
    shelf = store.Store(tmp_path / "cache", CONTRACT)
    with shelf.writer() as writer:
        arrays = [np.zeros(((steps + 1) * count, *shape), kind) for kind, shape in store.row_kinds(CONTRACT).values()]
        start = writer.append(store.Arrays(*arrays))
        entries = []
        for index in range(count):
            folder = tmp_path / "bags" / f"e{index:05d}"
            folder.mkdir(parents=True)
            (folder / "e.mcap").touch()
            status = (folder / "e.mcap").stat()
            entries.append(
                store.Entry(
                    str(folder),
                    store.Stamp(0, status.st_mtime_ns, -1, -1),
                    "t",
                    "trial",
                    "success",
                    start=start + index * (steps + 1),
                    steps=steps,
                    motion_crc=checksum(*(array[: steps + 1] for array in arrays[1:])),
                    instruction="",
                )
            )
        writer.commit(entries)
    data = load()
    assert (len(data), data.transitions, reads) == (count, count * steps, [])


def test_caches_are_listed_and_cleared(
    make_episode: Callable[..., Path],
    load: Callable[..., Dataset],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    make_episode(0)
    load()
    (folder,) = (tmp_path / "cache").iterdir()
    place = ["--cache", str(tmp_path / "cache")]
    assert main(["cache", "list", *place]) == 0
    assert re.search(rf"{folder.name}\s+{CONTRACT.hash}\s+over_shoulder 64x64\s+5 Hz\s+1\s", capsys.readouterr().out)
    assert main(["cache", "clear", "nothing", *place]) == main(["cache", "clear", *place]) == 2
    assert folder.is_dir()
    assert main(["cache", "clear", folder.name[:6], *place]) == 0
    assert not folder.exists()
    assert len(load()) == 1
