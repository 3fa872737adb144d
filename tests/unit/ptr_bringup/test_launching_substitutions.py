# SPDX-License-Identifier: Apache-2.0
"""The language of substitutions means what it means under `ros2 launch`."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.substitutions import SUBSTITUTIONS, Call, Context, boolean, condition, evaluate, parse, split

FILE = Path("/a/b/c.launch.xml")
VARIABLES = {"robot": "sim", "n": "3", "my name": "x", "two": "two words", "empty": "", "digits": "010"}
CONTEXT = Context(VARIABLES, {"HOME": "/home/lab"}, FILE, FILE)


def substitute(text: str, context: Context) -> str:
    return evaluate(parse(text), context)


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
        (r"a\b", "ab"),
        (r"\\$(var robot)", r"\$(var robot)"),
        (r"$(var two\ x)", "x"),
        (r"$(var missing \(x\))", "(x)"),
        (r'$(var missing "a\"b")', 'a"b'),
        ("$(var robot $(var missing))", "sim"),
        ("$(equals $(var digits) 10)", "true"),
        ("$(equals 1 1.0)", "true"),
        ("$(equals True 1)", "true"),
        ("$(equals 1e1 10)", "true"),
        ("$(equals nan nan)", "false"),
        ("$(not yes)", "false"),
        ("$(and 1 off)", "false"),
        ("$(if on '' x)y", "y"),
        ("$(eval '(1, 2)')", "(1, 2)"),
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
        ("$(var robot", "missing ')'"),
        ("$(var 'robot)", "missing closing '"),
        ("$(var  robot)", "one space"),
        ("$(var ro'bot')", "quote the whole argument"),
        ("$( var robot)", "expected a name"),
        ("$(equals a)", "takes 2 arguments, not 1"),
        ("$(not maybe)", "'maybe' is neither true nor false"),
        ("$(not $(var empty))", "'' is neither true nor false"),
        ("$(not tRue)", "'tRue' is neither true nor false"),
        ("$(equals $(var empty) '')", "with '' is not supported"),
        ("$(find-pkg-share no_such_package_xyz)", "'no_such_package_xyz' is not installed"),
        ("$(eval '__import__(\\'os\\').system(\\'true\\')')", "does not support"),
        ("$(eval '9**9**9')", "does not support Pow"),
        ("$(eval '1 +')", "is not an expression"),
        ("$(eval '1/0')", "division by zero"),
        ("$(eval '().__class__')", "does not support"),
        ("$(eval '\"%999999999d\" % 3')", "only without strings and lists"),
        ("$(eval '\"%(x)s\" % 3')", "only without strings and lists"),
        ("$(eval '5 % 0')", "can't be evaluated"),
        ("$(eval '\"a\" * 64 * 64 * 64 * 64 * 64 * 64')", "only without strings and lists"),
        ("$(eval '[1] * 64 * 64 * 64 * 64 * 64 * 64')", "only without strings and lists"),
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


WORDS = st.text(alphabet="abc/.:=0123456789$", min_size=1, max_size=8)


def written(call: Call) -> str:
    """A call as it stands in a file."""
    arguments = ("".join(p if isinstance(p, str) else written(p) for p in a) for a in call.arguments)
    return "$(" + " ".join([call.name, *arguments]) + ")"


def calls(argument: st.SearchStrategy[str] | st.SearchStrategy[Call]) -> st.SearchStrategy[Call]:
    """Calls with arguments of one part."""
    part = argument.map(lambda a: (a,))
    return st.one_of(
        st.builds(Call, st.just(name), st.lists(part, min_size=least, max_size=most).map(tuple))
        for name, (least, most, _) in SUBSTITUTIONS.items()
    )


@given(st.recursive(calls(WORDS), calls, max_leaves=8), WORDS)
def test_what_is_written_is_what_is_parsed(call: Call, text: str) -> None:
    assert parse(text + "/" + written(call)) == (text + "/", call)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a $(var two) b", ["a", "two words", "b"]),
        ("--x=$(var two)", ["--x=two words"]),
        ("$(var robot)/x y", ["sim/x", "y"]),
        ("'q w' $(var robot)$(var n)", ["q w", "sim3"]),
        ("", [""]),
        (" ", [""]),
        (" $(var robot)", ["", "sim"]),
        ("$(var robot) $(var n)", ["sim", "3"]),
        ("a  ", ["a"]),
        ("x''$(var n)", ["x3"]),
        ("$(var empty)", [""]),
    ],
)
def test_a_command_line_is_split_as_ros2_launch_splits_it(text: str, words: list[str]) -> None:
    assert [evaluate(word, CONTEXT) for word in split(parse(text))] == words


@pytest.mark.parametrize("text", ["'$(var two)'", "a 'b$(var n)'", r"a\'b"])
def test_quotes_of_a_command_line_do_not_span_substitutions(text: str) -> None:
    with pytest.raises(LaunchError, match="No closing quotation"):
        split(parse(text))


def test_a_file_does_not_name_its_folder_after_an_include_from_another_one() -> None:
    context = Context({}, {}, FILE, Path("/a/b/other.launch.xml"))
    assert substitute("$(dirname)", context) == "/a/b"
    for text, latest in (("$(filename)", "/a/b/other.launch.xml"), ("$(dirname)", "/else/x.launch.xml")):
        with pytest.raises(LaunchError, match="after an include"):
            substitute(text, Context({}, {}, FILE, Path(latest)))


@pytest.mark.parametrize("word", ["true", "True", "1", " TRUE "])
def test_true_conditions(word: str) -> None:
    assert condition(word)


@pytest.mark.parametrize("word", ["false", "0", "False"])
def test_false_conditions(word: str) -> None:
    assert not condition(word)


@pytest.mark.parametrize("word", ["yes", "", "on"])
def test_words_that_are_no_condition(word: str) -> None:
    with pytest.raises(LaunchError, match="true, false, 1 or 0"):
        condition(word)


def test_other_truth_values_are_those_of_yaml() -> None:
    assert [boolean(word) for word in ("yes", "On", "1", "TRUE", " true")] == [True] * 5
    assert [boolean(word) for word in ("no", "off", "0", "False")] == [False] * 4
