# SPDX-License-Identifier: Apache-2.0
"""Presets: files laid over one another, found by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_models.cli import main
from ptr_models.training import presets as module
from ptr_models.training.config import ConfigError, TrainingConfig
from ptr_models.training.presets import preset, presets


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of preset files in place of the package's."""
    files: dict[str, Path] = {}
    monkeypatch.setattr(module, "_files", lambda: files | {path.stem: path for path in tmp_path.glob("*.yaml")})
    return tmp_path


def test_every_preset_says_in_one_sentence_what_it_is() -> None:
    for name, about in presets().items():
        assert about.endswith(".") and 20 < len(about) < 160, name
        assert preset(name).preset == name


def test_each_method_has_a_preset_of_both_sizes() -> None:
    methods = {name.rpartition("_")[0] for name in presets()}
    assert set(presets()) == {f"{method}_{size}" for method in methods for size in ("paper", "small")}


def test_the_defaults_are_the_paper_preset() -> None:
    assert preset("ptr_paper") == TrainingConfig()


def test_a_preset_replaces_values_of_its_base_and_of_the_base_of_that(folder: Path) -> None:
    (folder / "_first.yaml").write_text("batch_size: 8\nschedule: {mix: 0.5, target_from: 7}\n")
    (folder / "second.yaml").write_text("about: Two.\nbase: _first\nschedule: {mix: 0.6}\n")
    (folder / "third.yaml").write_text("about: Three.\nbase: second\nalgorithm: {alpha: 2.0}\n")
    config = preset("third")
    assert (config.preset, config.batch_size, config.algorithm.alpha) == ("third", 8, 2.0)
    assert (config.schedule.mix, config.schedule.target_from) == (0.6, 7)
    assert presets() == {"second": "Two.", "third": "Three."}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("about: A.\nbase: b\n", "a -> b -> a are based on each other"),
        ("about: A.\nbase: nothing\n", "based on 'nothing', which does not exist"),
        ("about: A.\nalgorithm: {alfa: 1.0}\n", "unknown configuration key 'algorithm.alfa'.*algorithm.alpha"),
    ],
)
def test_a_preset_that_makes_no_sense_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "a.yaml").write_text(text)
    (folder / "b.yaml").write_text("about: B.\nbase: a\n")
    with pytest.raises(ConfigError, match=message):
        preset("a")


@pytest.mark.parametrize("name", ["ptr_smal", "_small"])
def test_an_unknown_preset_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match="nearest is .*_small; known: .*ptr_paper"):
        preset(name)


def test_the_command_line_lists_presets_with_their_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "presets"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed and about in printed for name, about in presets().items())
