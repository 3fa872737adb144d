# SPDX-License-Identifier: Apache-2.0
"""A session reserves a free ROS domain."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ptr_bringup.ros import own_domain
from ptr_bringup.ros.own_domain import DomainError, sentence_of, take_own_domain


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Occupied domains."""
    domains: set[int] = set()
    monkeypatch.setattr(own_domain, "occupied", domains.__contains__)
    monkeypatch.setattr(own_domain, "_held", [])
    return domains


def test_the_lowest_free_domain_is_taken_and_told(tmp_path: Path, busy: set[int]) -> None:
    busy |= {0, 1, 3}
    environment = {"ROS_DOMAIN_ID": ""}
    assert take_own_domain(environment, tmp_path) == 2
    assert environment == {"ROS_DOMAIN_ID": "2"}
    assert sentence_of(2) == "ROS domain 2; in another terminal: export ROS_DOMAIN_ID=2"


def test_a_domain_that_the_user_has_set_stays(tmp_path: Path, busy: set[int]) -> None:
    environment = {"ROS_DOMAIN_ID": "7"}
    assert take_own_domain(environment, tmp_path) is None
    assert environment == {"ROS_DOMAIN_ID": "7"}


def test_two_sessions_that_begin_at_once_take_two_domains(tmp_path: Path, busy: set[int]) -> None:
    program = (
        "import pathlib, sys\n"
        "from ptr_bringup.ros import own_domain\n"
        "own_domain.occupied = lambda domain: False\n"  # nobody's nodes have started yet
        "print(own_domain.take_own_domain({}, pathlib.Path(sys.argv[1])), flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "0\n"
        assert take_own_domain({}, tmp_path) == 1
        other.stdin.close()
        other.wait()
    assert take_own_domain({}, tmp_path) == 0  # a session that has ended holds nothing


def test_when_no_domain_is_free_it_says_what_to_do(tmp_path: Path, busy: set[int]) -> None:
    busy |= set(range(200))
    with pytest.raises(DomainError, match="ROS domains of this machine are in use; end a robot, or set ROS_DOMAIN_ID"):
        take_own_domain({}, tmp_path)


def test_a_folder_that_somebody_else_has_laid_is_refused_and_nothing_behind_it_is_touched(
    tmp_path: Path, busy: set[int]
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "0").write_text("worth keeping")
    laid = tmp_path / "ptr-domains"
    laid.symlink_to(theirs)
    with pytest.raises(DomainError, match=r"ptr-domains belongs to user \d+; have it removed, or set ROS_DOMAIN_ID"):
        take_own_domain({}, laid)
    assert (theirs / "0").read_text() == "worth keeping"


def test_a_lock_is_not_emptied_and_a_link_in_its_place_is_not_followed(tmp_path: Path, busy: set[int]) -> None:
    (tmp_path / "kept").write_text("worth keeping")
    (tmp_path / "0").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError):
        take_own_domain({}, tmp_path)
    assert (tmp_path / "kept").read_text() == "worth keeping"
