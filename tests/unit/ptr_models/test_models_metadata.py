# SPDX-License-Identifier: Apache-2.0
"""What an episode's metadata say of words and times."""

from __future__ import annotations

from ptr_models.episodes.metadata import EpisodeMetadata, placeholder_start


def test_a_time_that_an_import_made_up_is_not_known() -> None:
    start = placeholder_start("bridge_train_00000_00001")
    assert EpisodeMetadata("bridge_train_00000_00001", task="t", start_ns=start).begun_ns == 0
    assert EpisodeMetadata("e", task="t", start_ns=start + 1).begun_ns == start + 1
    assert EpisodeMetadata("e", task="t").begun_ns == 0


def test_words_are_the_instruction_or_what_an_earlier_import_kept() -> None:
    kept = {"instruction": "put carrot on plate"}
    assert EpisodeMetadata("e", task="t", extra=kept).words == "put carrot on plate"
    assert EpisodeMetadata("e", task="t", instruction="stow it", extra=kept).words == "stow it"
    assert EpisodeMetadata("e", task="t").words == ""
