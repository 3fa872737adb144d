# SPDX-License-Identifier: Apache-2.0
"""Contracts, metadata and labels are validated where they come in: the field and the value are named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ptr_models.contract import Contract, ContractError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata


def changed(values: dict[str, Any], path: str, value: Any) -> str:
    """JSON with one value replaced, at a path like cameras.0.height."""
    values = json.loads(json.dumps(values))
    node: Any = values
    *sections, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in sections:
        node = node[part]
    node[last] = value
    return json.dumps(values)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("cameras.0.height", 0, "height is 0; it must be from 1 to 4096"),
        ("cameras.0.height", -1, "height is -1"),
        ("cameras.0.height", "64", "height is '64'; it must be an integer"),
        ("cameras.0.width", 64.0, "width is 64.0; it must be an integer"),
        ("cameras.0.width", 60000, "width is 60000; it must be from 1 to 4096"),
        ("cameras.0.max_age", None, "max_age is None; it must be a finite number"),
        ("cameras.0.max_age", 0, "max_age is 0; it must be from 0.001 to 60"),
        ("cameras.0.name", "a/b", "a camera is called 'a/b'"),
        ("cameras.0.name", 5, "name is 5; it must be a text"),
        ("cameras", [5], r"cameras is \[5\]; of each of its values it must be an object"),
        ("cameras", 5, "cameras is 5; it must be a list"),
        ("state_max_age", None, "state_max_age is None"),
        ("control_rate", True, "control_rate is True; it must be a finite number"),
        ("control_rate", 1e8, r"control_rate is 100000000\.0; it must be from 0.01 to 1000"),
        ("action_low", ["a"] * 7, "action_low is .*; of each of its values it must be a finite number"),
        ("action_low.0", 0.5, "action dx has the bounds 0.5 and 0.05; the first must be lower"),
        ("proprioception", "xyz", "proprioception is 'xyz'; it must be a list"),
        ("frame", None, "frame is None; it must be a text"),
        ("version", "1", "version is '1'; it must be an integer"),
        ("gripper_open", [1], r"gripper_open is \(1,\)"),
    ],
)
def test_a_contract_with_a_wrong_value_names_field_and_value(path: str, value: Any, sentence: str) -> None:
    with pytest.raises(ContractError, match=sentence):
        Contract.from_json(changed(Contract().to_dict(), path, value))


def test_a_contract_with_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ContractError, match="not finite"):
        Contract.from_json(Contract().to_json().replace("5.0", "NaN"))
    with pytest.raises(ContractError, match="control_rate is nan; it must be a finite number"):
        Contract(control_rate=float("nan"))


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("score", "good", "score is 'good'; it must be a finite number or null"),
        ("seed", 1.5, "seed is 1.5; it must be an integer or null"),
        ("start_ns", "now", "start_ns is 'now'; it must be an integer"),
        ("start_ns", True, "start_ns is True; it must be an integer"),
        ("instruction", ["put"], r"instruction is \['put'\]; it must be a text"),
        ("instruction", "x" * 10_001, "instruction has 10001 characters; at most 10000 are kept"),
        ("versions", {"numpy": 2}, "versions is {'numpy': 2}; of 'numpy' it must be a text"),
        ("lost", {"/x": "many"}, "of '/x' it must be an integer"),
        ("lost", [1], r"lost is \[1\]; it must be an object with names and values"),
        ("labels", 3, "labels is 3; it must be a list"),
        ("labels", [3], r"labels is \[3\]; of each of its values it must be an object"),
        ("labels", [{"outcome": "great", "stamp_ns": 1}], "outcome 'great' is unknown"),
        ("labels", [{"outcome": "success", "stamp_ns": None}], "a label's stamp_ns is None; it must be an integer"),
        ("labels", [{"outcome": "success", "stamp_ns": 1, "stars": 5}], "unknown key .stars."),
        ("extra", "x", "extra is 'x'; it must be an object with names and values"),
        ("calibration", {"c": 5}, "calibration is .* of 'c' it must be an object"),
        ("outcome", 5, "outcome is 5; it must be a text"),
    ],
)
def test_metadata_with_a_wrong_value_name_field_and_value(path: str, value: Any, sentence: str) -> None:
    metadata = json.loads(EpisodeMetadata("e", "t").to_json())
    with pytest.raises(EpisodeError, match=sentence):
        EpisodeMetadata.from_json(changed(metadata, path, value))
