# SPDX-License-Identifier: Apache-2.0
"""How busy a computer is, from the kernel's counters."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_models.common.processor_use import ProcessorUse


def test_the_share_in_use_is_what_was_not_idle_since_the_beginning(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3 4\n")
    use = ProcessorUse(stat)
    assert use.share() is None  # no time has passed
    stat.write_text("cpu  170 0 60 810 60 0 0 0 70 0\n")  # guest time (70) is part of user time
    assert use.share() == pytest.approx(0.8)
    assert use.lap() == pytest.approx(0.8)
    stat.write_text("cpu  170 0 60 910 60 0 0 0 70 0\n")
    assert use.share() == 0.0


@pytest.mark.parametrize("text", ["", "cpu a b c\n"])
def test_without_counters_nothing_is_known(tmp_path: Path, text: str) -> None:
    stat = tmp_path / "stat"
    assert ProcessorUse(stat).share() is None
    stat.write_text(text)
    assert ProcessorUse(stat).lap() is None
