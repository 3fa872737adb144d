# SPDX-License-Identifier: Apache-2.0
"""Images of the operator's page in each of its states, on a laptop, a tablet and a phone.

    .venv/bin/python tests/integration/console_screenshots.py screenshots [STATE ...]

The page is the real one, in Chromium; the robot behind it is only told, with images of the simulator.
"""

from __future__ import annotations

import atexit
import functools
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from console_browser import chromium
from told_robot import EVER, STATUS, TRIAL, ToldRobot, serving

from ptr_bringup.arm.messages import pose_message
from ptr_bringup.camera.images import pinhole_info
from ptr_bringup.sim.cameras import OVER_SHOULDER
from ptr_bringup.sim.world import World
from ptr_models.episodes.discarding import discard
from ptr_models.episodes.labelling import relabel
from ptr_models.episodes.metadata import Label
from ptr_teleop.console.hand_axes import CameraModel
from ptr_teleop.console.state import Received
from ptr_teleop.console.values import ValueSource

SIZES = {"laptop": (1366, 768), "tablet": (820, 1180), "phone": (390, 844)}
TASK = "put_carrot_on_plate"
CHECKPOINT = Path(__file__).resolve().parents[2] / "models/checkpoints/ptr_small"
HARDWARE = "the elbow reports overload; reboot the motors"


@functools.cache
def scene(seed: int) -> tuple[bytes, dict[str, Any]]:
    """A JPEG of a simulated scene, and where the axes of the hand lie in it."""
    with World("toykitchen2", TASK) as world:
        world.reset(seed)
        image = world.render(640, 480)[:, :, ::-1]
        info = pinhole_info(640, 480, math.radians(world.kitchen.fovy), "camera")
        axes = CameraModel(pose_message(world.camera_pose()[1]), info).axes(world.tool_pose.position)
    return cv2.imencode(".jpg", np.ascontiguousarray(image))[1].tobytes(), {OVER_SHOULDER: axes}


def driving(robot: ToldRobot, page: Any) -> None:
    """Keys drive the arm."""
    robot.recorder(message="nothing has been recorded yet", saved=3)
    robot.teleop("page_keyboard drives the arm")
    robot.arm("teleop", "page_keyboard", scene(3)[1])
    page.click("#keys-switch")
    page.wait_for_selector("#pad", state="visible")
    page.keyboard.down("d")


def recording(robot: ToldRobot, page: Any) -> None:
    """The same, recorded, at the edge of the workspace."""
    driving(robot, page)
    robot.recorder("recording", f"recording 20261129-101112-000-{TASK}", started=time.time() - 6, saved=3)
    robot.reasons(("clip", "at the edge of the workspace"))
    robot.state.safety["detail"] = "(0.430, 0.011, 0.050) m lies outside the workspace box"


def saved(robot: ToldRobot, page: Any) -> None:
    """An episode was saved, and its audit has no objection."""
    robot.recorder(message=f"saved 20261129-101112-000-{TASK} (success)", saved=4, recommendation="keep",
                   episode=f"20261129-101112-000-{TASK}")  # fmt: skip
    robot.teleop("hold a key to move")


def audit_finding(robot: ToldRobot, page: Any) -> None:
    """An episode was saved that is better discarded."""
    saved(robot, page)
    findings = ["no motion: the gripper moved 2 mm in 6.4 s", "camera over_shoulder: 3 of 190 images are torn"]
    why = f"recommendation: discard, because {findings[0]}"
    robot.recorder(message=f"saved 20261129-101112-000-{TASK} (success); {why}", saved=4,
                   recommendation="discard", findings=findings, episode=f"20261129-101112-000-{TASK}")  # fmt: skip


def fault(robot: ToldRobot, page: Any) -> None:
    """A motor has tripped: the arm is stopped and says so."""
    robot.recorder(message="nothing has been recorded yet", saved=3)
    robot.teleop("hold a key to move")
    robot.arm("stopped")
    robot.motors("fault", HARDWARE, error="overload", torque=False)
    robot.reasons(("refuse", "stopped"), ("refuse", "a motor reports a fault"))


def recovery(robot: ToldRobot, page: Any) -> None:
    """The way back from there."""
    fault(robot, page)
    page.click("#tab-robot")


def policy(robot: ToldRobot, page: Any) -> None:
    """A policy runs; its Q has left the range of the demonstrations."""
    robot.recorder(saved=3)
    robot.arm("policy", "policy")
    for step in range(40):
        robot.state.points.append([step, -0.4 - 0.03 * step + 0.05 * math.sin(step), 0.06, -0.4])
    robot.state.policy = Received({"task": TASK, "step": 40, "held": False, "reason": "", "milliseconds": 31.0}, EVER)
    alarm = "Q of the actions is below the range that the demonstrations had"
    robot.state.policy_status = STATUS | {"level": "warn", "drift": True, "message": alarm}


def evaluating(robot: ToldRobot, page: Any) -> None:
    """A person lays out the scene of a trial under its start image."""
    robot.recorder(saved=3)
    robot.reference.put(lambda: scene(4)[0])
    robot.state.reference = {"camera": OVER_SHOULDER, "number": 1}
    robot.state.trial = TRIAL | {"message": "set up the scene as in the image, then step back"}
    outcomes = ["success", "failure"]
    robot.state.evaluation = {"task": TASK, "policy": "", "planned": 20, "judged": 2, "successes": 1, "low": 0.0945,
                              "high": 0.9055, "outcomes": outcomes}  # fmt: skip


def evaluation_begins(robot: ToldRobot, page: Any) -> None:
    """The first trial of a single checkpoint: no start image, no result yet."""
    evaluating(robot, page)
    robot.state.reference = None
    robot.state.policy_status = STATUS
    words = "set up the scene for the task, then step back"
    robot.state.trial |= {"number": 1, "policy_label": "policy", "blind": False, "message": words}
    robot.state.evaluation |= {"judged": 0, "successes": 0, "low": 0.0, "high": 1.0, "outcomes": []}


def judging_after_fault(robot: ToldRobot, page: Any) -> None:
    """A trial that a fault has ended."""
    evaluating(robot, page)
    fault(robot, page)
    words = f"The arm was stopped: {HARDWARE}."
    robot.state.trial |= {"phase": "label", "may_label": True, "fault": words, "message": words}


def evaluation_ends(robot: ToldRobot, page: Any) -> None:
    """All trials are done: the last judgment can still be undone."""
    evaluating(robot, page)
    robot.state.reference = None
    words = "all trials are done; the last judgment can still be undone"
    robot.state.trial |= {"phase": "review", "number": 20, "undo": "trial 20: failure", "message": words}
    robot.state.evaluation |= {"judged": 20, "successes": 12, "low": 0.3866, "high": 0.7812,
                               "outcomes": ["success", "failure", "success", "partial", "success"] * 4}  # fmt: skip


@functools.cache
def demonstrations() -> tuple[Path, Path]:
    """A folder of simulated demonstrations, and a file with the shipped checkpoint's Q along them."""
    folder = Path(tempfile.mkdtemp(prefix="ptr-screenshots-"))
    atexit.register(shutil.rmtree, folder)
    bags, values = folder / "bags", folder / "values.json"
    kitchen = ["--task", TASK, "--kitchen", "toykitchen2", "--width", "640", "--height", "480"]
    run("sim", "collect", *kitchen, "--episodes", "4", "--jobs", "1", "--out", str(bags))
    out = ["--json", str(values), "--out", str(folder / "q.png"), "--cache", str(folder / "cache")]
    run("analyze", "q", str(bags), "--checkpoint", str(CHECKPOINT), *out)
    first, second, *_ = sorted(path for path in bags.iterdir() if path.is_dir())
    discard(first)
    relabel(second, Label("failure", time.time_ns(), "Ada"))
    return bags, values


def run(*arguments: str) -> None:
    """Run `ptr` with these arguments."""
    subprocess.run([sys.executable, "-m", "ptr_models", *arguments], check=True, stdout=subprocess.DEVNULL)


def episodes(robot: ToldRobot, page: Any) -> None:
    """The list of saved episodes, the discarded ones too."""
    bags, values = demonstrations()
    robot.folder, robot.values = str(bags), ValueSource(str(values))
    robot.recorder(saved=3)
    page.click("#tab-episodes")
    page.wait_for_selector(".thumbnail img")
    page.check("#show-discarded")


def player(robot: ToldRobot, page: Any) -> None:
    """A demonstration is played, with Q, actions and events."""
    episodes(robot, page)
    page.click(".thumbnail >> nth=0")
    page.click("#player-values")
    page.wait_for_selector("#player-values", state="hidden")
    page.wait_for_function("() => document.querySelector('#player-play').textContent === 'Play'")  # at its end
    box = page.locator("#player-curves").bounding_box()
    page.click("#player-curves", position={"x": 0.6 * box["width"], "y": 0.5 * box["height"]})
    page.evaluate("() => document.querySelector('#player').scrollIntoView({ block: 'start' })")


STATES: dict[str, Callable[[ToldRobot, Any], None]] = {
    state.__name__: state
    for state in (driving, recording, saved, audit_finding, fault, recovery, policy, evaluating, evaluation_begins,
                  judging_after_fault, evaluation_ends, episodes, player)
}  # fmt: skip


def take(browser: Any, state: str, size: str, folder: Path) -> Path:
    """Open the page, bring it into a state, and keep what the window shows."""
    robot = ToldRobot(OVER_SHOULDER)
    robot.frames[OVER_SHOULDER].put(lambda: scene(3)[0])
    robot.state.settings["task"] = TASK
    width, height = SIZES[size]
    page = browser.new_page(viewport={"width": width, "height": height}, has_touch=size != "laptop")
    with serving(robot) as address:
        page.goto(address)
        page.wait_for_selector("#connection[data-level=ok]")
        STATES[state](robot, page)
        for _ in range(40):  # a few states, and a camera that is alive
            robot.state.streams.receive(f"/camera/{OVER_SHOULDER}/image/compressed", time.monotonic())
            page.wait_for_timeout(33)
        page.wait_for_selector("#connection[data-level=ok]")  # a busy machine may have lost it meanwhile
        path = folder / f"{state}-{size}.png"
        page.screenshot(path=path)
        page.close()
    return path


def main() -> None:
    """Write an image of each state and size into the folder that is given."""
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(STATES)
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for state in wanted:
            for size in SIZES:
                print(take(browser, state, size, folder))


if __name__ == "__main__":
    main()
