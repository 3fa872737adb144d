# SPDX-License-Identifier: Apache-2.0
"""Publishers of one name are told apart by what the middleware says, or by their numbers."""

from __future__ import annotations

from typing import Any

from ptr_bringup.ros.publisher_identity import PublisherIdentities


def numbered(number: int, at: float = 0.0) -> dict[str, Any]:
    """What Jazzy says of a message that arrived at a time (s): no publisher."""
    return {"publication_sequence_number": number, "received_timestamp": round(at * 1e9)}


def test_the_publisher_counts_where_the_middleware_names_it() -> None:
    senders = PublisherIdentities()
    infos = [{"publisher_gid": {"data": name}, "publication_sequence_number": 1} for name in (b"one", b"two", b"one")]
    first, second, again = (senders.identify("page_keyboard", info) for info in infos)
    assert first == again != second


def test_two_that_alternate_are_told_apart_by_their_numbers() -> None:
    senders = PublisherIdentities()
    who = [senders.identify("page_keyboard", numbered(n)) for n in (900, 7, 901, 8, 903, 9)]
    assert who[0] == who[2] == who[4]
    assert who[1] == who[3] == who[5] != who[0]


def test_one_that_loses_messages_stays_the_same() -> None:
    senders = PublisherIdentities()
    assert senders.identify("spacemouse", numbered(10)) == senders.identify("spacemouse", numbered(60))


def test_one_that_counts_past_the_last_number_of_another_that_ended_stays_the_same() -> None:
    senders = PublisherIdentities()
    ended = [senders.identify("policy", numbered(n, at=0.2 * n)) for n in range(1, 21)]
    follower = [senders.identify("policy", numbered(n, at=6.0 + 0.2 * n)) for n in [*range(1, 20), *range(22, 40)]]
    assert len(set(ended)) == len(set(follower)) == 1
    assert ended[0] != follower[0]


def test_one_that_counts_past_another_that_is_active_stays_the_same() -> None:
    senders = PublisherIdentities()
    slow = [senders.identify("policy", numbered(20))]
    fast = [senders.identify("policy", numbered(n)) for n in range(1, 30)]
    slow.append(senders.identify("policy", numbered(21)))
    assert len(set(slow)) == len(set(fast)) == 1
    assert slow[0] != fast[0]


def test_names_tell_apart_what_numbers_do_not() -> None:
    senders = PublisherIdentities()
    assert senders.identify("spacemouse", numbered(10)) != senders.identify("webxr", numbered(11))


def test_where_nothing_tells_it_the_name_has_to_do() -> None:
    assert PublisherIdentities().identify("spacemouse", {}) is None
