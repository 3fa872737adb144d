# SPDX-License-Identifier: Apache-2.0
"""The policy server with a robot that the test plays: rates, pauses, life cycle, change of checkpoints, faults."""

from __future__ import annotations

import math
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("ptr_msgs.msg")

from diagnostic_msgs.msg import DiagnosticStatus  # noqa: E402
from lifecycle_msgs.msg import State, Transition  # noqa: E402
from lifecycle_msgs.srv import ChangeState, GetState  # noqa: E402
from rclpy.action import ActionClient  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data  # noqa: E402
from sensor_msgs.msg import CompressedImage, JointState  # noqa: E402
from untrained import TASK, write_checkpoint  # noqa: E402

from ptr_models.contract import Contract  # noqa: E402
from ptr_models.training.q_range import QRange  # noqa: E402
from ptr_msgs.action import RunPolicy  # noqa: E402
from ptr_msgs.msg import ArmCommand, ArmState, EpisodeStatus, PolicyStep, SafetyEvent  # noqa: E402
from ptr_msgs.srv import LoadCheckpoint  # noqa: E402

pytestmark = pytest.mark.xdist_group("policy_server_serving")

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TIMEOUT = 240.0
"""s, for processes that load networks on a busy machine."""
FAR = "/far/command"
"""Where the servers of this module send commands, so that a test can be the network between them and the arm."""
JOINTS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
READY = (0.0, 0.022, 0.183, 0.0, 1.366, 0.0)  # gripper straight down at (0.30, 0, 0.15) m


def jpeg(seed: int, brightest: int = 255) -> bytes:
    """Noise; every image of a camera differs from the one before."""
    pixels = np.random.default_rng(seed).integers(0, brightest + 1, (120, 160, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


class PlayedRobot:
    """Publishes images at 30 Hz and arm states at 50 Hz while the test's node spins.

    Attributes:
        images: shown in turn.   x: of the measured pose (m); moves by `speed` (m/s).
        states: whether arm states are published.   joints: whether joint states are, for a real arm node.
    """

    def __init__(self, ros: Any) -> None:
        node = ros.node
        self._now = lambda: node.get_clock().now().to_msg()
        self._node = node
        self._images = node.create_publisher(
            CompressedImage, "/camera/over_shoulder/image/compressed", qos_profile_sensor_data
        )
        self._states: Any = None
        self._joints = node.create_publisher(JointState, "/joint_states", qos_profile_sensor_data)
        self.well()
        self._shown = 0
        node.create_timer(1 / 30, self._show)
        node.create_timer(1 / 50, self._tell)

    def well(self) -> None:
        """Everything is as it should be."""
        self.images, self.x, self.speed = [jpeg(seed) for seed in range(7)], 0.3, 0.05
        self.states, self.joints = True, False
        self._states = self._states or self._node.create_publisher(ArmState, "/arm/state", 10)

    def leave_the_states_to_an_arm(self) -> None:
        """A real arm node stops once it finds a second publisher of its states."""
        self.states, self.joints = False, True
        self._node.destroy_publisher(self._states)
        self._states = None

    def _show(self) -> None:
        self._shown += 1
        image = CompressedImage(format="jpeg", data=self.images[self._shown % len(self.images)])
        image.header.stamp = self._now()
        self._images.publish(image)

    def _tell(self) -> None:
        self.x += self.speed / 50
        if self.states:
            state = ArmState(mode=ArmState.POLICY, gripper_position=1.0, commanded_gripper_position=1.0)
            state.header.stamp = self._now()
            state.measured_pose.position.x, state.measured_pose.position.z = self.x, 0.15
            state.measured_pose.orientation.w = 1.0
            self._states.publish(state)
        if self.joints:
            joints = JointState(name=[*JOINTS, "gripper", "left_finger", "right_finger"])
            joints.header.stamp = self._now()
            joints.position = [*READY, 0.0, 0.03, -0.03]
            joints.velocity = joints.effort = [0.0] * 9
            self._joints.publish(joints)


@pytest.fixture(scope="module")
def plant(ros: Any) -> Any:
    """The harness with `robot`, a `client` of the action, and lists of what servers publish: `steps`, `commands`,
    `statuses`. The client comes first: a server that has found the others has found it, and its answers arrive."""
    ros.client = ActionClient(ros.node, RunPolicy, "/run_policy")
    ros.robot = PlayedRobot(ros)
    ros.steps, ros.commands = ros.collect(PolicyStep, "/policy/step", 200), ros.collect(ArmCommand, FAR, 200)
    ros.statuses = ros.collect(DiagnosticStatus, "/policy/status", LATCHED)
    ros.episodes = ros.node.create_publisher(EpisodeStatus, "/episode/status", LATCHED)
    return ros


@pytest.fixture
def start(plant: Any) -> Iterator[Callable[..., Any]]:
    """Start a server; it ends with the test, so that there is only one at a time."""
    servers = []

    def begin(**parameters: Any) -> Any:
        plant.statuses.clear()
        servers.append(plant.start("ptr_policy.server.node", "-r", f"/policy/command:={FAR}", **parameters))
        return servers[-1]

    yield begin
    for server in servers:
        server.end()
    rosout = plant.node.get_publishers_info_by_topic
    wait(plant, lambda: "policy_server" not in {info.node_name for info in rosout("/rosout")}, "the end of the server")
    plant.robot.well()


def wait(plant: Any, condition: Callable[[], Any], what: str) -> None:
    plant.wait(condition, what, TIMEOUT)


def send(plant: Any, **goal: Any) -> Any:
    """Send a goal and return its handle, once it is accepted."""
    wait(plant, plant.client.server_is_ready, "the policy server")
    wait(plant, lambda: plant.node.count_publishers(FAR) > 0, "its commands")
    wait(plant, lambda: plant.statuses, "its status")
    plant.steps.clear()
    plant.commands.clear()
    return plant.result(plant.client.send_goal_async(RunPolicy.Goal(task=TASK, **goal)), "acceptance", TIMEOUT)


def result(plant: Any, handle: Any) -> Any:
    return plant.result(handle.get_result_async(), "the end of the run", TIMEOUT).result


def acting(plant: Any) -> bool:
    return any(not step.held for step in plant.steps)


def seconds(stamp: Any) -> float:
    return stamp.sec + stamp.nanosec * 1e-9


def write_fast(folder: Path, rate: float) -> dict[str, Any]:
    """Parameters of a server whose robot and checkpoint agree on a control rate (Hz)."""
    contract = Contract(control_rate=rate)
    (folder / "contract.json").write_text(contract.to_json())
    checkpoint = write_checkpoint(folder / "checkpoint", contract)
    return {"checkpoint": checkpoint, "contract_file": folder / "contract.json"}


@pytest.mark.parametrize("rate", [20.0, 50.0])
def test_steps_follow_each_other_at_the_rate_of_the_contract(
    plant: Any, start: Any, tmp_path: Path, rate: float
) -> None:
    start(**write_fast(tmp_path, rate), max_holds=1000)
    done = result(plant, send(plant, max_steps=100))
    assert done.completed and done.steps == 100, done.message
    wait(plant, lambda: len(plant.steps) == 100 and not plant.commands[-1].deadman, "all messages of the run")
    wait(plant, lambda: plant.statuses[-1].message == done.message, "the status")
    stamps = np.array([seconds(step.header.stamp) for step in plant.steps])
    late = [step.reason.startswith("the step began") for step in plant.steps]
    values = {item.key: item.value for item in plant.statuses[-1].values}
    missed = int(values["late_steps"]) - sum(late)
    assert (stamps[-1] - stamps[0]) * rate == pytest.approx(99 + missed, abs=1.5), "they stay on one grid of times"
    acted = [stamp for stamp, step in zip(stamps, plant.steps, strict=True) if not step.held]
    assert np.diff(acted).min(initial=np.inf) > 0.4 / rate, "a step that was late is not made up for"
    sent = [command for command in plant.commands if command.deadman]
    assert len(sent) == 100 - done.held_steps > 0
    assert {command.valid_for.nanosec for command in sent} == {round(1e9 / rate)}


def test_a_server_that_was_stopped_sends_nothing_old_and_ends_the_run(plant: Any, start: Any, tmp_path: Path) -> None:
    server = start(**write_fast(tmp_path, 20.0), max_holds=25)
    handle = send(plant, max_steps=5000)
    wait(plant, lambda: acting(plant), "an action")
    server.signal(signal.SIGSTOP)
    plant.spin(2.0)
    before = seconds(plant.node.get_clock().now().to_msg())
    known = len(plant.commands)
    server.signal(signal.SIGCONT)
    done = result(plant, handle)
    assert not done.completed
    assert "steps in a row: the step began" in done.message and "steps before it were missed" in done.message
    wait(plant, lambda: plant.commands and not plant.commands[-1].deadman, "the release of the arm")
    assert all(seconds(command.header.stamp) > before - 0.05 for command in plant.commands[known:])
    assert not any(command.deadman for command in plant.commands[known:])
    wait(plant, lambda: plant.statuses[-1].level == DiagnosticStatus.ERROR, "the status")
    values = {item.key: item.value for item in plant.statuses[-1].values}
    assert int(values["late_steps"]) >= 25 and values["ended"] == done.message


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_is_told_to_end_releases_the_arm_and_tells_the_caller_first(
    plant: Any, start: Any, tmp_path: Path, number: int
) -> None:
    server = start(**write_fast(tmp_path, 1.0))
    handle = send(plant, max_steps=5000)
    ended = handle.get_result_async()
    wait(plant, lambda: plant.commands and plant.commands[-1].deadman, "an action")
    server.signal(number)
    server.signal(number)
    done = plant.result(ended, "the end of the run", TIMEOUT).result
    assert (done.completed, done.message) == (False, "the policy server is ending")
    assert server.wait() == 0, server.output
    assert "Traceback" not in server.output
    wait(plant, lambda: not plant.commands[-1].deadman, "the release of the arm")
    last, release = plant.commands[-2:]
    assert last.valid_for.sec == 1, "the arm would move on for a second"
    assert 0.0 < seconds(release.header.stamp) - seconds(last.header.stamp) < 0.9
    told = (done.message, DiagnosticStatus.ERROR)
    wait(plant, lambda: told in {(status.message, status.level) for status in plant.statuses}, "the status of the end")


def change(plant: Any, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return plant.call(ChangeState, "/policy_server/change_state", request, TIMEOUT).success


def state(plant: Any) -> int:
    return plant.call(GetState, "/policy_server/get_state", timeout=TIMEOUT).current_state.id


def test_every_transition_does_what_it_says_and_a_failed_one_names_its_cause(
    plant: Any, start: Any, tmp_path: Path
) -> None:
    server = start(checkpoint=tmp_path / "later", autostart=False)
    assert not change(plant, Transition.TRANSITION_CONFIGURE)
    assert "there is no checkpoint at" in server.output
    assert state(plant) == State.PRIMARY_STATE_UNCONFIGURED
    write_checkpoint(tmp_path / "later")
    for _ in range(2):  # and all over again after a clean-up
        assert change(plant, Transition.TRANSITION_CONFIGURE)
        refused = result(plant, send(plant))
        assert "not active; activate it first" in refused.message
        assert change(plant, Transition.TRANSITION_ACTIVATE)
        handle = send(plant, max_steps=5000)
        wait(plant, lambda: acting(plant), "an action")
        assert change(plant, Transition.TRANSITION_DEACTIVATE)
        ended = result(plant, handle)
        assert (ended.completed, ended.message) == (False, "the policy server was deactivated")
        wait(plant, lambda: not plant.commands[-1].deadman, "the release of the arm")
        assert change(plant, Transition.TRANSITION_CLEANUP)
        wait(plant, lambda: plant.node.count_publishers("/policy/step") == 0, "the end of its topics")
    assert change(plant, Transition.TRANSITION_CONFIGURE)
    assert change(plant, Transition.TRANSITION_ACTIVATE)
    handle = send(plant, max_steps=5000)
    wait(plant, lambda: acting(plant), "an action")
    assert change(plant, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert result(plant, handle).message == "the policy server was shut down"
    assert state(plant) == State.PRIMARY_STATE_FINALIZED


def load(plant: Any, checkpoint: Path) -> Any:
    request = LoadCheckpoint.Request(checkpoint=str(checkpoint))
    return plant.call(LoadCheckpoint, "/policy_server/load", request, TIMEOUT)


def test_checkpoints_change_without_a_restart_and_a_bad_one_leaves_the_old(
    plant: Any, start: Any, tmp_path: Path
) -> None:
    from ptr_models.contract import Camera

    start(wait_for_checkpoint=True, drift_time=0.4)
    assert "no checkpoint is loaded" in result(plant, send(plant)).message
    small, large = Contract(), Contract(cameras=(Camera(height=128, width=128),))
    never = QRange((500.0,), (600.0,), 10)
    first = write_checkpoint(tmp_path / "first", small, ranges={TASK: never})
    second = write_checkpoint(tmp_path / "second", large)
    answer = load(plant, first)
    assert (answer.success, answer.contract_hash) == (True, small.hash), answer.message
    handle = send(plant, max_steps=5000)
    wait(plant, lambda: acting(plant), "an action")
    during = load(plant, second)
    assert not during.success and "is in progress; cancel it first" in during.message
    wait(plant, lambda: plant.statuses[-1].level == DiagnosticStatus.WARN, "the drift alarm")
    values = {item.key: item.value for item in plant.statuses[-1].values}
    assert (values["drift"], values["q_low"], values["q_high"]) == ("true", "500.000", "600.000")
    assert values["checkpoint"] == str(first)
    plant.result(handle.cancel_goal_async(), "the cancellation", TIMEOUT)
    assert result(plant, handle).completed
    for bad, why in (
        (tmp_path / "nothing", "there is no checkpoint at"),
        (write_checkpoint(tmp_path / "wrist", Contract(cameras=(Camera(name="wrist"),))), "follows another contract"),
        (write_checkpoint(tmp_path / "nan", nan="critic"), "has weights that are not finite"),
    ):
        refused = load(plant, bad)
        assert not refused.success and why in refused.message
        assert refused.contract_hash == small.hash
    assert result(plant, send(plant, max_steps=3)).steps == 3
    assert load(plant, second).contract_hash == large.hash
    handle = send(plant, max_steps=5000)
    wait(plant, lambda: acting(plant), "an action with larger images")
    plant.result(handle.cancel_goal_async(), "the cancellation", TIMEOUT)


def frozen(plant: Any) -> None:
    plant.robot.images = plant.robot.images[:1]


def dark(plant: Any) -> None:
    plant.robot.images = [jpeg(seed, brightest=5) for seed in range(7)]


def torn(plant: Any) -> None:
    plant.robot.images = [image[:-400] for image in plant.robot.images]


def lost(plant: Any) -> None:
    plant.robot.x = math.nan


def unrecorded(plant: Any) -> None:
    plant.episodes.publish(EpisodeStatus(state=EpisodeStatus.FAULT, episode_id="e", message="the disk is full"))


FAULTS = {
    frozen: "held 4 steps in a row: the image of camera over_shoulder is frozen",
    dark: "held 4 steps in a row: the image of camera over_shoulder is dark",
    torn: "held 4 steps in a row: the image of camera over_shoulder is torn",
    lost: "held 4 steps in a row: the arm's state is not finite",
    unrecorded: "the recorder failed: the disk is full",
}


def test_what_is_wrong_with_the_robot_ends_the_run_in_a_sentence(plant: Any, start: Any, tmp_path: Path) -> None:
    start(checkpoint=write_checkpoint(tmp_path / "checkpoint"), max_holds=4)
    for break_, sentence in FAULTS.items():
        plant.robot.well()
        plant.episodes.publish(EpisodeStatus(state=EpisodeStatus.RECORDING, episode_id="e"))
        handle = send(plant, max_steps=5000)
        wait(plant, lambda: any(not step.held and step.episode_id == "e" for step in plant.steps), "an action")
        break_(plant)
        ended = result(plant, handle)
        assert not ended.completed
        assert ended.message.startswith(sentence)


def refused_ages(safety: list[SafetyEvent]) -> list[float]:
    """Ages (s) of the commands that the arm refused for them."""
    sentence = r"The command of policy was refused: it was (\S+) s old on arrival; the maximum is 0.300 s\."
    stale = [event.message for event in safety if event.reason & SafetyEvent.STALE_COMMAND]
    return [float(age[1]) for age in (re.fullmatch(sentence, detail) for detail in stale) if age]


def test_the_arm_refuses_what_a_slow_network_or_a_wrong_clock_brings(plant: Any, start: Any, tmp_path: Path) -> None:
    """The test relays commands to the arm: first as they come, then 0.5 s later, then with a clock 3 s ahead."""
    plant.robot.leave_the_states_to_an_arm()
    plant.start("ptr_bringup.arm.node")
    safety = plant.collect(SafetyEvent, "/arm/safety", LATCHED)
    to_arm = plant.node.create_publisher(ArmCommand, "/policy/command", 10)
    states = plant.collect(ArmState, "/arm/state", 10)
    start(checkpoint=write_checkpoint(tmp_path / "checkpoint"), max_holds=1000)
    handle = send(plant, max_steps=5000)
    way: dict[str, Any] = {"delay": 0.0, "ahead": 0.0}

    def relay(command: ArmCommand) -> None:
        shifted = replace_stamp(command, way["ahead"])
        if way["delay"]:
            timer = plant.node.create_timer(way["delay"], lambda: (timer.cancel(), to_arm.publish(shifted)))
        else:
            to_arm.publish(shifted)

    plant.node.create_subscription(ArmCommand, FAR, relay, 10)
    wait(plant, lambda: states and states[-1].mode == ArmState.POLICY, "the arm that follows")
    for delay, ahead in ((0.5, 0.0), (0.0, 3.0)):
        way.update(delay=0.0, ahead=0.0)
        wait(plant, lambda: states[-1].mode == ArmState.POLICY, "the arm that follows")
        wait(plant, lambda: not (safety and safety[-1].reason & SafetyEvent.STALE_COMMAND), "the end of late commands")
        safety.clear()
        way.update(delay=delay, ahead=ahead)
        early = -0.5 if ahead else 0.5  # what was delayed before may still arrive
        wait(plant, lambda: any(age / early >= 1.0 for age in refused_ages(safety)), "the refusal")  # noqa: B023
        wait(plant, lambda: states[-1].mode != ArmState.POLICY, "the arm that holds")
    plant.result(handle.cancel_goal_async(), "the cancellation", TIMEOUT)


def replace_stamp(command: ArmCommand, ahead: float) -> ArmCommand:
    """The same command of a machine whose clock is ahead by whole seconds."""
    command.header.stamp.sec += int(ahead)
    return command
