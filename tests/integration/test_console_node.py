# SPDX-License-Identifier: Apache-2.0
"""The console's node begins with one address or one sentence, ends on any signal, and asks nodes that are not there."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("ptr_msgs.msg")

import rclpy  # noqa: E402
from console_browser import address, chromium, until  # noqa: E402
from rcl_interfaces.msg import Log  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from std_msgs.msg import Bool  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402

from ptr_msgs.srv import LabelEpisode, StartEpisode, StopEpisode  # noqa: E402
from ptr_teleop.console import ros_robot  # noqa: E402
from ptr_teleop.console.episodes import EpisodeLibrary  # noqa: E402
from ptr_teleop.console.frames import NewestFrame  # noqa: E402
from ptr_teleop.console.requests import Finish, Record, Relabel, Stop  # noqa: E402
from ptr_teleop.console.ros_robot import RosRobot  # noqa: E402
from ptr_teleop.console.state import ConsoleState, Received  # noqa: E402

pytestmark = pytest.mark.xdist_group("console_node")

MODULE = "ptr_teleop.console.node"
SIGNALS = {
    "SIGINT": [signal.SIGINT],
    "SIGINT twice": [signal.SIGINT, signal.SIGINT],
    "SIGTERM": [signal.SIGTERM],
}


def post_stop(url: str) -> tuple[int, dict]:
    """What POST /stop answers: status and body."""
    headers = {"Origin": url.rstrip("/"), "Accept": "application/json"}
    request = urllib.request.Request(f"{url}stop", method="POST", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5.0) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_node_ends_cleanly_on_every_signal(ros) -> None:
    consoles = {name: ros.start(MODULE, "-r", f"__node:=console_{k}", port=0) for k, name in enumerate(SIGNALS)}
    addresses = {address(ros, console) for console in consoles.values()}
    assert len(addresses) == len(SIGNALS)
    for name, console in consoles.items():
        for number in SIGNALS[name]:
            console.signal(number)
    for name, console in consoles.items():
        assert console.wait() == 0, f"{name}: {console.output}"
        assert "Traceback" not in console.output


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"remote": True, "credentials": "/dev/null/console"}, "cannot be kept in /dev/null/console"),
        ({"port": -1}, "port"),
        ({"port": 1 << 20}, "port"),
    ],
)
def test_a_node_that_can_not_start_says_why_in_one_sentence(ros, parameters: dict, sentence: str) -> None:
    console = ros.start(MODULE, **parameters)
    assert console.wait() == 1
    assert sentence in console.output
    assert "Traceback" not in console.output


def test_other_machines_are_answered_only_when_asked_for_and_the_token_is_in_no_log(ros, tmp_path: Path) -> None:
    options = {"remote": True, "credentials": tmp_path / "credentials"}
    console = ros.start(MODULE, port=0, remote_port=0, **options)
    rosout = ros.collect(Log, "/rosout", QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL))
    ros.wait(lambda: "for other machines at https://" in console.output, "the address for other machines")
    token = (tmp_path / "credentials/token").read_text().strip()
    link = (tmp_path / "credentials/address").read_text().strip()
    assert link.endswith(f"/?token={token}")
    ros.wait(lambda: any("for other machines" in message.msg for message in rosout), "the same on /rosout")
    assert token not in console.output
    assert not any(token in message.msg for message in rosout)
    with chromium() as browser:
        page = browser.new_context(ignore_https_errors=True).new_page()
        assert page.goto(link.partition("?")[0]).status == 401
        assert "A token is needed" in page.inner_text("body")
        page.goto(link)
        until(ros, page, "document.querySelector('#connection').textContent === 'connected'", "a connection")
        assert page.evaluate("isSecureContext && location.search === '' && document.cookie === ''")
        page.reload()  # without the token in the address: the cookie has it
        until(ros, page, "document.querySelector('#connection').textContent === 'connected'", "a connection again")
        with (tmp_path / "credentials/token").open("w") as file:
            file.write("a-token-that-nobody-has-been-given")
        console.end()
        console = ros.start(MODULE, port=0, remote_port=int(re.search(r":(\d+)/", link)[1]), **options)
        refused = "document.querySelector('#lost').textContent.startsWith('This token is wrong')"
        until(ros, page, refused, "why the page is refused")
        page.context.close()
    console.end()


def test_stop_without_an_arm_says_that_nothing_could_be_stopped(ros) -> None:
    console = ros.start(MODULE, port=0)
    status, answer = post_stop(address(ros, console))
    assert (status, answer["done"]) == (503, False)
    assert "no arm node is running" in answer["text"] and "power switch" in answer["text"]
    console.end()


def test_stop_is_answered_though_the_arm_does_not_answer(ros) -> None:
    """A service that is there and hangs: the stop is sent, and the person told that no answer came."""
    server = ros.node.create_service(Trigger, "/arm/stop", lambda _, response: response)  # nobody spins it meanwhile
    console = ros.start(MODULE, port=0)
    url = address(ros, console)
    ros.wait(lambda: ros.node.count_clients("/arm/stop") > 0, "the console's client")
    ros.spin(0.5)
    status, answer = post_stop(url)
    assert (status, answer["done"]) == (503, False)
    assert "did not confirm it within 1 s" in answer["text"]
    ros.node.destroy_service(server)
    console.end()


def test_stop_reaches_the_arm_though_the_console_has_no_time_to_hear_its_answer(ros) -> None:
    """The node is never spun, as if its callbacks were busy for ever: service and topic carry the stop all the same."""
    node = rclpy.create_node("busy_console", context=ros.context)
    robot = RosRobot(node, ConsoleState([], [], {}), {}, NewestFrame(), EpisodeLibrary(str))
    requests, served = ros.collect(Bool, "/arm/stop_request"), []
    server = ros.node.create_service(Trigger, "/arm/stop", lambda _, response: (served.append(True), response)[1])
    ros.wait(lambda: node.count_subscribers("/arm/stop_request") > 0, "the arm's subscription")
    ros.wait(lambda: "/arm/stop" in dict(node.get_service_names_and_types()), "the arm's service")
    answer = asyncio.run(robot.carry_out(Stop()))
    assert not answer.done and "did not confirm" in answer.text
    ros.wait(lambda: requests and served, "the stop by both ways")
    assert [message.data for message in requests] == [True]
    ros.node.destroy_service(server)
    node.destroy_node()


def test_a_recorder_that_has_fallen_silent_is_asked_for_nothing(ros, monkeypatch: pytest.MonkeyPatch) -> None:
    """ROS's graph still names the services of a killed recorder: a call to them would be swallowed."""
    monkeypatch.setattr(ros_robot, "TIMEOUT", 0.2)
    node = rclpy.create_node("console_beside_a_recorder", context=ros.context)
    state, asked = ConsoleState([], [], {}), []
    robot = RosRobot(node, state, {}, NewestFrame(), EpisodeLibrary(str))
    kinds = {"start": StartEpisode, "stop": StopEpisode, "label": LabelEpisode}

    def note(request: object, response: object) -> object:
        asked.append(request)
        return response

    servers = [ros.node.create_service(kind, f"/recorder/{name}", note) for name, kind in kinds.items()]
    ros.wait(
        lambda: {f"/recorder/{name}" for name in kinds} <= set(dict(node.get_service_names_and_types())),
        "the recorder's services",
    )
    requests = (Record("put_knife_in_pot", "", ""), Finish(True, "success", None, ""), Relabel("", "failure", None, ""))
    state.recorder = Received({"streams": []}, time.monotonic() - 3.2)
    for request in requests:
        began = time.monotonic()
        answer = asyncio.run(robot.carry_out(request))
        assert not answer.done and time.monotonic() - began < 0.1
        assert answer.text == ("the recorder has been silent for 3 s; check that it is running, and restart it if not")
    ros.spin(0.3)
    assert asked == []
    for request in requests:
        state.recorder = Received({"streams": []}, time.monotonic())
        asyncio.run(robot.carry_out(request))
    ros.wait(lambda: len(asked) == len(requests), "the calls to a recorder that speaks")
    for server in servers:
        ros.node.destroy_service(server)
    node.destroy_node()
