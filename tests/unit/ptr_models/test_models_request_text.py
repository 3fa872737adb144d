# SPDX-License-Identifier: Apache-2.0
"""Texts of requests are bounded before anything repeats them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ptr_models.episodes.request_text import RequestTextError, check_texts


def test_a_text_within_its_bounds_is_taken_in_any_script_and_over_lines() -> None:
    check_texts(SimpleNamespace(note="Karotte über\nden Teller: にんじん", by=""), {"note": 40, "by": 5})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("x" * 41, "`note` has 41 characters; at most 40 are allowed"), ("\x1b[2J", "`note` holds characters")],
)
def test_a_text_that_is_too_long_or_obeyed_by_a_terminal_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(RequestTextError, match=sentence.replace("[", r"\[")):
        check_texts(SimpleNamespace(note=text), {"note": 40})
