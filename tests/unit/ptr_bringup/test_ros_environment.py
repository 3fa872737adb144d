# SPDX-License-Identifier: Apache-2.0
"""Who may reach the nodes, depending on their environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ptr_bringup.ros_environment import LOCAL, NETWORK, PROFILES, RANGE, set_discovery

ROOT = Path(__file__).resolve().parents[3]
SHARE = ROOT / "ptr_bringup"


def profile_for(**environment: str) -> str:
    set_discovery(environment, str(SHARE))
    return environment[PROFILES]


@pytest.mark.parametrize("environment", [{}, {RANGE: "LOCALHOST"}, {RANGE: "OFF"}])
def test_by_default_nodes_listen_on_this_machine_alone(environment: dict[str, str]) -> None:
    assert Path(profile_for(**environment)) == SHARE / "config" / LOCAL


@pytest.mark.parametrize(
    "environment", [{RANGE: "SUBNET"}, {RANGE: "SYSTEM_DEFAULT"}, {"ROS_STATIC_PEERS": "10.0.0.7"}]
)
def test_a_user_who_opens_the_range_is_reached(environment: dict[str, str]) -> None:
    assert Path(profile_for(**environment)) == SHARE / "config" / NETWORK


def test_the_suites_own_profile_follows_a_range_that_is_opened_later() -> None:
    inherited = profile_for()
    assert Path(profile_for(**{PROFILES: inherited, RANGE: "SUBNET"})).name == NETWORK
    assert Path(profile_for(**{PROFILES: profile_for(**{RANGE: "SUBNET"})})).name == LOCAL


def test_a_profile_of_the_users_own_stays() -> None:
    assert profile_for(**{PROFILES: "/etc/mine.xml"}) == "/etc/mine.xml"


def test_the_two_profiles_differ_in_the_addresses_that_udp_listens_at_alone() -> None:
    texts = [(SHARE / "config" / name).read_text(encoding="utf-8") for name in (LOCAL, NETWORK)]
    local, network = (re.sub(r"<!--.*?-->|\s+", "", text, flags=re.DOTALL) for text in texts)
    only = "<interfaceWhiteList><address>127.0.0.1</address></interfaceWhiteList>"
    assert only in local
    assert local.replace(only, "") == network


def test_every_python_of_the_virtual_environment_has_it(tmp_path: Path) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "scripts" / "bootstrap.py")
    bootstrap = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bootstrap)
    bootstrap.install_environment(tmp_path)
    program = f"import site; site.addsitedir({str(tmp_path)!r}); import os; print(os.environ[{RANGE!r}])"
    environment = {"HOME": os.environ.get("HOME", "/")}
    command = [sys.executable, "-S", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "LOCALHOST"
