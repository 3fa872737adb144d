# SPDX-License-Identifier: Apache-2.0
"""Names of checkpoints: hidden while trials are judged, kept over a crash, disclosed at the end."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from ptr_models.common.assets import is_external
from ptr_models.common.errors import PtrError
from ptr_models.inference.loading import load_policy
from ptr_models.training.runs import CheckpointError
from ptr_policy.evaluation.checkpoints import Checkpoint, aliases, deal_letters, parse_checkpoints, seal, unseal
from ptr_policy.evaluation.protocol import Protocol, read_protocol
from ptr_policy.evaluation.trials import TrialsError

SECRETS = (Checkpoint("zebra", "/checkpoints/striped"), Checkpoint("heron", "/checkpoints/grey"))


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "checkpoint.json").write_text("{}")
    return path


def test_checkpoints_are_named_in_the_text(tmp_path: Path) -> None:
    one, two = folder(tmp_path / "one"), folder(tmp_path / "a run" / "checkpoints" / "step_00000010")
    text = f"zebra={one}, heron={tmp_path / 'a run'}"
    assert parse_checkpoints(text) == (Checkpoint("zebra", str(one)), Checkpoint("heron", str(two)))
    assert parse_checkpoints(str(one), "finetuned") == (Checkpoint("finetuned", str(one)),)
    external = parse_checkpoints(f"act=lerobot:{tmp_path / 'a run'}, pi0=openpi:elsewhere.yaml")
    assert [checkpoint.path for checkpoint in external] == [f"lerobot:{tmp_path / 'a run'}", "openpi:elsewhere.yaml"]


@pytest.mark.parametrize(("text", "part"), [("{0},b={0}", "has no name"), ("a={0},a={0}", "not all different")])
def test_checkpoints_without_a_name_of_their_own_are_refused(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(TrialsError, match=part):
        parse_checkpoints(text.format(folder(tmp_path / "one")))


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no checkpoint at"):
        parse_checkpoints(f"a={tmp_path / 'nothing'}")


def test_letters_are_dealt_by_chance_and_are_nobody_s_name() -> None:
    assert {tuple(deal_letters(SECRETS).values()) for _ in range(60)} == {SECRETS, SECRETS[::-1]}
    assert list(deal_letters([Checkpoint("a", "x"), Checkpoint("C", "y")])) == ["B", "D"]


def test_no_file_of_a_blind_evaluation_shows_a_name(tmp_path: Path) -> None:
    directory = tmp_path / "runs" / "evaluation"
    letters = seal(directory, SECRETS)
    Protocol("task", "kitchen", tuple(letters), 3, seed=0, blind=True).save(directory)
    shown = "".join(path.read_text() for path in directory.iterdir()).lower()
    assert shown
    for hidden in ("zebra", "heron", "striped", "grey"):
        assert hidden not in shown
    assert set(unseal(directory).values()) == set(SECRETS)


def test_an_evaluation_that_goes_on_keeps_its_letters(tmp_path: Path) -> None:
    first = seal(tmp_path, SECRETS)
    assert all(seal(tmp_path, SECRETS[::-1]) == first for _ in range(10))
    with pytest.raises(TrialsError, match="other checkpoints"):
        seal(tmp_path, SECRETS[:1])


def test_a_seal_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "sealed.json").write_text('{"sealed": "bm8="}')
    with pytest.raises(TrialsError, match=r"sealed.json cannot be read"):
        unseal(tmp_path)


def test_the_policy_server_gets_folders_that_are_named_by_letter(tmp_path: Path) -> None:
    real = folder(tmp_path / "striped")
    with aliases({"A": Checkpoint("zebra", str(real))}) as links:
        link = Path(links["A"])
        assert link.name == "A"
        assert "striped" not in str(link)
        assert (link / "checkpoint.json").read_text() == "{}"
    assert not link.exists()
    assert real.is_dir()


def test_the_policy_server_gets_an_external_policy_behind_a_file_that_is_named_by_letter(tmp_path: Path) -> None:
    with aliases({"B": Checkpoint("heron", f"lerobot:{tmp_path / 'grey'}")}) as links:
        assert Path(links["B"]).name == "B" and not is_external(links["B"])
        with pytest.raises(PtrError, match="grey holds no LeRobot policy"):
            load_policy(links["B"])
    assert not Path(links["B"]).exists()


def test_links_of_a_killed_evaluation_are_removed_and_those_of_a_running_one_stay(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    real = folder(tmp_path / "striped")
    abandoned = tmp_path / "ptr-blind-killed"
    abandoned.mkdir()
    (abandoned / "A").symlink_to(real, target_is_directory=True)
    letters = {"A": Checkpoint("zebra", str(real))}
    with aliases(letters) as running, aliases(letters) as other:
        assert not abandoned.exists()
        assert running != other
        assert Path(running["A"]).is_dir()
    assert (real / "checkpoint.json").exists()
    assert not list(tmp_path.glob("ptr-blind-*"))


def test_an_evaluation_may_get_more_scenes_and_nothing_else(tmp_path: Path) -> None:
    Protocol("task", "kitchen", ("A", "B"), 3, seed=0, started="then").save(tmp_path)
    more = Protocol("task", "kitchen", ("A", "B"), 8, seed=0, started="now").save(tmp_path)
    assert (more.scenes, more.started) == (8, "then")
    assert read_protocol(tmp_path) == more
    assert len(more.trials()) == 16
    with pytest.raises(TrialsError, match="its seed is 0, not 1"):
        Protocol("task", "kitchen", ("A", "B"), 8, seed=1).save(tmp_path)
    assert json.loads((tmp_path / "evaluation.json").read_text())["seed"] == 0
