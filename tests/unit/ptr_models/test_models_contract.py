# SPDX-License-Identifier: Apache-2.0
"""The contract: its canonical form, and what it refuses."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ptr_models.common.errors import PtrError
from ptr_models.contract import Camera, Contract, ContractError


def test_the_canonical_form_survives_a_round_trip() -> None:
    contract = Contract(cameras=(Camera("wrist", 128, 128), Camera("over_shoulder", 128, 128)), control_rate=10.0)
    assert Contract.from_json(contract.to_json()) == contract
    assert Contract.from_json(contract.to_json()).hash == contract.hash


def test_the_defaults_are_bridge_at_five_hertz() -> None:
    contract = Contract()
    assert contract.period == pytest.approx(0.2)
    assert contract.action_low == (-0.05, -0.05, -0.05, -0.25, -0.25, -0.25, 0.0)
    assert contract.action_high == (0.05, 0.05, 0.05, 0.25, 0.25, 0.25, 1.0)
    assert [camera.name for camera in contract.cameras] == ["over_shoulder"]


def test_a_difference_names_the_field_and_both_values() -> None:
    other = dataclasses.replace(Contract(), control_rate=10.0)
    with pytest.raises(ContractError, match=r"episode x follows another contract.*control_rate: 5.0 != 10.0"):
        Contract().require(other, "episode x")
    Contract().require(Contract(), "episode x")


def test_contract_errors_are_errors_that_the_command_line_prints() -> None:
    assert issubclass(ContractError, PtrError)
    assert issubclass(ContractError, ValueError)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "list"),
        ("{}", "lacks"),
        (json.dumps(json.loads(Contract().to_json()) | {"colour": 1}), "unknown keys .'colour'"),
        (json.dumps(json.loads(Contract().to_json()) | {"cameras": [{"nome": "x"}]}), "malformed"),
        (json.dumps(json.loads(Contract().to_json()) | {"control_rate": 0}), "must be positive"),
        (json.dumps(json.loads(Contract().to_json()) | {"action_low": [0]}), "one bound per dimension"),
        (json.dumps(json.loads(Contract().to_json()) | {"cameras": []}), "one common image size"),
    ],
)
def test_malformed_contracts_are_refused(text: str, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        Contract.from_json(text)


def test_cameras_of_different_sizes_or_of_one_name_are_refused() -> None:
    with pytest.raises(ContractError, match="common image size"):
        Contract(cameras=(Camera("a", 64, 64), Camera("b", 128, 128)))
    with pytest.raises(ContractError, match="must differ"):
        Contract(cameras=(Camera("a"), Camera("a")))
    with pytest.raises(ContractError, match="unknown resize"):
        Contract(cameras=(Camera(resize="crop"),))
