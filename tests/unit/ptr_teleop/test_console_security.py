# SPDX-License-Identifier: Apache-2.0
"""Who is answered, and what the console keeps on this machine for that."""

from __future__ import annotations

import ssl
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from multidict import CIMultiDict

from ptr_teleop.console import credentials
from ptr_teleop.console.addresses import LOCAL_NAMES, qr_code, url
from ptr_teleop.console.credentials import CredentialsError, keep_address, obtain
from ptr_teleop.console.security import Guard, path_refusal
from ptr_teleop.console.sockets import TokenBucket

LOCAL = Guard("http", LOCAL_NAMES)
REMOTE = Guard("https", ["robot.local", "192.0.2.7"], token="right" * 8)
TOKEN = ["", "right" * 8]


def status(guard: Guard, method: str, upgrade: bool, headers: dict[str, str], tokens: list[str] = TOKEN) -> int:
    refusal = guard.refusal(method, upgrade, headers, tokens)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST", "[::1]:8765"])
def test_this_machine_is_answered_under_its_own_names(host: str) -> None:
    assert status(LOCAL, "GET", False, {"Host": host}) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "",
        "[",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:8765@",
        "localhost:port",
        "localhost:123456",
        "localhost/evil",
        "localhost?",
        "localhost#",
        " localhost",
        "localhost\t",
        "[::1]evil",
        "[localhost",
        "evil.example, localhost",
    ],
)
def test_a_name_that_somebody_else_points_here_is_refused(host: str) -> None:
    assert status(LOCAL, "GET", False, {"Host": host}) == 421


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:8765", 200),
        ("http://127.0.0.1:9999", 403),
        ("https://127.0.0.1:8765", 403),
        ("http://localhost:8765", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize(("method", "upgrade"), [("POST", False), ("GET", True)])
def test_only_the_page_itself_may_post_and_open_sockets(method: str, upgrade: bool, origin: str, expected: int) -> None:
    headers = {"Host": "127.0.0.1:8765", "Origin": origin}
    assert status(LOCAL, method, upgrade, headers) == expected


@pytest.mark.parametrize(
    ("tokens", "expected"), [(["", ""], 401), (["wrong", ""], 403), (["", "é"], 403), (["right" * 8, "wrong"], 200)]
)
def test_other_machines_need_the_token_for_everything(tokens: list[str], expected: int) -> None:
    host = {"Host": "robot.local:8766", "Origin": "https://robot.local:8766"}
    for method, upgrade in (("GET", False), ("GET", True), ("POST", False)):
        assert status(REMOTE, method, upgrade, host, tokens) == expected


def test_token_key_and_certificate_are_made_once_and_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "config" / "console"
    first = obtain(folder, ["robot", "192.0.2.7"])
    assert obtain(folder, ["robot"]) == first
    for name in ("token", "key.pem"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert len(first.token) >= 32
    assert first.tls().minimum_version >= ssl.TLSVersion.TLSv1_2
    assert obtain(tmp_path / "other", ["robot"]).token != first.token


def test_a_certificate_is_made_again_for_another_name_or_near_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = obtain(tmp_path, ["robot"])
    second = obtain(tmp_path, ["robot", "192.0.2.8"])
    assert second.fingerprint != first.fingerprint
    assert second.token == first.token
    monkeypatch.setattr(credentials, "RENEWAL", timedelta(days=400))
    assert obtain(tmp_path, ["robot"]).fingerprint != second.fingerprint


@pytest.mark.parametrize("damaged", ["", "short", "with spaces and without an end", "x" * 1000])
def test_a_token_that_no_address_can_carry_or_that_can_be_guessed_is_replaced(tmp_path: Path, damaged: str) -> None:
    obtain(tmp_path, ["robot"])
    (tmp_path / "token").write_text(damaged)
    assert obtain(tmp_path, ["robot"]).token != damaged


@pytest.mark.parametrize("damage", ["certificate.pem", "key.pem"])
def test_a_damaged_certificate_or_key_is_replaced(tmp_path: Path, damage: str) -> None:
    first = obtain(tmp_path, ["robot"])
    (tmp_path / damage).write_text("nonsense")
    assert obtain(tmp_path, ["robot"]).fingerprint != first.fingerprint


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialsError, match=str(tmp_path / "file")):
        obtain(tmp_path / "file" / "console", ["robot"])


def test_the_address_carries_the_token_and_fits_a_terminal() -> None:
    address = url("https", "192.0.2.7", 8766, "t" * 32)
    assert address == f"https://192.0.2.7:8766/?token={'t' * 32}"
    assert url("http", "::1", 80) == "http://[::1]:80/"
    lines = qr_code(address).splitlines()
    assert 15 <= len(lines) <= 24


def test_the_bucket_lets_through_its_rate_and_its_burst() -> None:
    bucket = TokenBucket(rate=10.0, burst=5, now=0.0)
    assert sum(bucket.admits(0.0) for _ in range(20)) == 5
    assert sum(bucket.admits(0.001 * step) for step in range(1000)) == pytest.approx(10, abs=1)
    assert not bucket.admits(-100.0)  # a clock that goes back gives nothing


def test_two_names_in_one_request_are_refused() -> None:
    headers = CIMultiDict([("Host", "localhost"), ("Host", "evil.example")])
    assert status(LOCAL, "GET", False, headers) == 421


@pytest.mark.parametrize(("path", "expected"), [("/", None), ("/" + 5000 * "a", 414), ("/static/%00", 400)])
def test_a_path_that_no_page_has_is_refused(path: str, expected: int | None) -> None:
    refusal = path_refusal(path)
    assert (None if refusal is None else refusal.status) == expected


@pytest.mark.parametrize("name", ["token", "key.pem"])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, name: str) -> None:
    obtain(tmp_path, ["robot"])
    (tmp_path / name).chmod(0o644)
    with pytest.raises(CredentialsError, match=r"can be read by others \(mode 0644\)"):
        obtain(tmp_path, ["robot"])


def test_the_address_with_its_token_is_kept_for_its_user_alone(tmp_path: Path) -> None:
    for name in ("left", "lab/left"):
        assert keep_address(tmp_path, "https://robot:8767/?token=secret", name) != tmp_path / "address"
    file = keep_address(tmp_path, "https://robot:8766/?token=secret")
    assert file.read_text() == "https://robot:8766/?token=secret\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
