# SPDX-License-Identifier: Apache-2.0
"""The language of substitutions means what it means under `ros2 launch`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.substitutions import Call, Context, parse, substitute, truth

CONTEXT = Context({"robot": "sim", "n": "3", "my name": "x"}, {"HOME": "/home/lab"}, Path("/a/b/c.launch.xml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("", ""),
        ("$(var robot)", "sim"),
        ("a$(var robot)b$(var n)", "asimb3"),
        ("cost: $5 (five)", "cost: $5 (five)"),
        (r"\$(var robot)", "$(var robot)"),
        (r"a\\b", r"a\b"),
        ("$(var missing fallback)", "fallback"),
        ("$(var missing 'two words')", "two words"),
        ('$(var missing "it\'s")', "it's"),
        ("$(var 'my name')", "x"),
        ("$(env HOME)", "/home/lab"),
        ("$(env NOBODY none)", "none"),
        ("$(dirname)/x", "/a/b/x"),
        ("$(filename)", "/a/b/c.launch.xml"),
        ("$(equals $(var robot) sim)", "true"),
        ("$(equals $(var robot) 'wx250s')", "false"),
        ("$(not-equals $(var n) 3)", "false"),
        ("$(not $(equals $(var robot) sim))", "false"),
        ("$(and true $(or 0 1))", "true"),
        ("$(if $(equals $(var n) 3) three other)", "three"),
        ("$(if false three)", ""),
        ("$(eval '$(var n) * 2 + 1')", "7"),
        ("$(eval '1 if $(var n) > 2 else 0')", "1"),
        ("$(eval \"'$(var robot)' == 'sim'\")", "True"),
    ],
)
def test_substitutions_have_the_value_that_ros2_launch_gives_them(text: str, value: str) -> None:
    assert substitute(text, CONTEXT) == value


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("$(var robto)", "did you mean 'robot'?"),
        ("$(find-pkg-shar x)", "did you mean 'find-pkg-share'?"),
        ("$(command 'rm -rf /')", "$(command …) is not supported"),
        ("$(anon x)", "is not supported"),
        ("$(env NOBODY)", "'NOBODY' is not set"),
        ("$(var robot", "')' is missing"),
        ("$(var 'robot)", "closing ' is missing"),
        ("$(var  robot)", "one space"),
        ("$(var ro'bot')", "quote the whole argument"),
        ("$( var robot)", "a name is expected"),
        ("$(equals a)", "takes 2 arguments, not 1"),
        ("$(not maybe)", "true, false, 1 or 0, not 'maybe'"),
        ("$(find-pkg-share no_such_package_xyz)", "'no_such_package_xyz' is not installed"),
        ("$(eval '__import__(\\'os\\').system(\\'true\\')')", "does not support"),
        ("$(eval '9**9**9')", "too large"),
        ("$(eval '1 +')", "is not an expression"),
        ("$(eval '1/0')", "division by zero"),
        ("$(eval '().__class__')", "does not support"),
        ("$(eval '\"%999999999d\" % 3')", "% is for numbers only"),
        ("$(eval '\"%(x)s\" % 3')", "% is for numbers only"),
        ("$(eval '5 % 0')", "can't be evaluated"),
        ("$(eval '\"a\" * 64 * 64 * 64 * 64 * 64 * 64')", "too large"),
        ("$(eval '[1] * 64 * 64 * 64 * 64 * 64 * 64')", "too large"),
        ("$(eval '" + "(" * 400 + "1" + ")" * 400 + "')", "is not an expression"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, part: str) -> None:
    with pytest.raises(LaunchError) as caught:
        substitute(text, CONTEXT)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text())
def test_text_with_escapes_is_itself(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("$", "\\$")
    assert substitute(escaped, CONTEXT) == text


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parse(text)
    except LaunchError as error:
        assert repr(text) in str(error)


NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
WORDS = st.text(alphabet="abc/.:=0123456789$", min_size=1, max_size=8)


def written(call: Call) -> str:
    """A call as it stands in a file."""
    arguments = ("".join(p if isinstance(p, str) else written(p) for p in a) for a in call.arguments)
    return "$(" + " ".join([call.name, *arguments]) + ")"


CALLS = st.recursive(
    st.builds(Call, NAMES, st.lists(WORDS.map(lambda w: (w,)), max_size=3).map(tuple)),
    lambda inner: st.builds(Call, NAMES, st.lists(inner.map(lambda c: (c,)), max_size=3).map(tuple)),
    max_leaves=8,
)


@given(CALLS, WORDS)
def test_what_is_written_is_what_is_parsed(call: Call, text: str) -> None:
    assert parse(text + "/" + written(call)) == (text + "/", call)


@pytest.mark.parametrize("word", ["true", "True", "1", " TRUE "])
def test_true_words(word: str) -> None:
    assert truth(word)


@pytest.mark.parametrize("word", ["false", "0", "False"])
def test_false_words(word: str) -> None:
    assert not truth(word)
