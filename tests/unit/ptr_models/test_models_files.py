# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import threading
from pathlib import Path

import pytest

from ptr_models.common.files import write_atomically, write_json

ROOT = Path(__file__).parents[3]
PARTIAL_ALLOWED = {
    "ptr_bringup/ptr_bringup/launching/supervisor.py",  # parameters of a node that starts afterwards
    "models/ptr_models/training/checkpoint.py",  # into a folder that gets its name when it is complete
    "models/ptr_models/reward/classifier.py",  # the same
    "models/ptr_models/exchange/lerobot/staging.py",  # the same
    "models/ptr_models/exchange/lerobot/assembly.py",  # the same
}


@pytest.mark.parametrize("durable", [False, True])
def test_a_reader_never_sees_half_a_file(tmp_path: Path, durable: bool) -> None:
    file, ended, seen = tmp_path / "trials.json", threading.Event(), []
    write_json(file, list(range(5000)))

    def read() -> None:
        while not ended.is_set():
            try:
                seen.append(len(json.loads(file.read_text())))
            except ValueError:  # half a file
                seen.append(0)

    reader = threading.Thread(target=read)
    reader.start()
    for count in range(5000, 5200 if durable else 5400):
        write_json(file, list(range(count)), durable)
    ended.set()
    reader.join()
    assert len(seen) > 10 and min(seen) >= 5000
    assert os.listdir(tmp_path) == ["trials.json"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "plan.json"
    write_atomically(file, "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(file, "new")
    assert file.read_text() == "old" and os.listdir(tmp_path) == ["plan.json"]


def test_no_module_replaces_a_text_file_in_place() -> None:
    packages = ("models/ptr_models", "ptr_bringup/ptr_bringup", "ptr_teleop/ptr_teleop", "ptr_policy/ptr_policy")
    sources = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 200
    found = {str(path.relative_to(ROOT)) for path in sources if re.search(r"\.write_text\(", path.read_text())}
    assert found == PARTIAL_ALLOWED
