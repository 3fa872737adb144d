# SPDX-License-Identifier: Apache-2.0
"""A disk that fills up while the policy drives, and a folder that is gone: the run ends, the bag is saved."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import fault_bag
import pytest
from fault_drivers import PolicyRun
from fault_plant import Plant

from ptr_msgs.msg import EpisodeStatus
from ptr_msgs.srv import StartEpisode

SIZE = 260  # MB: the recorder begins an episode on 200, and finishes it while 50 are left
LEFT = {"nearly full": 30, "full": 0}  # MB
MB = 2**20


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def small(ros, disk: Path, checkpoint: Path) -> Plant:
    """The system with its episodes on the small disk."""
    return Plant(ros, disk / "episodes", checkpoint)


@pytest.mark.parametrize("left", LEFT)
def test_a_disk_that_runs_full_ends_the_run(small: Plant, disk: Path, left: str) -> None:
    stuffing = disk / "stuffing"

    def fill() -> None:
        free = os.statvfs(disk)
        most = free.f_bavail * free.f_bsize - LEFT[left] * MB
        with stuffing.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # no space is left
            os.posix_fallocate(file.fileno(), 0, most - 2 * MB)
            while not LEFT[left]:
                file.write(bytes(MB // 16))

    with small.trial(PolicyRun) as trial:
        small.ros.spin(0.6)
        trial.strike(fill, watched=1.5)
        small.ros.wait(lambda: small.status.newest.state == EpisodeStatus.FAULT, "the recorder to say so")
        told = small.status.newest.message
        last = small.last_change()
        stuffing.unlink()
    assert "the disk is full" in told or "No space left" in told
    assert trial.driver.result is not None and not trial.driver.result.completed
    assert trial.driver.result.message.startswith("the recorder failed: ")
    assert 0 <= last <= trial.struck + trial.bound
    if left == "nearly full":
        assert {"disk_full", "stop"} <= trial.bag.event_kinds()
    assert trial.bag.changes() and trial.bag.of("/policy/step")


def test_a_folder_that_is_gone_begins_no_episode(small: Plant) -> None:
    small.ready()
    moved = small.folder.rename(small.folder.with_name("elsewhere"))
    answer = small.ask("/recorder/start", StartEpisode.Request(task="put_carrot_on_plate", kind="practice"))
    moved.rename(small.folder)
    assert not answer.success
    assert "is gone; restore it" in answer.message
    assert fault_bag.read(small.keep(small.record()).path)  # the next one is recorded as before
