# SPDX-License-Identifier: Apache-2.0
"""The rate and the age of a stream: from its second message on, and while it falls silent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptr_models.common.stream_monitor import StreamRate


@given(st.floats(2.0, 200.0), st.floats(0.3, 20.0), st.floats(0.0, 2e9))
def test_a_steady_stream_has_its_rate_from_its_second_message_on(rate: float, duration: float, begin: float) -> None:
    stream, count = StreamRate(), int(rate * duration)
    for k in range(count + 1):
        stream.arrived(begin + k / rate)
    if count:
        assert stream.rate(begin + count / rate) == pytest.approx(rate, abs=1.0)


def test_the_rate_of_a_stream_that_falls_silent_falls_to_nothing_in_two_seconds() -> None:
    stream = StreamRate()
    for k in range(101):
        stream.arrived(k / 25)
    assert [stream.rate(4.0 + silent) for silent in (0.0, 1.0, 2.1)] == pytest.approx([25.5, 13.0, 0.0])
    assert [stream.age(4.0), stream.age(6.1)] == pytest.approx([0.0, 2.1])


def test_before_its_first_message_a_stream_has_no_age() -> None:
    assert (StreamRate().age(7.0), StreamRate().rate(7.0)) == (None, 0.0)
