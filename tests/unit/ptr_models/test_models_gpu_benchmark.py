# SPDX-License-Identifier: Apache-2.0
"""The benchmark for GPUs runs through on a CPU, and says when there is no GPU."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("gpu")


def run(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, list[dict]]:
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options])
    code = benchmark.main()
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_without_a_gpu_nothing_is_measured(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, lines = run(benchmark, monkeypatch, capsys)
    assert code == 2
    assert [line["error"] for line in lines] == ["PyTorch sees no GPU here; nothing was measured"]


def test_every_part_but_compiling_works_on_a_cpu(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "compile_encoders", lambda *_: 0)
    small = ("--encoder", "tiny", "--batch", "4", "--image-size", "16", "--repetitions", "1")
    code, lines = run(benchmark, monkeypatch, capsys, "--device", "cpu", *small)
    *measured, summary = lines
    assert (code, summary["failed"], summary["not_measured"]) == (0, [], [])
    assert [line["part"] for line in measured] == ["update"] * 6 + ["norm"] * 4 + ["augmentation"] + ["feeding"] * 3
    assert next(line for line in measured if line["part"] == "augmentation")["largest_difference"] <= 1


def test_what_there_is_no_time_for_is_named(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines = run(benchmark, monkeypatch, capsys, "--device", "cpu", "--parts", "norm", "--seconds", "-1")
    assert code == 0
    assert lines[-1]["not_measured"] == ["norm 0", "norm 1", "norm 2", "norm 3"]
