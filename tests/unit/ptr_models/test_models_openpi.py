# SPDX-License-Identifier: Apache-2.0
"""A policy behind openpi's protocol, against a server on this machine that speaks it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgpack
import numpy as np
import pytest
from openpi_server import OpenPiServer, array, file_for, openpi_server

from ptr_models.common.assets import is_external
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.inference.loading import load_policy
from ptr_models.inference.openpi import OpenPiError, open_policy

CONTRACT = Contract()
TASK = "put_corn_in_pot"
ACTIONS = np.linspace(0.0, 0.01, 70, dtype=np.float64).reshape(10, 7)
IMAGE = np.arange(np.prod(CONTRACT.image_shape), dtype=np.uint8).reshape(CONTRACT.image_shape)
STATE = np.arange(7, dtype=np.float32)


@pytest.fixture
def server() -> Iterator[OpenPiServer]:
    with openpi_server(ACTIONS) as running:
        yield running


def test_an_observation_arrives_under_the_policys_names_and_its_actions_come_back(
    server: OpenPiServer, tmp_path: Path
) -> None:
    names = "images: {over_shoulder: image_0}\nstate: proprio\nprompt: language\nexecute: 2\n"
    policy = load_policy(f"openpi:{file_for(server, tmp_path, names)}")
    decisions = [policy.act(IMAGE, STATE, TASK) for _ in range(3)]
    assert [decision.action.tolist() for decision in decisions] == [
        pytest.approx(ACTIONS[k].tolist(), abs=1e-7) for k in (0, 1, 0)
    ]
    assert np.isnan(decisions[0].q) and not policy.has_values
    assert len(server.seen) == 2
    seen = server.seen[0]
    assert set(seen) == {"image_0", "proprio", "language"}
    assert seen["language"] == "put corn in pot"
    assert seen["image_0"].dtype == np.uint8 and np.array_equal(seen["image_0"], IMAGE)
    assert np.array_equal(seen["proprio"], STATE)
    policy.close()


def test_the_servers_error_is_the_error(server: OpenPiServer, tmp_path: Path) -> None:
    server.answer = lambda _: "Traceback (most recent call last):\n  …\nKeyError: 'observation/wrist_image'"
    with pytest.raises(OpenPiError, match="failed: KeyError: 'observation/wrist_image'"):
        open_policy(str(file_for(server, tmp_path))).act(IMAGE, STATE, TASK)


def test_after_a_late_answer_the_next_question_gets_its_own(server: OpenPiServer, tmp_path: Path) -> None:
    server.answer = lambda _: None
    policy = open_policy(str(file_for(server, tmp_path, "timeout: 0.2\n")))
    with pytest.raises(OpenPiError, match="timed out after 0.2 s"):
        policy.act(IMAGE, STATE, TASK)
    server.answer = lambda _: msgpack.packb({"actions": array(ACTIONS)})
    with pytest.raises(OpenPiError, match="reconnected"):
        policy.act(IMAGE, STATE, TASK)
    assert policy.act(IMAGE, STATE, TASK).action.tolist() == pytest.approx(ACTIONS[0].tolist(), abs=1e-7)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (msgpack.packb({"action": 1}), "without an `actions` array"),
        (msgpack.packb([1]), "without an `actions` array"),
        (msgpack.packb({"actions": {**array(ACTIONS), b"dtype": "|O"}}), "not numeric"),
        (msgpack.packb({"actions": {**array(ACTIONS), b"shape": (99, 7)}}), "can't be read"),
        (b"\xc1", "can't be read"),
        (msgpack.packb({"actions": array(np.zeros((10, 14)))}), r"shape \(10, 14\); required: \(steps, 7\)"),
    ],
)
def test_a_malformed_answer_is_an_error(server: OpenPiServer, tmp_path: Path, answer: bytes, sentence: str) -> None:
    server.answer = lambda _: answer
    with pytest.raises(PtrError, match=sentence):
        open_policy(str(file_for(server, tmp_path))).act(IMAGE, STATE, TASK)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "pi0.yaml"
    path.write_text("server: ws://127.0.0.1:9\ntimeout: 1.0\n")
    with pytest.raises(OpenPiError, match=r"no openpi server responds at ws://127.0.0.1:9 .*serve_policy"):
        open_policy(str(path))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sever: ws://127.0.0.1:8000\n", "unknown key 'sever'; known: candidates, "),
        ("execute: many\n", "execute"),
        ("execute: 4\nlead: 9\n", "lead is 9; it must be from 0 to 3"),
        ("timeout: 0\n", "timeout is 0"),
        ("- 1\n", "is not a mapping"),
        ("images: {wrist: image}\n", "no name for the camera over_shoulder"),
        ("contract: absent.json\n", "absent.json can't be read"),
    ],
)
def test_a_wrong_file_is_refused_before_anything_is_sent(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "pi0.yaml"
    path.write_text(text)
    with pytest.raises(PtrError, match=sentence):
        open_policy(str(path))


def test_a_folder_with_a_colon_in_its_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_external("openpi:pi0.yaml")
    (tmp_path / "openpi:pi0.yaml").mkdir()
    assert not is_external("openpi:pi0.yaml")
    assert not is_external("runs/a")
    with pytest.raises(PtrError, match="no kind of policy 'other'; known: openpi, lerobot"):
        load_policy("other:somewhere")
