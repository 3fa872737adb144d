# SPDX-License-Identifier: Apache-2.0
"""JSON and YAML from outside: whatever they hold, the answer is a value or one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.cli import main
from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract, ContractError
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.metadata import EpisodeMetadata
from ptr_models.json_input import parse_json, parse_object, read_object
from ptr_models.latency_file import with_measured_latencies
from ptr_models.replay.cache import open_episodes
from ptr_models.training.jsonlines import read_lines

LONG, DEEP = "9" * 5000, "[" * 100_000 + "]" * 100_000
HOSTILE = {
    "an integer of 5000 digits": (f'{{"a": {LONG}}}', "an integer has 5000 digits; at most 100 are read"),
    "lists in lists": (f'{{"a": {DEEP}}}', "nested too deeply; at most 64 levels are read"),
    "65 levels": (f'{{"a": {"[" * 65}{"]" * 65}}}', "nested too deeply; at most 64 levels are read"),
    "NaN": ('{"a": [1, NaN]}', "holds the number nan, which is not finite"),
    "infinity": ('{"a": 1e999}', "the number 1e999 is too large"),
    "half a surrogate pair": ('{"a": "\\ud800"}', "which is not Unicode"),
    "a list": ("[1]", "holds a JSON list, not an object"),
    "nothing": ("", "is not JSON"),
}


@pytest.mark.parametrize(("text", "sentence"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_honest_json_is_refused_in_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(PtrError, match=sentence) as caught:
        parse_object(text, "extra_json")
    assert str(caught.value).startswith("extra_json ")
    assert len(str(caught.value)) < 300


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(PtrError, match="x is not JSON: 'utf-8' codec"):
        parse_json(b'{"a": "\xff"}', "x")


def test_what_is_too_long_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(PtrError, match="x has 12 bytes; at most 10 are read"):
        parse_json('"0123456789"', "x", max_bytes=10)
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(PtrError, match="has 1000000000 bytes; at most 67108864 are read; move it away"):
        read_object(large, advice="move it away")


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**128), 2**128)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(values)
def test_what_python_writes_is_read_back(value: object) -> None:
    assert parse_json(json.dumps(value), "x") == value


@pytest.mark.parametrize("text", [item[0] for item in HOSTILE.values()], ids=HOSTILE)
def test_every_reader_of_json_refuses_it_with_the_suites_errors(tmp_path: Path, text: str) -> None:
    with pytest.raises(ContractError):
        Contract.from_json(text)
    with pytest.raises(EpisodeError):
        EpisodeMetadata.from_json(text)
    lines = tmp_path / "metrics.jsonl"
    lines.write_text('{"step": 1}\n' + text.replace("NaN", "tru") + '\n{"step": 2}\n')
    assert [entry.get("step") for entry in read_lines(lines) if "step" in entry] == [1, 2]


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 5000, "a: !!python/object:os.system {}", "2001-99-99", "{[1]: 2}"])
def test_every_reader_of_yaml_refuses_it_with_the_suites_errors(tmp_path: Path, text: str) -> None:
    file = tmp_path / "latency.yaml"
    file.write_text(text)
    with pytest.raises(ContractError):
        with_measured_latencies(Contract(), str(file))


@pytest.mark.parametrize("text", [item[0] for item in HOSTILE.values()], ids=HOSTILE)
def test_one_bag_with_a_hostile_description_does_not_end_a_run(
    make_episode: Callable[..., Path], tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_episode(0)
    bad = make_episode(1)
    (bad / "episode.json").write_text(text)
    dataset = open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)
    assert [Path(path).name for path in dataset.paths] == ["episode_0000"]
    assert "episode.json cannot be read" in dataset.left_out[0].reason
    assert main(["inspect", str(tmp_path / "bags")]) == 2
    output = capsys.readouterr().out
    assert "episode_0000" in output
    assert "episode.json cannot be read" in output.replace("\n", "")


def test_one_bag_whose_streams_break_the_reader_does_not_end_a_run(
    make_episode: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever kind of error a bag provokes, also one that nobody has thought of."""
    from ptr_models.episodes import reader

    for seed in range(2):
        make_episode(seed)
    honest = reader.control_grid

    def overflow(streams: object, *arguments: object) -> object:
        if "episode_0001" in streams.metadata:  # type: ignore[attr-defined]
            raise OverflowError("Python int too large to convert to C long")
        return honest(streams, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reader, "control_grid", overflow)
    dataset = open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache", progress=False)
    assert [Path(path).name for path in dataset.paths] == ["episode_0000"]
    assert "OverflowError Python int too large" in dataset.left_out[0].reason
