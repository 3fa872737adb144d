# SPDX-License-Identifier: Apache-2.0
"""What a page may ask for: everything else is refused with one sentence."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_teleop.console.request_reader import (
    MAX_MESSAGE,
    READERS,
    RequestError,
    check_packet,
    name_and_instruction,
    parse_request,
)
from ptr_teleop.console.requests import (
    ChooseTask,
    Finish,
    JudgeTrial,
    NextScene,
    RebootMotors,
    Record,
    Release,
    Request,
    SceneReady,
    SetTorque,
    Stop,
    UndoJudgment,
    UseDevice,
    UseGoal,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
)
NAMES = ["id", "request", "task", "operator", "save", "outcome", "score", "note", "episode", "device", "on", "reason"]
FIELDS = st.sampled_from([*NAMES, "annotator"])


def ask(**fields: object) -> Request:
    return parse_request(json.dumps({"id": 1, **fields}))[1]


def test_requests_are_read_field_by_field() -> None:
    assert ask(request="record", task="put_knife_in_pot", operator=" Ada ") == Record("put_knife_in_pot", "", "Ada")
    partial = ask(request="finish", save=True, outcome="partial", score=0.5, note="fell")
    assert partial == Finish(True, "partial", 0.5, "fell")
    assert ask(request="device", device="webxr") == UseDevice("webxr")
    assert ask(request="goal", episode="episode_0003") == UseGoal("episode_0003")
    chosen = ask(request="task", task="Put the knife / in the pot", operator="Ada")
    assert chosen == ChooseTask("put_the_knife_in_the_pot", "Put the knife / in the pot", "Ada")
    assert (ask(request="stop"), ask(request="release")) == (Stop(), Release())
    assert (ask(request="torque", on=False), ask(request="reboot_motors")) == (SetTorque(False), RebootMotors())
    assert (ask(request="ready"), ask(request="undo_judgment")) == (SceneReady(), UndoJudgment())
    assert ask(request="next_scene") == NextScene()
    judged = ask(request="judge", outcome="partial", score=0.5, reason=" lifted, then fell ", annotator="Ada")
    assert judged == JudgeTrial("partial", 0.5, "lifted, then fell", "Ada")
    assert parse_request('{"id": 7, "request": "stop"}')[0] == 7


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"request": "fly"}, "unknown request 'fly'; known: record, finish"),
        ({"request": ["stop"]}, "unknown request"),
        ({"request": "stop", "id": True}, "whole number as its `id`"),
        ({"request": "stop", "hard": 1}, "`stop` has no field 'hard'"),
        ({"request": "record", "task": "  "}, "the task is empty"),
        ({"request": "record", "task": "切胡萝卜"}, "no Latin letter"),
        ({"request": "record", "task": 3}, "`task` must be text"),
        ({"request": "record", "task": "x" * 121}, "120 characters"),
        ({"request": "record", "task": "a\x1b[2J"}, "unprintable characters"),
        ({"request": "record", "task": "a", "operator": "\x00"}, "unprintable characters"),
        ({"request": "finish", "save": 1}, "`save` must be true or false"),
        ({"request": "finish", "save": True, "outcome": "superb"}, "unknown outcome 'superb'"),
        ({"request": "finish", "save": True, "outcome": "partial"}, "score from 0 to 1, not None"),
        ({"request": "finish", "save": True, "outcome": "partial", "score": 1.5}, "not 1.5"),
        ({"request": "finish", "save": True, "outcome": "success", "score": 0.5}, "only a partial success"),
        ({"request": "finish", "save": True, "outcome": "invalid"}, "unknown outcome 'invalid'"),
        ({"request": "torque", "on": 1}, "`on` must be true or false, not 1"),
        ({"request": "torque"}, "`on` must be true or false, not None"),
        ({"request": "judge"}, "unknown outcome None; known: success, failure, partial, invalid"),
        ({"request": "judge", "outcome": "unlabelled"}, "unknown outcome 'unlabelled'"),
        ({"request": "judge", "outcome": "invalid", "reason": "  "}, "invalid needs a reason"),
        ({"request": "judge", "outcome": "partial", "score": 0.5}, "partial needs a reason"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(fields: dict, sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(json.dumps({"id": 1, **fields}))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"x": NaN}',
        '{"x": -Infinity}',
        '{"x": 1e999}',
        "[" * (MAX_MESSAGE - 1),
        '{"a":' * 600,
        f'{{"x": "{"é" * (MAX_MESSAGE // 2)}"}}',
        f'{{"x": {"9" * 5000}}}',
    ],
)
def test_packets_that_are_no_object_of_finite_numbers_are_refused(text: str) -> None:
    with pytest.raises(RequestError):
        check_packet(text)


def test_a_packet_is_not_read_further_than_that() -> None:
    check_packet('{"v": 1, "hands": {}, "whatever": [1, 2.5, "x"]}')


@given(st.text(max_size=200) | JSON.map(json.dumps))
def test_any_text_is_a_request_or_is_refused(text: str) -> None:
    try:
        number, request = parse_request(text)
    except RequestError as error:
        assert str(error).isprintable()
    else:
        assert isinstance(number, int) and isinstance(request, Request)


@given(
    st.dictionaries(FIELDS, JSON, max_size=6),
    st.sampled_from(sorted(READERS)),
)
def test_any_fields_are_a_request_or_are_refused(fields: dict, name: str) -> None:
    try:
        request = parse_request(json.dumps({**fields, "id": 1, "request": name}))[1]
    except RequestError as error:
        assert str(error).isprintable()
    else:
        if isinstance(request, Finish):
            assert (request.score is None) == (request.outcome != "partial")
        if isinstance(request, JudgeTrial):
            assert request.reason or request.outcome in ("success", "failure")
        if isinstance(request, Record):
            assert request.task and "/" not in request.task


@pytest.mark.parametrize(
    ("words", "name", "instruction"),
    [
        ("put_knife_in_pot", "put_knife_in_pot", ""),
        (" put_knife_in_pot ", "put_knife_in_pot", ""),
        ("Put the knife / in the pot!", "put_the_knife_in_the_pot", "Put the knife / in the pot!"),
        ("../../etc/passwd", "etc_passwd", "../../etc/passwd"),
        ("Kräuter schneiden", "krauter_schneiden", "Kräuter schneiden"),
        ("刀", "", "刀"),
    ],
)
def test_words_become_a_name_and_stay_as_the_instruction(words: str, name: str, instruction: str) -> None:
    assert name_and_instruction(words) == (name, instruction)


@given(st.text(max_size=150))
def test_every_name_is_one_that_an_episode_may_have(words: str) -> None:
    from ptr_models.episodes.metadata import check_name

    name, instruction = name_and_instruction(words)
    assert len(name) <= 80
    if name:
        check_name(name, "task name")
        assert instruction in ("", words.strip())
