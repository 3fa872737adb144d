# SPDX-License-Identifier: Apache-2.0
"""The operator's page in a real browser, in front of a robot that is only told: what it shows, says and asks for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from console_browser import chromium

from ptr_teleop.console.addresses import LOCAL_NAMES
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.requests import JudgeTrial, RebootMotors, Release, Request, SceneReady, SetTorque
from ptr_teleop.console.robot import Answer
from ptr_teleop.console.security import Guard
from ptr_teleop.console.server import ConsoleServer, Door
from ptr_teleop.console.state import ConsoleState, Heard

pytestmark = pytest.mark.xdist_group("console_views")

STREAM = "/camera/wrist/image/compressed"
PATIENCE = 60.0  # s; the machine may be busy
EVER = time.monotonic() + 1e6  # heard just now, whenever the page asks
NAMES = ["waist", "shoulder", "gripper"]
TRIAL = {
    "phase": "ready",
    "number": 3,
    "planned": 20,
    "task": "put_carrot_on_plate",
    "kitchen": "toykitchen2",
    "instruction": "put the carrot on the plate",
    "policy_label": "B",
    "message": "",
    "takeover_steps": 0,
    "may_label": False,
}
JUDGED = TRIAL | {"phase": "label", "may_label": True}
STATUS = {
    "level": "ok",
    "message": "",
    "checkpoint": "/data/runs/carrot/best",
    "q_low": -1.25,
    "q_high": 0.5,
    "drift": False,
    "held_steps": "3",
    "late_steps": "",
    "ended": "",
}
SPEECH = """
window.said = [];
window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
const voice = { speaking: false, speak: (u) => { said.push(u.text); voice.speaking = true; },
                cancel: () => { said.push("cancel"); voice.speaking = false; } };
Object.defineProperty(window, "speechSynthesis", { value: voice });
"""


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


class ToldRobot:
    """Shows what a test puts into its state, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.state = ConsoleState(["wrist"], [], {STREAM: 1e9, "/arm/state": 1e9}, operator="Ada")
        self.frames, self.reference = {"wrist": NewestFrame()}, NewestFrame()
        self.asked: list[Request] = []
        self.answer = Answer(True, "it is done")
        for stream in (STREAM, "/arm/state"):
            self.state.streams.heard(stream, time.monotonic())
        self.frames["wrist"].put(lambda: picture(90))
        self.arm("idle")

    async def carry_out(self, request: Request) -> Answer:
        self.asked.append(request)
        return self.answer

    def drive(self, device: str, packet: str) -> None:
        raise AssertionError("no test of this module drives")

    def arm(self, mode: str) -> None:
        self.state.arm = Heard({"mode": mode, "source": "", "position": [0.3, 0.0, 0.1], "gripper": 1.0}, EVER)

    def reasons(self, *reasons: tuple[str, str]) -> None:
        listed = [{"code": text.replace(" ", "_"), "grade": grade, "text": text} for grade, text in reasons]
        self.state.safety = {"reasons": listed, "detail": "", "source": "policy"}

    def motors(self, level: str, message: str, error: str = "", torque: bool = True) -> None:
        motors = [
            {"name": name, "temperature": 40.0, "voltage": 12.0, "effort": 0.1, "torque": True, "errors": []}
            for name in NAMES
        ]
        motors[1] |= {"temperature": 61.0, "torque": torque, "errors": [error] if error else []}
        self.state.motors = Heard({"level": level, "message": message, "motors": motors}, EVER)


def picture(level: int) -> bytes:
    """A grey JPEG of 160 x 120 pixels."""
    return cv2.imencode(".jpg", np.full((120, 160, 3), level, np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def robot() -> ToldRobot:
    return ToldRobot()


@pytest.fixture
def address(robot: ToldRobot) -> Iterator[str]:
    server = ConsoleServer(robot, [Door("127.0.0.1", 0, Guard("http", LOCAL_NAMES))])
    yield f"http://127.0.0.1:{server.start()[0]}/"
    server.stop()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The page on a phone, with a voice that only takes notes; the test fails when a script of it did."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(script=SPEECH)
    page.goto(address)
    until(page, "document.querySelector('#connection').textContent === 'connected'")
    yield page
    context.close()
    assert errors == []


def until(page: Any, expression: str) -> None:
    """Wait for an expression to be true; by asking again, as the page's policy lets no text become a script."""
    wait(page, lambda: page.evaluate(f"Boolean({expression})"), expression)


def asked(robot: ToldRobot, page: Any, count: int) -> list[Request]:
    """What the robot was asked for, once it is so much."""
    wait(page, lambda: len(robot.asked) >= count, f"{count} requests")
    return robot.asked


def wait(page: Any, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited {PATIENCE} s in vain for: {what}"
        page.wait_for_timeout(50)


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


def test_a_reason_of_the_gate_is_spoken_once_and_colours_the_picture(robot: ToldRobot, page: Any) -> None:
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
    robot.motors("rest", "let the arm rest: shoulder 61 °C")
    until(page, "document.querySelector('#alerts').textContent.includes('shoulder 61 °C')")
    assert page.is_hidden("#latched")
    page.click("#tab-robot")
    cells = "[...document.querySelectorAll('#motor-rows tr')].map((row) => row.textContent)"
    assert page.evaluate(cells)[1] == "shoulder61 °C61 °C0.112.0 Vholds"
    assert page.is_hidden("#recovery")
    assert page.is_disabled("#torque-off")  # until somebody holds the arm
    page.click("#view-robot summary")
    page.check("#holding")
    page.click("#torque-off")
    assert asked(robot, page, 1) == [SetTorque(False)]


def test_an_ill_camera_wears_a_badge_and_is_named(robot: ToldRobot, page: Any) -> None:
    health = {"level": "error", "state": "frozen", "message": "the same picture for 2.1 s"}
    robot.state.cameras = {"wrist": Heard(health, EVER)}
    until(page, "document.querySelector('.camera.stale .trouble')?.textContent === 'frozen'")
    assert page.evaluate("document.querySelector('#tab-robot').dataset.level") == "error"
    robot.state.cameras = {"wrist": Heard(health | {"level": "ok", "state": ""}, EVER)}
    until(page, "document.querySelector('.trouble').hidden")
    assert "Camera wrist: frozen." in page.evaluate("said")


def test_drift_of_q_is_an_alarm_and_its_range_is_drawn(robot: ToldRobot, page: Any) -> None:
    robot.state.policy = Heard({"task": "a", "step": 7, "held": False, "reason": "", "milliseconds": 30.0}, EVER)
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
    assert page.inner_text("#policy-state") == "outside of what it knows"


def test_the_scene_is_laid_out_over_the_start_image_and_the_trial_judged_by_keys(robot: ToldRobot, page: Any) -> None:
    robot.reference.put(lambda: picture(200))
    robot.state.reference = {"camera": "wrist", "number": 1}
    robot.state.trial = TRIAL | {"phase": "staging"}
    until(page, "document.querySelector('#trial-phase').textContent === 'the arm goes to its start'")
    assert page.is_hidden("#scene-ready")
    robot.state.trial = TRIAL
    until(page, "!document.querySelector('#laying-out').hidden")
    until(page, "document.querySelector('.picture .reference')?.naturalWidth === 160")
    style = "getComputedStyle(document.querySelector('.reference'))"
    assert page.evaluate(f"{style}.opacity") == "0.5"
    page.keyboard.press("d")
    assert page.evaluate(f"[{style}.opacity, {style}.mixBlendMode]") == ["1", "difference"]
    page.keyboard.down("o")
    assert page.evaluate(f"{style}.opacity") == "0"
    page.keyboard.up("o")
    page.keyboard.press("r")
    assert asked(robot, page, 1) == [SceneReady()]
    assert "Trial 3 of 20: lay out the scene." in page.evaluate("said")

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


def test_a_refused_judgement_is_shown_and_can_be_repeated(robot: ToldRobot, page: Any) -> None:
    robot.answer = Answer(False, "no trial waits for a label")
    robot.state.trial = JUDGED
    page.click("#judge-failure")
    until(page, "document.querySelector('#trial-message').textContent === 'No trial waits for a label.'")
    assert page.is_enabled("#judge-failure")


@pytest.mark.parametrize("view", ["record", "policy", "evaluate", "robot"])
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
