# SPDX-License-Identifier: Apache-2.0
"""The operator's page in a real browser, in front of a robot that is only told: what it shows, says and asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from console_browser import chromium  # noqa: E402
from told_robot import (  # noqa: E402
    EVER,
    JUDGED,
    STATUS,
    TRIAL,
    ToldRobot,
    asked,
    image,
    phone,
    serving,
    until,
)

from ptr_teleop.console.requests import JudgeTrial, RebootMotors, Release, SceneReady, SetTorque, UndoJudgment  # noqa: E402
from ptr_teleop.console.robot import Answer  # noqa: E402
from ptr_teleop.console.state import Received  # noqa: E402

pytestmark = pytest.mark.xdist_group("console_views")

TONES = """
window.tones = [];
const param = () => ({ setValueAtTime() {}, exponentialRampToValueAtTime() {}, value: 0 });
window.AudioContext = class {
  constructor() { Object.assign(this, { state: "running", currentTime: 0, destination: {} }); }
  createGain() { return { gain: param(), connect: (next) => next }; }
  createOscillator() {
    const frequency = param();
    return { frequency, connect: (next) => next, start: () => tones.push(frequency.value), stop() {} };
  }
};
"""


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


def shown(page: Any) -> str:
    return page.evaluate("document.body.dataset.view")


def test_the_page_shows_what_is_going_on_until_a_person_chooses(robot: ToldRobot, page: Any) -> None:
    assert shown(page) == "record"
    robot.state.trial = TRIAL
    until(page, "document.body.dataset.view === 'evaluate'")
    page.click("#tab-robot")
    robot.state.trial = JUDGED
    until(page, "document.querySelector('#tab-evaluate').dataset.level === 'warn'")
    until(page, "document.querySelector('#trial-phase').textContent === 'judge it'")
    assert shown(page) == "robot"
    page.reload()
    until(page, "document.querySelector('#trial-phase').textContent === 'judge it'")
    assert shown(page) == "robot"
    page.keyboard.press("Tab")
    page.focus("#tab-robot")
    page.keyboard.press("ArrowLeft")
    assert shown(page) == "evaluate"


def test_a_reason_of_the_gate_is_spoken_once_and_colours_the_image(robot: ToldRobot, page: Any) -> None:
    edge, table = "At the edge of the workspace.", "Too close to the table."
    robot.reasons(("clip", "at the edge of the workspace"))
    until(page, f"document.body.dataset.grade === 'clip' && said.includes('{edge}')")
    robot.reasons(("clip", "at the edge of the workspace"), ("refuse", "too close to the table"))
    until(page, f"document.body.dataset.grade === 'refuse' && said.includes('{table}')")
    robot.reasons()
    until(page, "document.body.dataset.grade === ''")
    said = page.evaluate("said")
    assert said[said.index(table) - 1] == "cancel"  # what is graver interrupts
    assert (said.count(edge), said.count(table)) == (1, 1) and said.index(edge) < said.index(table)
    page.click("#sound")
    robot.reasons(("refuse", "out of the arm's reach"))
    until(page, "document.body.dataset.grade === 'refuse'")
    assert "Out of the arm's reach." not in page.evaluate("said")
    page.reload()
    until(page, "document.querySelector('#sound').textContent === 'Sound off'")


def test_sentences_do_not_queue_up_and_are_not_repeated_at_every_change(page: Any) -> None:
    said = page.evaluate("""async () => {
        const { Announcer } = await import("/static/announcer.js");
        const said = [];
        let ends = 0, now = 0;
        const announcer = new Announcer((text) => { said.push([now, text]); ends = now + 1500; });
        const edge = { key: "edge", text: "edge", grade: 1 }, fast = { key: "fast", text: "fast", grade: 1 };
        const fault = { key: "fault", text: "fault", grade: 3 };
        for (now = 0; now < 30000; now += 100) {
            const items = [];
            if (now % 200 === 0) items.push(edge);  // comes and goes five times a second
            if (now >= 500 && now < 1000) items.push(fast);  // over before there is time to say it
            if (now >= 20500) items.push(fault);  // stays
            announcer.update(now, items, now < ends);
        }
        return said;
    }""")
    assert [text for _, text in said].count("fault") == 1
    assert "fast" not in [text for _, text in said]
    edges = [at for at, text in said if text == "edge"]
    assert len(edges) >= 3 and min(np.diff(edges)) >= 8000
    (fault,) = [at for at, text in said if text == "fault"]
    assert fault <= 20500 + 100


def test_a_browser_without_speech_shows_the_same_and_gives_the_tones(
    robot: ToldRobot, browser: Any, address: str
) -> None:
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(script="delete window.speechSynthesis; delete window.SpeechSynthesisUtterance;")
    page.add_init_script(script=TONES)
    page.goto(address)
    assert page.evaluate("'speechSynthesis' in window") is False
    assert "tones only" in page.get_attribute("#sound", "title")
    page.click("#tab-robot")  # a page may sound once it was touched
    robot.reasons(("clip", "at the edge of the workspace"))
    until(page, "tones.includes(880)")
    robot.reasons()
    until(page, "document.querySelector('#reasons').textContent === ''")
    page.wait_for_timeout(400)  # longer than the pause between two tones
    robot.reasons(("refuse", "out of the arm's reach"))
    until(page, "tones.at(-1) === 330 && document.querySelector('#reasons').textContent === \"out of the arm's reach\"")
    page.close()
    assert errors == []


def test_the_way_back_after_a_tripped_motor_is_guided_step_by_step(robot: ToldRobot, page: Any) -> None:
    robot.motors("fault", "shoulder: overload", error="overload", torque=False)
    robot.arm("stopped")
    robot.reasons(("refuse", "stopped"))
    page.click("#alerts button")
    until(page, "!document.querySelector('#recovery').hidden")
    assert page.is_disabled("#reboot-motors")  # nobody supports the arm yet
    page.check("#supported")
    page.click("#reboot-motors")
    assert asked(robot, page, 1) == [RebootMotors()]
    assert page.is_disabled("#torque-on")
    robot.motors("fault", "shoulder: no torque", torque=False)
    page.click("#torque-on")
    assert asked(robot, page, 2)[-1] == SetTorque(True)
    robot.motors("ok", "")
    page.click("#recovery-release")
    assert asked(robot, page, 3)[-1] == Release()
    robot.arm("idle")
    until(page, "document.querySelector('#step-release').dataset.done === 'true'")
    page.uncheck("#supported")
    until(page, "document.querySelector('#recovery').hidden")
    said = page.evaluate("said")
    assert "Shoulder: overload." in said and "Stopped." not in said  # which is a consequence, and is not said too


def test_a_warm_motor_asks_for_rest_and_stops_nothing(robot: ToldRobot, page: Any) -> None:
    robot.motors("warn", "let the arm rest: shoulder 61 °C")
    until(page, "document.querySelector('#alerts').textContent.includes('shoulder 61 °C')")
    assert page.is_hidden("#latched")
    page.click("#tab-robot")
    cells = "[...document.querySelectorAll('#motor-rows tr')].map((row) => row.textContent)"
    until(page, f"{cells}[1] === 'shoulder61 °C61 °C0.112.0 Vholds'")
    assert page.is_hidden("#recovery")
    assert page.is_disabled("#torque-off")  # until somebody holds the arm
    page.click("#view-robot summary")
    page.check("#holding")
    page.click("#torque-off")
    assert asked(robot, page, 1) == [SetTorque(False)]


def test_an_ill_camera_wears_a_badge_and_is_named(robot: ToldRobot, page: Any) -> None:
    health = {"level": "error", "state": "frozen", "message": "the same image for 2.1 s"}
    robot.state.cameras = {"wrist": Received(health, EVER)}
    until(page, "document.querySelector('.camera.stale .trouble')?.textContent === 'frozen'")
    assert page.evaluate("document.querySelector('#tab-robot').dataset.level") == "error"
    robot.state.cameras = {"wrist": Received(health | {"level": "ok", "state": ""}, EVER)}
    until(page, "document.querySelector('.trouble').hidden")
    assert "Camera wrist: frozen." in page.evaluate("said")


def test_every_camera_is_shown_with_its_own_image_and_badge(browser: Any) -> None:
    robot = ToldRobot("over_shoulder", "wrist")
    robot.frames["wrist"].put(lambda: image(200))
    health = {"level": "warn", "state": "dark", "message": "its images are dark"}
    robot.state.cameras = {"wrist": Received(health, EVER)}
    level = "(k) => document.querySelectorAll('.camera canvas:not(.hand-axes)')[k].getContext('2d')"
    level += ".getImageData(80, 60, 1, 1).data[0]"
    with serving(robot) as address, phone(browser, address) as page:
        until(page, f"Math.abs(({level})(0) - 90) < 5 && Math.abs(({level})(1) - 200) < 5")
        until(page, "[...document.querySelectorAll('.trouble')].map((t) => t.textContent).join() === ',dark'")
        titles = "[...document.querySelectorAll('#cameras figcaption')].map((c) => c.firstChild.textContent).join()"
        assert page.evaluate(titles) == "over shoulder,wrist"


def test_drift_of_q_is_an_alarm_and_its_range_is_drawn(robot: ToldRobot, page: Any) -> None:
    robot.state.policy = Received({"task": "a", "step": 7, "held": False, "reason": "", "milliseconds": 30.0}, EVER)
    for step in range(20):
        robot.state.points.append([step, 0.1, 0.05, 0.1])
    until(page, "document.body.dataset.view === 'policy'")
    soft = """(() => { const c = document.querySelector('#curve'), d = c.getContext('2d')
        .getImageData(0, 0, c.width, c.height).data; let n = 0;
        for (let k = 0; k < d.length; k += 4) n += d[k] === 0xe2 && d[k + 1] === 0xf1 && d[k + 2] === 0xe7;
        return n / (c.width * c.height); })()"""  # share of the plot in the colour of the range
    assert page.evaluate(soft) == 0.0
    robot.state.policy_status = STATUS
    until(page, f"{soft} > 0.5")  # the curve lies within the range, which then is the height of the plot
    assert page.inner_text("#policy-checkpoint") == "carrot/best"
    assert page.inner_text("#policy-range") == "-1.25 to 0.50"
    assert page.is_hidden("#policy-late")
    alarm = {"level": "warn", "drift": True, "message": "Q is below the range of the demonstrations"}
    robot.state.policy_status = STATUS | alarm
    until(page, "document.querySelector('#alerts').textContent.includes('Q is below the range')")
    assert page.inner_text("#policy-state") == "outside its training data"


def test_the_scene_is_laid_out_over_the_start_image_and_the_trial_judged_by_keys(robot: ToldRobot, page: Any) -> None:
    robot.reference.put(lambda: image(200))
    robot.state.reference = {"camera": "wrist", "number": 1}
    robot.state.trial = TRIAL | {"phase": "staging"}
    until(page, "document.querySelector('#trial-phase').textContent === 'the arm moves to its start'")
    assert page.is_hidden("#scene-ready")
    robot.state.trial = TRIAL
    until(page, "!document.querySelector('#laying-out').hidden")
    until(page, "document.querySelector('.image .reference')?.naturalWidth === 160")
    style = "getComputedStyle(document.querySelector('.reference'))"
    assert page.evaluate(f"{style}.opacity") == "0.5"
    page.keyboard.press("d")
    assert page.evaluate(f"[{style}.opacity, {style}.mixBlendMode]") == ["1", "difference"]
    page.keyboard.down("o")
    assert page.evaluate(f"{style}.opacity") == "0"
    page.keyboard.up("o")
    page.keyboard.press("u")  # nothing was judged yet
    page.keyboard.press("r")
    assert asked(robot, page, 1) == [SceneReady()]
    assert page.is_hidden("#undo-judgment")
    assert "Trial 3 of 20: set up the scene." in page.evaluate("said")

    robot.state.trial = JUDGED
    until(page, "!document.querySelector('.reference') && !document.querySelector('#judging').hidden")
    page.keyboard.press("x")
    until(page, "document.querySelector('#trial-message').textContent.includes('why the trial is invalid')")
    assert page.evaluate("document.activeElement.id") == "judge-reason"
    page.keyboard.type("yxn: the plate was moved")  # a field that takes letters is no place for shortcuts
    page.click("#judge-invalid")
    assert asked(robot, page, 2)[-1] == JudgeTrial("invalid", None, "yxn: the plate was moved", "Ada")
    until(page, "document.querySelector('#judge-success').disabled")  # judged: it waits for the evaluator
    robot.state.trial = TRIAL
    until(page, "document.querySelector('#judging').hidden")
    robot.state.trial = JUDGED  # the same trial again
    until(page, "!document.querySelector('#judging').hidden && !document.querySelector('#judge-success').disabled")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("y")
    assert asked(robot, page, 3)[-1] == JudgeTrial("success", None, "", "Ada")


def test_the_judgment_before_is_undone_by_a_key_or_a_button_while_the_next_scene_is_laid_out(
    robot: ToldRobot, page: Any
) -> None:
    robot.state.trial = TRIAL | {"undo": "trial 2: failure"}
    until(page, "!document.querySelector('#undo-judgment').hidden")
    assert "Undo trial 2: failure" in page.inner_text("#undo-judgment")
    page.keyboard.press("u")
    assert asked(robot, page, 1) == [UndoJudgment()]
    robot.state.trial = JUDGED | {"number": 2}  # the evaluator asks again
    until(page, "document.querySelector('#laying-out').hidden && !document.querySelector('#judging').hidden")
    robot.state.trial = TRIAL | {"undo": "trial 2: success"}
    until(page, "document.querySelector('#undo-judgment-text').textContent === 'trial 2: success'")
    page.click("#undo-judgment")
    assert asked(robot, page, 2)[-1] == UndoJudgment()


def test_after_the_last_trial_the_evaluation_is_finished_or_its_judgment_undone(robot: ToldRobot, page: Any) -> None:
    last = {"phase": "review", "undo": "trial 20: failure", "number": 20, "message": "all trials are done"}
    robot.state.trial = TRIAL | last
    until(page, "document.querySelector('#scene-ready-text').textContent === 'Finish the evaluation'")
    assert page.inner_text("#trial-phase") == "all trials are done"
    page.keyboard.press("u")
    assert asked(robot, page, 1) == [UndoJudgment()]
    robot.state.trial = JUDGED | {"number": 20}
    until(page, "document.querySelector('#laying-out').hidden && !document.querySelector('#judging').hidden")
    robot.state.trial = TRIAL | last
    until(page, "document.querySelector('#judging').hidden && !document.querySelector('#scene-ready').disabled")
    page.click("#scene-ready")
    assert asked(robot, page, 2)[-1] == SceneReady()


def test_a_trial_that_a_person_judges_can_be_ended_by_judging_it(robot: ToldRobot, page: Any) -> None:
    robot.state.trial = TRIAL | {"phase": "running"}
    until(page, "document.querySelector('#trial-phase').textContent === 'the policy drives'")
    page.keyboard.press("n")  # the simulator judges: nothing happens
    assert page.evaluate("document.querySelector('#judging').hidden")
    robot.state.trial = TRIAL | {"phase": "running", "may_label": True}
    until(page, "!document.querySelector('#judging-ends').hidden && !document.querySelector('#judging').hidden")
    page.keyboard.press("n")
    assert asked(robot, page, 1) == [JudgeTrial("failure", None, "", "Ada")]
    robot.state.trial = JUDGED
    until(page, "document.querySelector('#judging-ends').hidden")


def test_a_refused_judgment_is_shown_and_can_be_repeated(robot: ToldRobot, page: Any) -> None:
    robot.answer = Answer(False, "no trial is waiting for a label")
    robot.state.trial = JUDGED
    page.click("#judge-failure")
    until(page, "document.querySelector('#trial-message').textContent === 'No trial is waiting for a label.'")
    assert page.is_enabled("#judge-failure")


def test_after_a_fault_invalid_comes_first_with_the_fault_as_its_reason(robot: ToldRobot, page: Any) -> None:
    robot.state.trial = JUDGED
    until(page, "!document.querySelector('#judging').hidden")
    order = "[...document.querySelectorAll('#judging button')].map((button) => button.id.slice(6)).join()"
    assert page.evaluate(order) == "success,failure,partial,invalid"
    robot.state.trial = JUDGED | {"fault": "The arm was stopped: elbow overload."}
    until(page, f"{order} === 'invalid,success,failure,partial'")
    page.click("#judge-invalid")
    assert asked(robot, page, 1) == [JudgeTrial("invalid", None, "The arm was stopped: elbow overload.", "Ada")]
    robot.state.trial = JUDGED | {"number": 4}
    until(page, f"{order} === 'success,failure,partial,invalid'")
    assert page.input_value("#judge-reason") == ""


def test_the_first_trial_of_one_checkpoint_has_its_name_no_interval_and_no_start_image(
    robot: ToldRobot, page: Any
) -> None:
    robot.state.policy_status = STATUS
    robot.state.trial = TRIAL | {"number": 1, "policy_label": "policy", "blind": False}
    empty = {"task": "put_carrot_on_plate", "policy": "policy", "planned": 0, "judged": 0, "successes": 0}
    robot.state.evaluation = empty | {"low": 0.0, "high": 1.0, "outcomes": []}
    until(page, "!document.querySelector('#evaluation').hidden")
    assert page.inner_text("#trial-policy") == "carrot/best"
    assert page.inner_text("#evaluation-message") == 'No trial of "put carrot on plate" has been judged yet.'
    assert page.is_hidden("#interval") and page.is_visible("#no-reference")
    assert "0 of 0" not in page.inner_text("body")
    robot.state.evaluation |= {"planned": 4, "judged": 1, "successes": 1, "low": 0.2}
    until(page, "document.querySelector('#evaluation-message').textContent.startsWith('carrot/best: 1 of 1')")


def test_a_start_image_that_does_not_arrive_is_not_shown_broken_and_asked_for_again(
    robot: ToldRobot, page: Any
) -> None:
    robot.state.reference = {"camera": "wrist", "number": 7}  # the server has none
    with page.expect_response(lambda response: "/reference" in response.url and response.status == 404):
        robot.state.trial = TRIAL
    assert page.is_hidden("#compare") and page.evaluate("!document.querySelector('.reference')")
    robot.reference.put(lambda: image(200))
    until(page, "document.querySelector('.image .reference')?.naturalWidth === 160")


@pytest.mark.parametrize("view", ["record", "episodes", "policy", "evaluate", "robot"])
def test_every_view_fits_a_phone_and_its_buttons_a_finger(robot: ToldRobot, page: Any, view: str) -> None:
    robot.motors("fault", "shoulder: overload", error="overload, electrical shock", torque=False)
    robot.arm("stopped")
    robot.state.trial = JUDGED
    robot.state.policy_status = STATUS
    page.click(f"#tab-{view}")
    until(page, "!document.querySelector('#latched').hidden")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = """[...document.querySelectorAll('button, input, select')]
        .filter((e) => e.offsetParent && !['range', 'checkbox'].includes(e.type))
        .map((e) => [e.id, e.getBoundingClientRect().height]).filter(([, height]) => height < 44)"""
    assert page.evaluate(small) == []
