# SPDX-License-Identifier: Apache-2.0
"""The operator's page in a real browser, in front of the simulated robot: record, label, drive, stop, lose it."""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from console_browser import address, assert_it_holds, chromium, position, until  # noqa: E402
from rcl_interfaces.srv import GetParameters  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402

from ptr_models.contract import Contract  # noqa: E402
from ptr_models.episodes.reader import find_episodes, read_episode, read_metadata  # noqa: E402
from ptr_msgs.msg import ArmState, EvaluationSummary, PolicyStep  # noqa: E402

pytestmark = pytest.mark.xdist_group("console_page")

TASK = "put_carrot_on_plate"
ALIVE = "document.querySelector('#streams li') && !document.querySelector('#streams [data-alive=false]')"


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def robot(ros, tmp_path_factory: pytest.TempPathFactory):
    """Simulator, arm, recorder and teleoperation; `states` fills with what the arm says."""
    ros.start("ptr_bringup.sim.node", width=160, height=120, camera_rate=15.0)
    ros.start(
        "ptr_bringup.arm.node", max_command_age=1.0, command_timeout=1.0, joint_state_timeout=2.0
    )  # a busy machine is no fault here
    ros.start("ptr_teleop.node", device="none", max_packet_age=0.5)
    ros.episodes = tmp_path_factory.mktemp("episodes")
    ros.start("ptr_teleop.recorder.node", directory=ros.episodes, goal=10)
    ros.states = ros.collect(ArmState, "/arm/state", qos_profile_sensor_data)
    ros.wait(lambda: ros.states, "the arm's state", timeout=60.0)
    return ros


@pytest.fixture(scope="module")
def console(robot):
    """The console that the tests share."""
    return start_console(robot)


@pytest.fixture
def page(robot, browser, console):
    """The page on a phone, connected."""
    with opened(robot, browser, console.url) as page:
        yield page


def start_console(robot):
    process = robot.start("ptr_teleop.console.node", port=0, tasks=f"[{TASK}]", task=TASK)
    process.url = address(robot, process)
    return process


@contextlib.contextmanager
def opened(robot, browser, url: str):
    """The page, connected; the test fails when a script of it did."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    until(robot, page, "document.querySelector('#connection').textContent === 'connected'", "a connection")
    until(robot, page, ALIVE, "all streams alive")
    yield page
    context.close()
    assert errors == []


def test_an_episode_is_recorded_and_labelled_by_clicking(robot, page) -> None:
    page.fill("#operator", "Ada")
    page.click("#record")
    until(robot, page, "document.querySelector('#recorder-state').textContent.startsWith('recording')", "recording")
    robot.spin(0.8)
    page.fill("#note", "slipped once")
    page.click("#success")
    until(robot, page, "document.querySelector('#saved').textContent === '1'", "one saved episode")
    assert page.inner_text("#goal").strip() == "of 10"
    (path,) = find_episodes([robot.episodes])
    metadata = read_episode(path, Contract()).metadata
    assert (metadata.task, metadata.operator, metadata.outcome) == (TASK, "Ada", "success")
    assert metadata.labels[-1].note == "slipped once"

    page.click("#relabel summary")
    page.select_option("#new-outcome", "failure")
    page.click("#relabel-button")
    robot.wait(lambda: read_episode(path, Contract()).metadata.outcome == "failure", "the new label")
    assert [label.outcome for label in read_episode(path, Contract()).metadata.labels] == ["success", "failure"]


def test_a_saved_episode_is_discarded_brought_back_unjudged_and_played(robot, page) -> None:
    before = int(page.inner_text("#saved"))
    page.fill("#operator", "Ada")
    page.click("#record")
    until(robot, page, "document.querySelector('#recorder-state').textContent.startsWith('recording')", "recording")
    robot.spin(0.8)
    page.click("#success")
    counted = "document.querySelector('#saved').textContent === '{}'"
    until(robot, page, counted.format(before + 1), "one more saved episode")
    path = max(find_episodes([robot.episodes]))  # their names begin with the time
    page.click("#last-discard")
    robot.wait(lambda: (robot.episodes / "discarded" / path.name).is_dir(), "the discarded episode")
    until(robot, page, counted.format(before), "a count without it")
    page.click("text=Restore it")
    robot.wait(path.is_dir, "the episode back in its place")
    page.click("#last-undo")
    robot.wait(lambda: read_metadata(path).outcome == "unlabelled", "no judgment")
    page.click("#tab-episodes")
    page.click(f"[aria-label='Play {path.name}']")
    until(robot, page, "document.querySelector('#player-images canvas')?.width === 160", "a recorded image")
    until(robot, page, "document.querySelector('#player-now').textContent.includes('gripper')", "an action")


def test_a_device_s_button_begins_an_episode_of_the_task_that_the_page_shows(robot, page) -> None:
    page.fill("#operator", "Ada")
    page.fill("#task", "Put the knife / in the pot")
    page.press("#task", "Tab")
    names = ["task", "instruction", "operator_name"]
    wanted = ["put_the_knife_in_the_pot", "Put the knife / in the pot", "Ada"]

    def known() -> bool:
        answer = robot.call(GetParameters, "/teleop/get_parameters", GetParameters.Request(names=names))
        return [value.string_value for value in answer.values] == wanted

    robot.wait(known, "the task at the node that reads the device")
    page.fill("#task", TASK)
    page.press("#task", "Tab")


def test_keys_drive_the_arm_and_letting_go_holds(robot, page) -> None:
    before = position(robot)
    hold_key(robot, page, "q", lambda: position(robot)[2] - before[2] > 0.02)
    page.keyboard.up("q")
    robot.wait(lambda: robot.states[-1].mode != ArmState.TELEOP, "the arm to hold")
    moved = position(robot) - before
    assert np.abs(moved[:2]).max() < 0.01
    assert_it_holds(robot)
    page.click("#keys-switch")


def test_the_stop_is_latched_until_it_is_released(robot, page) -> None:
    page.click("#stop-button")
    robot.wait(lambda: robot.states[-1].mode == ArmState.PROTECTIVE_STOP, "the stop")
    until(robot, page, "!document.querySelector('#latched').hidden", "the latched stop")
    page.click("#release")
    robot.wait(lambda: robot.states[-1].mode != ArmState.PROTECTIVE_STOP, "the release")
    until(robot, page, "document.querySelector('#latched').hidden", "no latched stop")


@pytest.mark.parametrize("scripts", ["the stop button's alone", "none"])
def test_the_stop_button_works_without_the_rest_of_the_page(robot, browser, console, scripts: str) -> None:
    context = browser.new_context(java_script_enabled=scripts != "none")
    context.route(re.compile(r"/static/(?!stop\.)\w+\.js"), lambda route: route.abort())
    page = context.new_page()
    page.goto(console.url)
    page.click("#stop-button", no_wait_after=True)
    robot.wait(lambda: robot.states[-1].mode == ArmState.PROTECTIVE_STOP, "the stop")
    context.close()
    release(robot)


def test_a_window_with_the_stop_alone_works_beside_a_page_that_hangs(robot, page) -> None:
    with page.context.expect_page() as opened:
        page.click("footer a")
    page.evaluate("setTimeout(() => { const end = Date.now() + 20000; while (Date.now() < end); })")
    alone = opened.value
    alone.click("button")
    robot.wait(lambda: robot.states[-1].mode == ArmState.PROTECTIVE_STOP, "the stop", timeout=10.0)
    assert "stop" in alone.inner_text("p[role=status]").lower()
    release(robot)


@pytest.mark.parametrize("fate", [signal.SIGSTOP, signal.SIGKILL])
def test_a_lost_connection_turns_the_page_grey_and_the_arm_holds(robot, browser, fate: int) -> None:
    console = start_console(robot)
    with opened(robot, browser, console.url) as page:
        drive_up_or_down(robot, page)
        console.signal(fate)
        robot.wait(lambda: robot.states[-1].mode != ArmState.TELEOP, "the arm to hold")
        until(robot, page, "document.body.classList.contains('lost')", "a grey page")
        assert page.inner_text("#lost") == "The connection to the console is lost. The arm holds."
        assert page.evaluate("document.querySelector('#main').inert")
        assert_it_holds(robot)
        console.signal(signal.SIGCONT)
        if fate == signal.SIGSTOP:
            until(robot, page, "!document.body.classList.contains('lost')", "the connection again")
    console.end()


def drive_up_or_down(robot, page) -> None:
    """Hold a key until the arm moves, and go on holding it."""
    before = position(robot)
    hold_key(robot, page, "q" if before[2] < 0.2 else "e", lambda: abs(position(robot)[2] - before[2]) > 0.01)


def hold_key(robot, page, key: str, there: Callable[[], bool]) -> None:
    """Drive with one key until the arm is there, and go on holding it.

    A busy machine may keep page and console apart for a second. The page then stops driving and the arm holds, as it
    should; so the person presses again.
    """
    for _ in range(10):
        if page.is_hidden("#pad"):
            page.click("#keys-switch")
            until(robot, page, "!document.querySelector('#pad').hidden", "the key pad")
        page.keyboard.down(key)
        if robot.wait_until(there, 4.0):
            return
        page.keyboard.up(key)
    pytest.fail(f"holding the key {key} ten times did not move the arm: {page.inner_text('#drive-message')}")


def test_a_stalled_stream_is_red(robot, page) -> None:
    simulator = robot.processes[0]
    simulator.signal(signal.SIGSTOP)
    red = "document.querySelectorAll('#streams [data-alive=false]').length >= 2"
    until(robot, page, f"{red} && document.querySelector('.camera.stale')", "red streams")
    simulator.signal(signal.SIGCONT)
    until(robot, page, ALIVE, "all streams alive")


def test_q_of_the_policy_is_a_curve_and_the_camera_is_live(robot, page) -> None:
    page.click("#tab-policy")
    publisher = robot.node.create_publisher(PolicyStep, "/policy/step", 10)
    robot.wait(lambda: publisher.get_subscription_count() > 0, "the console's subscription")
    for step in range(20):
        publisher.publish(PolicyStep(task=TASK, step=step, q=-1.0 + 0.05 * step, q_spread=0.1, q_mode=-1.0))
        robot.spin(0.02)
    until(robot, page, "document.querySelector('#curve').ariaLabel.endsWith('now -0.05')", "the newest Q")
    inked = """(() => { const c = document.querySelector('#curve');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0); })()"""
    assert page.evaluate(inked)
    camera = """(() => { const c = document.querySelector('.camera canvas');
        return [c.width, c.height, new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size]; })()"""
    width, height, colours = page.evaluate(camera)
    assert (width, height) == (160, 120)
    assert colours > 20
    robot.node.destroy_publisher(publisher)


def test_trials_and_their_interval_are_shown_while_an_evaluation_runs(robot, page) -> None:
    interval = {"interval_low": 0.3006, "interval_high": 0.9544}  # of 3 in 4, by Wilson 1927
    counts = {"planned": 10, "judged": 4, "successes": 3, "outcomes": ["success", "failure", "success", "success"]}
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    publisher = robot.node.create_publisher(EvaluationSummary, "/evaluation/summary", latched)
    publisher.publish(EvaluationSummary(task=TASK, policy="finetuned", **counts, **interval))
    page.click("#tab-evaluate")
    until(robot, page, "!document.querySelector('#evaluation').hidden", "the evaluation")
    assert page.inner_text("#evaluation-count") == "4 of 10 trials"
    assert "3 of 4 trials" in page.inner_text("#evaluation-message")
    assert "30 % to 95 %" in page.inner_text("#evaluation-message")
    dots = "[...document.querySelectorAll('#trials li')].map((dot) => dot.className).join()"
    assert page.evaluate(dots) == "success,failure,success,success"
    robot.node.destroy_publisher(publisher)


def release(robot) -> None:
    from std_srvs.srv import Trigger

    assert robot.call(Trigger, "/arm/clear").success
    robot.wait(lambda: robot.states[-1].mode != ArmState.PROTECTIVE_STOP, "the release")
