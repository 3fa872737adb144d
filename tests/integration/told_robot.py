# SPDX-License-Identifier: Apache-2.0
"""A robot that is only told: what the operator's page shows of it is what somebody puts into its state."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ptr_models.common.rotations import DEFAULT_ROTATION
from ptr_models.episodes.metadata import EpisodeMetadata, Label
from ptr_models.episodes.trajectory import Trajectory, write_episode
from ptr_teleop.console.addresses import LOCAL_NAMES
from ptr_teleop.console.episodes import EpisodeLibrary
from ptr_teleop.console.frames import NewestFrame
from ptr_teleop.console.requests import Request
from ptr_teleop.console.robot import Answer
from ptr_teleop.console.security import Guard
from ptr_teleop.console.server import ConsoleServer, Door
from ptr_teleop.console.state import ConsoleState, Received
from ptr_teleop.console.values import ValueSource

EVER = time.monotonic() + 1e6  # heard just now, whenever the page asks
TIMEOUT = 60.0  # s; the machine may be busy
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
    "fault": "",
    "undo": "",
    "blind": True,
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


class ToldRobot:
    """Shows what a test puts into its state, and remembers what it was asked for and how it was driven."""

    def __init__(self, *cameras: str) -> None:
        """Args: cameras: their names, by default that of one on the wrist."""
        cameras = cameras or ("wrist",)
        streams = [*(f"/camera/{camera}/image/compressed" for camera in cameras), "/arm/state"]
        self.state = ConsoleState(cameras, [], dict.fromkeys(streams, 1e9), operator="Ada")
        self.frames, self.reference = {camera: NewestFrame() for camera in cameras}, NewestFrame()
        self.asked: list[Request] = []
        self.driven: list[tuple[str, dict[str, Any]]] = []  # device and packet
        self.folder = ""  # of the saved episodes
        self.values = ValueSource()
        self.answer = Answer(True, "it is done")
        for stream in streams:
            self.state.streams.receive(stream, time.monotonic())
        for frame in self.frames.values():
            frame.put(lambda: image(90))
        self.arm("idle")

    @functools.cached_property
    def episodes(self) -> EpisodeLibrary:
        """Of the folder and the values that were given before the page asks."""
        return EpisodeLibrary(lambda: self.folder, self.values)

    async def carry_out(self, request: Request) -> Answer:
        self.asked.append(request)
        return self.answer

    def drive(self, device: str, packet: str) -> None:
        self.driven.append((device, json.loads(packet)))

    def arm(self, mode: str, source: str = "", axes: dict[str, Any] | None = None) -> None:
        shown = {"mode": mode, "source": source, "position": [0.3, 0.0, 0.1], "gripper": 1.0, "axes": axes or {}}
        self.state.arm = Received(shown, EVER)

    def recorder(self, state: str = "idle", message: str = "", **fields: Any) -> None:
        shown = {
            "state": state, "started": time.time(), "episode": "", "task": "put_carrot_on_plate", "directory": "",
            "saved": 0, "goal": 10, "message": message, "free_gb": 80.0, "recommendation": "", "findings": [],
            "streams": [],
        }  # fmt: skip
        self.state.recorder = Received(shown | fields, EVER)

    def teleop(self, message: str, level: str = "ok") -> None:
        shown = {"level": level, "message": message, "device": "page_keyboard", "in_charge": "", "devices": []}
        self.state.teleop = Received(shown, EVER)

    def reasons(self, *reasons: tuple[str, str]) -> None:
        listed = [{"code": text.replace(" ", "_"), "grade": grade, "text": text} for grade, text in reasons]
        self.state.safety = {"reasons": listed, "detail": "", "source": "policy"}

    def motors(self, level: str, message: str, error: str = "", torque: bool = True) -> None:
        motors = [
            {"name": name, "temperature": 40.0, "voltage": 12.0, "effort": 0.1, "torque": True, "errors": []}
            for name in NAMES
        ]
        motors[1] |= {"temperature": 61.0, "torque": torque, "errors": [error] if error else []}
        self.state.motors = Received({"level": level, "message": message, "motors": motors}, EVER)


def image(level: int) -> bytes:
    """A grey JPEG of 160 x 120 pixels."""
    return cv2.imencode(".jpg", np.full((120, 160, 3), level, np.uint8))[1].tobytes()


@contextlib.contextmanager
def serving(robot: ToldRobot) -> Iterator[str]:
    """The page of a robot; its address."""
    server = ConsoleServer(robot, [Door("127.0.0.1", 0, Guard("http", LOCAL_NAMES))])
    try:
        yield f"http://127.0.0.1:{server.start()[0]}/"
    finally:
        server.stop()


@contextlib.contextmanager
def phone(browser: Any, address: str) -> Iterator[Any]:
    """The page on a phone, with a voice that only takes notes; the test fails when a script of it did."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.set_default_timeout(1000 * TIMEOUT)
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
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, f"waited {TIMEOUT} s in vain for: {what}"
        page.wait_for_timeout(50)


def write_small_episode(root: Path, name: str, steps: int = 4, **facts: str) -> Path:
    """An episode of `steps` steps of 1 cm along each axis, judged a success, whose images grow brighter."""
    levels = np.linspace(40, 220, steps + 1).astype(np.uint8)
    trajectory = Trajectory.from_actions(
        np.full((steps, 7), 0.01),
        images={"over_shoulder": np.broadcast_to(levels[:, None, None, None], (steps + 1, 24, 32, 3)).copy()},
        measured_position=np.full((steps + 1, 3), 0.2),
        measured_rotation=np.repeat(DEFAULT_ROTATION[None], steps + 1, axis=0),
        gripper=np.ones(steps + 1),
        joint_positions=np.zeros((steps + 1, 6)),
        start_ns=1_700_000_000 * 10**9,
    )
    metadata = EpisodeMetadata(name, "put_carrot_in_pot", **facts).labelled(Label("success", 1, "Ada"))
    return write_episode(root, metadata, trajectory)
