# SPDX-License-Identifier: Apache-2.0
"""`ptr contract`, and images that are made again from the full ones in the bags, never silently of another size."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from training_runs import SMALL

from ptr_models import cli
from ptr_models.contract import Camera, Contract, ContractError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.episodes.reader import read_episode
from ptr_models.episodes.trajectory import write_episode
from ptr_models.replay import open_episodes
from ptr_models.training.data import Bags, contract_of


@pytest.fixture
def large(tmp_path: Path, make_trajectory: Callable) -> Path:
    """A folder of two episodes with images of 128x96 pixels, recorded for policies that see 64x64."""
    for number in range(2):
        trajectory, _ = make_trajectory(number, 12, (96, 128))
        write_episode(
            tmp_path / "large", EpisodeMetadata(f"e{number}", "put_carrot_in_pot", outcome="success"), trajectory
        )
    return tmp_path / "large"


def test_a_contract_is_made_shown_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrist.json"
    words = ["--camera", "over_shoulder", "wrist", "--image-size", "128x96", "--control-rate", "10"]
    assert cli.main(["contract", "make", str(file), *words]) == 0
    made = Contract.from_json(file.read_text())
    assert [(camera.name, camera.width, camera.height) for camera in made.cameras] == [
        ("over_shoulder", 128, 96),
        ("wrist", 128, 96),
    ]
    capsys.readouterr()
    assert cli.main(["contract", "show", str(file)]) == 0
    assert f"contract {made.hash}, 10 Hz\ncamera over_shoulder: 128x96 pixels" in capsys.readouterr().out
    (tmp_path / "suite.json").write_text(Contract().to_json())
    assert cli.main(["contract", "compare", str(file), str(tmp_path / "suite.json")]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "control_rate: 10.0 != 5.0",
        "cameras: over_shoulder, wrist != over_shoulder",
    ]


def test_the_contracts_of_a_folder_are_counted_and_those_of_a_checkpoint_shown(
    make_episode: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(0)
    folder = make_episode(1, contract=Contract(control_rate=10.0)).parent
    make_episode(2)
    assert cli.main(["contract", "show", str(folder)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("2 episodes:\n") and "1 episodes:\n" in text
    assert cli.main(["contract", "compare", str(folder), "ptr_small"]) == 2
    assert "holds episodes of 2 contracts" in capsys.readouterr().err
    assert cli.main(["contract", "show", "ptr_small", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["control_rate"] == 5.0


def test_contracts_that_differ_only_in_size_are_called_no_hindrance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, size in (("a", "64"), ("b", "128")):
        cli.main(["contract", "make", str(tmp_path / name), "--image-size", size])
    capsys.readouterr()
    assert cli.main(["contract", "compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 1
    assert "camera over_shoulder, size: 64x64 != 128x128\nonly the sizes differ" in capsys.readouterr().out


def test_differences_are_sentences_without_python(tmp_path: Path) -> None:
    other = Contract(cameras=(Camera(max_age=0.5),), action_high=(0.1, *Contract().action_high[1:]))
    with pytest.raises(ContractError) as caught:
        Contract().require(other, "it")
    assert not set("(){}[]'") & set(str(caught.value).split(": ", 1)[1])
    assert "camera over_shoulder, max_age: 0.3 != 0.5" in str(caught.value)


def test_images_are_read_again_at_the_size_that_is_wanted(large: Path, tmp_path: Path) -> None:
    wanted = Contract().with_image_size(96, 96)
    data = open_episodes([large], wanted, root=tmp_path / "cache")
    assert (len(data), data.left_out) == (2, ())
    assert data.contract == wanted and next(iter(read_episode(large / "e0", wanted).images.values())).shape[1:] == (
        96,
        96,
        3,
    )
    small = next(iter(read_episode(large / "e0").images.values()))
    assert small.shape[1:] == (64, 64, 3) and np.ptp(small) > 0


def test_images_are_never_blown_up(large: Path, tmp_path: Path) -> None:
    wanted = Contract().with_image_size(128, 128)
    sentence = "have 128x96 pixels, fewer than the required 128x128; train with --set networks.image_size=96"
    with pytest.raises(EpisodeError, match=sentence):
        read_episode(large / "e0", wanted)
    with pytest.raises(EpisodeError, match=f"none of 2 episodes is usable.*{sentence}"):
        open_episodes([large], wanted, root=tmp_path / "cache")


def test_a_preset_sees_images_of_its_own_size(large: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    contract = contract_of(Bags(prior=[large]), image_size=80)
    assert contract.image_shape == (80, 80, 3)
    assert "images are resized to 80x80 from the bags' full images, not to 64x64" in caplog.text


def test_training_uses_the_size_of_the_preset(large: Path, tmp_path: Path) -> None:
    from ptr_models.training.run_setup import start_pretraining

    config = dataclasses.replace(SMALL, networks=dataclasses.replace(SMALL.networks, image_size=96))
    trainer = start_pretraining(config, Bags(prior=[large], cache=tmp_path / "cache"), tmp_path / "run")
    assert trainer.config.networks.image_size == 96
    assert trainer.start.contract.image_shape == (96, 96, 3)


@pytest.mark.parametrize("text", ["0", "7", "64x", "64x64x64", "100000", "large"])
def test_sizes_that_are_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    assert cli.main(["contract", "make", str(tmp_path / "c.json"), "--image-size", text]) == 2
    assert "is not an image size; write N or WIDTHxHEIGHT" in capsys.readouterr().err
