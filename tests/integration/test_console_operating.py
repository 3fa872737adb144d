# SPDX-License-Identifier: Apache-2.0
"""The operator's page in a real browser, in front of a robot that is only told: keys that drive, and saved episodes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ptr_msgs.msg")

from console_browser import chromium  # noqa: E402
from told_robot import (  # noqa: E402
    STATUS,
    TRIAL,
    ToldRobot,
    asked,
    phone,
    serving,
    until,
    wait,
    write_small_episode,
)

from ptr_teleop.console.requests import (  # noqa: E402
    ChooseTask,
    DiscardEpisode,
    Finish,
    NextScene,
    Record,
    Relabel,
    RestoreEpisode,
    UndoLabel,
    UseDevice,
    UseGoal,
)
from ptr_teleop.console.values import ValueSource  # noqa: E402

pytestmark = pytest.mark.xdist_group("console_operating")

HOSTILE = '<img src=x onerror="document.body.dataset.owned=1">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def robot() -> ToldRobot:
    return ToldRobot()


@pytest.fixture
def address(robot: ToldRobot) -> Iterator[str]:
    with serving(robot) as address:
        yield address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    with phone(browser, address) as page:
        yield page


def drive(robot: ToldRobot, page: Any) -> None:
    """Let keys drive the arm."""
    page.click("#keys-switch")
    until(page, "!document.querySelector('#controls').hidden")


def packets(robot: ToldRobot, page: Any, **wanted: Any) -> None:
    """Wait for a packet of the page that drives in which these fields are so."""
    wait(page, lambda: any(wanted.items() <= packet.items() for _, packet in robot.driven), str(wanted))


def test_shift_and_the_button_make_keys_slow(robot: ToldRobot, page: Any) -> None:
    drive(robot, page)
    page.keyboard.down("w")
    packets(robot, page, keys=["w"], slow=False)
    page.keyboard.down("Shift")
    packets(robot, page, keys=["w"], slow=True)
    page.keyboard.up("w")
    page.keyboard.up("Shift")
    robot.driven.clear()
    page.click("#slow")
    packets(robot, page, keys=[], slow=True)
    assert page.get_attribute("#slow", "aria-pressed") == "true"


def test_a_page_whose_driving_a_stalled_machine_ended_says_to_click_again(
    robot: ToldRobot, page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(robot, page)
    stall, snapshot = threading.Event(), robot.state.snapshot
    stall.set()

    def stalling(*arguments: Any) -> dict[str, Any]:
        if stall.is_set():  # once, in the server's only thread: nothing is sent meanwhile
            stall.clear()
            time.sleep(3.0)
        return snapshot(*arguments)

    monkeypatch.setattr(robot.state, "snapshot", stalling)
    until(page, "document.querySelector('#controls').hidden")
    until(page, "document.querySelector('#connection').textContent === 'connected'")
    said = page.inner_text("#drive-message")
    assert said == 'The connection was interrupted, so driving stopped. Click "Drive with keys" to continue.'
    drive(robot, page)
    assert page.inner_text("#drive-message") == ""
    page.click("#keys-switch")
    until(page, "document.querySelector('#controls').hidden")
    assert page.inner_text("#drive-message") == ""  # the person wanted that


def test_keys_begin_and_end_episodes_while_keys_drive_and_only_then(robot: ToldRobot, page: Any) -> None:
    robot.recorder()
    page.fill("#task", "put_carrot_on_plate")
    page.evaluate("document.activeElement.blur()")
    until(page, "document.querySelector('#recorder-state').textContent === 'not recording'")
    page.keyboard.press("r")  # nobody drives
    drive(robot, page)
    page.keyboard.press("Enter")  # nothing is recorded
    until(page, "!document.querySelector('#shortcuts [data-name=record]').disabled")
    page.keyboard.press("r")
    chosen = [ChooseTask("put_carrot_on_plate", "", "Ada"), UseDevice("page_keyboard")]
    assert asked(robot, page, 3) == [*chosen, Record("put_carrot_on_plate", "", "Ada")]
    for key, request in (
        ("Enter", Finish(True, "success", None, "")),
        ("f", Finish(True, "failure", None, "")),
        ("x", Finish(False, "unlabelled", None, "")),
    ):
        robot.recorder("recording")
        if page.is_hidden("#controls"):  # a machine that stalls ends the page's driving, and keys with it
            drive(robot, page)
        until(page, "!document.querySelector('#shortcuts [data-name=success]').disabled")
        robot.asked.clear()
        page.keyboard.press(key)
        assert asked(robot, page, 1) == [request]
        robot.recorder()
        until(page, "!document.querySelector('#shortcuts [data-name=record]').disabled")
    robot.asked.clear()
    robot.recorder("recording")
    robot.state.trial = TRIAL | {"phase": "running"}  # the episode is the evaluation's: it ends it
    until(page, "document.querySelector('#shortcuts [data-name=success]').disabled")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert robot.asked == []


def test_on_a_phone_the_image_stays_above_the_pad_with_the_axes_of_the_hand(robot: ToldRobot, page: Any) -> None:
    axes = {"hand": [0.5, 0.5], "ahead": [[0.2, 0.4], [0.8, 0.4], [0.5, 0.2]]}
    axes["behind"] = [[0.8, 0.6], [0.2, 0.6], [0.5, 0.8]]
    robot.arm("idle", axes={"wrist": axes})
    inked = """(() => { const c = document.querySelector('.hand-axes'); return !c.hidden && c.width > 0 &&
        c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v) => v > 0); })()"""
    until(page, "document.querySelector('.hand-axes').hidden")  # nobody drives
    drive(robot, page)
    until(page, inked)
    page.evaluate("document.querySelector('#shortcuts').scrollIntoView({block: 'end'})")
    box = "document.querySelector('{}').getBoundingClientRect()"
    image, keys = (box.format(name) for name in (".image", "#shortcuts"))
    assert page.evaluate(f"{image}.top") >= page.evaluate(box.format(".bar") + ".bottom")
    assert page.evaluate(f"{image}.bottom") < page.evaluate(f"{keys}.top")
    page.click("#keys-switch")
    until(page, "document.querySelector('.hand-axes').hidden")


@pytest.mark.parametrize("size", [(1366, 768), (820, 1180), (390, 844)])
@pytest.mark.parametrize("driving", [False, True])
def test_nothing_covers_the_stop_button_of_a_page_that_is_scrolled(
    robot: ToldRobot, page: Any, size: tuple[int, int], driving: bool
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    if driving:
        drive(robot, page)
    page.evaluate("""() => { document.body.style.minHeight = "300vh"; }""")
    hit = """(() => { const box = document.querySelector('#stop-button').getBoundingClientRect();
        return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).id; })()"""
    for offset in range(0, 600, 25):
        page.evaluate(f"scrollTo(0, {offset})")
        assert page.evaluate(hit) == "stop-button", offset


def test_the_next_scene_is_asked_for_with_one_press_while_nothing_is_recorded(robot: ToldRobot, page: Any) -> None:
    robot.arm("idle")
    robot.recorder("recording")
    until(page, "document.querySelector('#next-scene').hidden")
    robot.recorder()
    until(page, "!document.querySelector('#next-scene').hidden && !document.querySelector('#next-scene').disabled")
    page.click("#next-scene")
    assert asked(robot, page, 1) == [NextScene()]
    robot.state.trial = TRIAL | {"phase": "running"}  # the evaluation lays its own scenes
    until(page, "document.querySelector('#next-scene').hidden")


def test_a_stopped_arm_is_nowhere_called_ready(robot: ToldRobot, page: Any) -> None:
    robot.recorder(message="nothing has been recorded yet")
    robot.teleop("hold a key to move")
    robot.arm("stopped")
    until(page, "document.querySelector('#recorder-state').textContent === 'arm stopped'")
    assert page.is_disabled("#record")
    assert page.inner_text("#teleop-message") == "The arm is stopped. Release the stop to drive."
    assert "ready" not in page.inner_text("body").lower()


def test_saved_episodes_are_listed_judged_discarded_and_each_undone(
    robot: ToldRobot, page: Any, tmp_path: Path
) -> None:
    trajectory = {"operator": HOSTILE, "device": "spacemouse"}
    folder = write_small_episode(tmp_path, "episode_1", **trajectory)
    robot.folder = str(tmp_path)
    page.click("#tab-episodes")
    until(page, "document.querySelector('#episodes li')")
    assert HOSTILE in page.inner_text("#episodes")  # as text
    assert page.evaluate("document.body.dataset.owned") is None
    until(page, "document.querySelector('.thumbnail img')?.naturalWidth > 0")
    page.select_option("#episodes select", "partial 0.5")
    assert asked(robot, page, 1) == [Relabel("episode_1", "partial", 0.5, "")]
    page.click("#episodes-undo")
    assert asked(robot, page, 2)[-1] == UndoLabel("episode_1")
    page.click("#episodes button:text-is('Discard')")
    assert asked(robot, page, 3)[-1] == DiscardEpisode("episode_1")
    robot.episodes.discard("episode_1")
    page.click("#episodes-undo")
    assert asked(robot, page, 4)[-1] == RestoreEpisode("episode_1")
    until(page, "!document.querySelector('#episodes li')")
    page.check("#show-discarded")
    page.click("#episodes button:text-is('Restore')")
    assert asked(robot, page, 5)[-1] == RestoreEpisode("episode_1")
    assert not folder.exists()


def test_the_end_of_an_episode_becomes_the_goal_of_a_policy_that_takes_one(
    robot: ToldRobot, page: Any, tmp_path: Path
) -> None:
    write_small_episode(tmp_path, "episode_1")
    robot.folder = str(tmp_path)
    robot.state.policy_status = STATUS | {"takes_goal": False}
    page.click("#tab-episodes")
    until(page, "document.querySelector('#episodes li')")
    button = "#episodes button:text-is('Use as goal')"
    assert page.locator(button).count() == 0
    robot.state.policy_status = STATUS | {"takes_goal": True, "goal": "/data/carrot/episode_1"}
    page.click(button)
    assert asked(robot, page, 1) == [UseGoal("episode_1")]
    assert page.text_content("#policy-goal") == "carrot/episode_1"


def test_the_player_shows_images_actions_events_and_q(robot: ToldRobot, page: Any, tmp_path: Path) -> None:
    write_small_episode(tmp_path, "episode_1")
    values = {"checkpoint": "runs/carrot", "demonstrations": [{"name": "episode_1", "q": [-2.0, -1.5, -1.25, 0.5]}]}
    (tmp_path / "values.json").write_text(json.dumps(values))
    robot.folder, robot.values = str(tmp_path), ValueSource(str(tmp_path / "values.json"))
    page.click("#tab-episodes")
    page.click(".thumbnail")
    until(page, "document.querySelector('#player canvas').width === 32")
    page.click("#player-values")
    until(page, "document.querySelector('#player-legend').textContent.includes('Q of runs/carrot')")
    until(page, "document.querySelector('#player-play').textContent === 'Play'")  # it has come to its end
    assert "step 4 of 4: 1.0  1.0  1.0 cm · gripper 1 % open · Q 0.50" in page.inner_text("#player-now")
    assert page.evaluate("document.querySelectorAll('#player-events li').length") == 2
    bright = """(() => { const c = document.querySelector('#player-images canvas');
        return c.getContext('2d').getImageData(9, 9, 1, 1).data[0]; })()"""
    until(page, f"{bright} > 150")
    page.click("#player-events button >> nth=0")  # the start
    until(page, f"{bright} < 100")
    page.click("#player-close")
    assert page.is_hidden("#player")
