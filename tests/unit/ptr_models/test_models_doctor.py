# SPDX-License-Identifier: Apache-2.0
"""What the learner says of a machine in `ptr doctor`."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from ptr_models import doctor


def test_each_row_is_named_has_a_purpose_and_answers_with_one_of_two_texts() -> None:
    rows = doctor.checks()
    assert len({name for name, *_ in rows}) == len(rows)
    for _, purpose, necessary, probe in rows:
        found, advice = probe()
        assert purpose and bool(found) != bool(advice)
        assert found or not necessary


def test_libraries_are_told_with_their_versions() -> None:
    answers = {name: probe() for name, _, _, probe in doctor.checks()}
    assert answers["PyTorch"] == (torch.__version__, "")
    assert answers["rosbags"] == (version("rosbags"), "")


def test_a_library_that_is_not_there_says_how_to_get_it() -> None:
    found, advice = doctor._library("no_such_library")
    assert not found
    assert "no_such_library can't be imported" in advice and "make setup" in advice


def test_the_shipped_checkpoints_and_own_ones_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PTR_CHECKPOINTS", str(tmp_path))
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "checkpoint.json").touch()
    assert doctor.checkpoint() == ("ptr_bernoulli_small, ptr_bernoulli_standard, ptr_small, small", "")


def test_without_a_checkpoint_the_command_that_makes_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "checkpoint_directories", lambda: [])
    assert "make pretrain" in doctor.checkpoint()[1]


@pytest.mark.parametrize(("driver", "words"), [(True, "TORCH=default"), (False, "small networks")])
def test_without_cuda_the_advice_depends_on_whether_there_is_a_gpu(
    driver: bool, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if driver:
        (tmp_path / "nvidiactl").touch()
    assert words in doctor.gpu(tmp_path / "nvidiactl")[1]
