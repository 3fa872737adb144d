# SPDX-License-Identifier: Apache-2.0
"""Things by name: the suite's own, and what installed packages add."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptr_models.algorithms.config import ALGORITHMS, AlgorithmConfig
from ptr_models.common import registry as registry_module
from ptr_models.common.registry import BrokenPluginError, Registry, UnknownNameError


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, entry_points: str, **modules: str) -> None:
    """A distribution on the path, as pip would leave it."""
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    info = folder / "lab_things-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-things\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    monkeypatch.syspath_prepend(folder)


OWN = {"root": "math:sqrt"}


def test_own_things_come_first_and_are_loaded_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "[lab.things]\nbeta = lab_a:b\nalpha = lab_a:a\n", lab_a="a, b = 'A', 'B'\n")
    registry = Registry("thing", "lab.things", OWN)
    assert registry.names == ("root", "alpha", "beta")
    assert (registry["root"](9.0), registry["alpha"], registry["beta"]) == (3.0, "A", "B")
    assert "beta" in registry and "gamma" not in registry


def test_packages_are_looked_through_once_and_again_for_a_name_that_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node asks for the names many times a second, and looking through all packages takes tens of milliseconds."""
    looked, entry_points = [], registry_module.entry_points
    monkeypatch.setattr(registry_module, "entry_points", lambda **k: looked.append(k) or entry_points(**k))
    registry = Registry("thing", "lab.late", OWN)
    assert [registry.names, registry.names, "root" in registry] == [("root",), ("root",), True]
    assert len(looked) == 1
    install(tmp_path, monkeypatch, "[lab.late]\nnew = lab_d:a\n", lab_d="a = 'new'\n")
    assert registry["new"] == "new" and registry.names == ("root", "new")


def test_an_entry_point_does_not_replace_an_own_thing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "[lab.others]\nroot = lab_b:a\n", lab_b="a = 'theirs'\n")
    registry = Registry("thing", "lab.others", OWN)
    assert registry.names == ("root",)
    assert registry["root"](4.0) == 2.0


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"there is no thing 'cube'; known: root"):
        Registry("thing", "lab.nothing", OWN)["cube"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("raise OSError('no such bus')\n", "OSError: no such bus"), ("b = 1\n", "AttributeError")],
)
def test_a_broken_package_is_named_with_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    name = f"lab_c{len(text)}"
    install(tmp_path, monkeypatch, f"[lab.broken]\nbad = {name}:a\n", **{name: text})
    with pytest.raises(BrokenPluginError, match=f"the thing 'bad' of the package lab-things can't be loaded: {said}"):
        Registry("thing", "lab.broken", OWN)["bad"]


@pytest.mark.parametrize("name", ALGORITHMS.names)
def test_every_algorithm_of_the_suite_can_be_loaded(name: str) -> None:
    assert ALGORITHMS[name].batches in ("transitions", "windows", "clips", "intents")


def test_a_configuration_with_an_unknown_algorithm_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="name is 'dreamer'; known: ptr, awr, bc"):
        AlgorithmConfig(name="dreamer")
