# SPDX-License-Identifier: Apache-2.0
"""The namespace of the robot that commands and programs talk to."""

from __future__ import annotations

import argparse

import pytest

from ptr_models.common.arguments import Parser
from ptr_models.common.namespaces import VARIABLE, add_namespace, checked, namespace


@pytest.mark.parametrize(
    ("text", "name"), [("left", "left"), ("/left", "left"), ("/lab/left_2/", "lab/left_2"), ("", ""), ("/", "")]
)
def test_slashes_around_it_may_be_left_out(text: str, name: str) -> None:
    assert namespace(text) == name


@pytest.mark.parametrize("text", ["le ft", "2nd", "left//arm", "left-arm", "~", "{x}"])
def test_what_ros_takes_for_no_namespace_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a namespace"):
        namespace(text)
    with pytest.raises(ValueError, match="is not a namespace"):
        checked(text)


def test_the_environment_counts_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/left")
    parser = Parser()
    add_namespace(parser)
    assert parser.parse_args([]).namespace == checked(None) == "left"
    assert parser.parse_args(["--namespace", "right"]).namespace == checked("right") == "right"
    assert parser.parse_args(["--namespace", ""]).namespace == checked("") == ""


def test_a_wrong_one_of_the_environment_is_refused_when_the_command_is_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "le ft")
    parser = Parser()
    add_namespace(parser)
    with pytest.raises(SystemExit) as ended:
        parser.parse_args([])
    assert ended.value.code == 2
    assert "'le ft' is not a namespace" in capsys.readouterr().err
