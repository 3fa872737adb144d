# SPDX-License-Identifier: Apache-2.0
"""The running system that faults are injected into: simulator, arm, recorder, teleoperation, and a policy server.

`with plant.trial(driver) as trial:` begins an episode, lets something drive the arm and waits until it moves;
`trial.strike(cause)` lets the fault happen and watches; afterwards `trial.bag` is what the recorder kept of it.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fault_bag
import numpy as np
from fault_policy import CENTRE, TASK
from rclpy.action import ActionClient
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from stalls import Stalls, watched_for_stalls
from std_srvs.srv import SetBool, Trigger

from ptr_msgs.action import MoveTo, RunPolicy
from ptr_msgs.msg import ArmState, EpisodeStatus, ExecutedCommand, MotorStates, SafetyEvent
from ptr_msgs.srv import InjectFault, LoadCheckpoint, StartEpisode, StopEpisode

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TIMEOUT = 240.0  # s, for processes that load networks on a busy machine
WATCHED = 0.9  # s after a fault in which the arm must stay where it is; streams count as stalled after 0.7 s
MOVING = 0.3  # s over which the arm has to have moved before a fault
LEAST = 0.004  # m in that time
MODULES = {
    "simulator": "ptr_bringup.sim.node",
    "arm": "ptr_bringup.arm.node",
    "recorder": "ptr_teleop.recorder.node",
    "teleop": "ptr_teleop.node",
    "policy_server": "ptr_policy.server.node",
}
MARKS = {
    "simulator": "/joint_states",
    "arm": "/arm/state",
    "recorder": "/episode/status",
    "teleop": "/teleop/status",
    "policy_server": "/policy/step",
}
"""A topic that each publishes from its start on."""
PASSING = ("no messages on", "has two publishers")
"""Why the recorder refuses an episode in the first moments after a fault."""
BOX = np.array([[0.16, -0.20, 0.10], [0.42, 0.20, 0.30]])
"""m, the workspace box of these tests: it ends above the things of the kitchen, so that the arm is stopped by the
gate alone."""


class Trial:
    """One episode with one fault.

    Attributes:
        begun, struck, watched: ns, when the fault began to be made, when it was there for certain, and until when.
        driver: what drives the arm.
        stalls: of the machine, from the start of the episode to its end.
        bag: what was recorded; there when the trial is over.
    """

    def __init__(self, plant: Plant) -> None:
        self.begun = self.struck = self.watched = 0
        self.driver: Any = None
        self.bag: fault_bag.FaultBag
        self.stalls = Stalls()
        self._plant = plant

    def strike(self, cause: Callable[[], Any], watched: float = WATCHED) -> Any:
        """Let the fault happen and watch for a while; returns what `cause` does."""
        self.begun = time.time_ns()
        result = cause()
        self.struck = time.time_ns()
        self._plant.ros.spin(watched)
        self.watched = time.time_ns()
        return result

    @property
    def bound(self) -> int:
        """ns after the fault at which the arm must hold: the promised ones, and those that the machine stood still."""
        return fault_bag.BOUND + self.stalls.allowance(self.begun, self.watched)

    def assert_held(self, by_arrival: bool = False) -> None:
        """The arm moved until the fault and held in time, as its bag says.

        Args:
            by_arrival: where the arm's own stamps can't be believed.
        """
        fault_bag.assert_held(self.bag, self.struck, self.begun, self.watched, by_arrival, self.bound)


class Plant:
    """The processes, and what a test sees of them.

    Args:
        ros: the domain.   folder: gets the episodes.
        checkpoint: for the policy server; None: there is none, and the test's process commands the arm.
        more: further parameters, by the name of the node; with all others in `parameters`.
        environments: likewise further environment variables.
    """

    def __init__(
        self,
        ros: Any,
        folder: Path,
        checkpoint: Path | None = None,
        more: dict[str, dict[str, Any]] | None = None,
        environments: dict[str, dict[str, str]] | None = None,
    ) -> None:
        self._environments = environments or {}
        self.ros, self.folder, self.checkpoint = ros, folder, checkpoint
        self.parameters: dict[str, dict[str, Any]] = {
            "simulator": {"width": 160, "height": 120, "camera_rate": 15.0, "task": TASK},
            "arm": {"workspace_min": f"[{', '.join(map(str, BOX[0]))}]"},
            "recorder": {"directory": folder},
            "teleop": {"device": "none", "task": TASK},
            "policy_server": {"checkpoint": checkpoint, "max_holds": 10, "on_drift": "hold", "drift_time": 0.2},
        }
        for name, parameters in (more or {}).items():
            self.parameters[name] |= parameters
        self.executed: list[ExecutedCommand] = []
        ros.node.create_subscription(ExecutedCommand, "/arm/executed", self._on_executed, 10)
        self.states = _Newest(ros, ArmState, "/arm/state", qos_profile_sensor_data)
        self.motors = _Newest(ros, MotorStates, "/arm/motors", LATCHED)
        self.safety = _Newest(ros, SafetyEvent, "/arm/safety", LATCHED)
        self.status = _Newest(ros, EpisodeStatus, "/episode/status", LATCHED)
        node = ros.node
        self.clients = {
            name: node.create_client(kind, name)
            for name, kind in {
                "/arm/stop": Trigger,
                "/arm/clear": Trigger,
                "/arm/torque": SetBool,
                "/arm/reboot_motors": Trigger,
                "/simulator/inject": InjectFault,
                "/recorder/start": StartEpisode,
                "/recorder/stop": StopEpisode,
                **({"/policy_server/load": LoadCheckpoint} if checkpoint is not None else {}),
            }.items()
        }
        self.move_to = ActionClient(node, MoveTo, "/arm/move_to")
        self.run_policy = ActionClient(node, RunPolicy, "/run_policy")
        self.processes: dict[str, Any] = {}
        self._injected = False
        self.revive()

    # --- processes ------------------------------------------------------------------------------------------

    def revive(self) -> None:
        """Start what is not running, and wait until everything answers."""
        begun = {}
        for name, topic in MARKS.items():
            process = self.processes.get(name)
            if (process is None or not process.running) and (name != "policy_server" or self.checkpoint is not None):
                begun[name] = self._publishers(topic)
                self.processes[name] = self._start(name)
        for name, before in begun.items():  # what was killed is known to others for a while
            self.ros.wait(lambda n=name, b=before: self._publishers(MARKS[n]) - b, f"the {name}", TIMEOUT)
        self.ros.wait(lambda: self.status.newest is not None, "the recorder's status", TIMEOUT)
        for name, client in self.clients.items():
            self.ros.wait(client.service_is_ready, f"service {name}", TIMEOUT)
        self.ros.wait(self.move_to.server_is_ready, "/arm/move_to", TIMEOUT)
        if self.checkpoint is not None:
            self.ros.wait(self.run_policy.server_is_ready, "the policy server", TIMEOUT)
        if begun:
            self.ros.spin(0.5)

    def _start(self, name: str) -> Any:
        kept = dict(self.ros.environment)
        self.ros.environment.update(self._environments.get(name, {}))
        try:
            return self.ros.start(MODULES[name], **self.parameters[name])
        finally:
            self.ros.environment.clear()
            self.ros.environment.update(kept)

    def _publishers(self, topic: str) -> set[bytes]:
        return {bytes(one.endpoint_gid) for one in self.ros.node.get_publishers_info_by_topic(topic)}

    def kill(self, name: str) -> None:
        """kill -9."""
        self.processes[name].signal(signal.SIGKILL)
        self.processes[name].wait()

    def end(self, name: str, number: int) -> None:
        """Tell a process to end; it says what it has to say, and does."""
        self.processes[name].signal(number)
        assert self.processes[name].wait() == 0, self.processes[name].output

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A process that hangs meanwhile: SIGSTOP."""
        self.processes[name].signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.processes[name].signal(signal.SIGCONT)

    # --- what is asked of them ------------------------------------------------------------------------------

    def ask(self, name: str, request: Any = None, timeout: float = 20.0) -> Any:
        """Call one of the system's services."""
        client = self.clients[name]
        future = client.call_async(request or client.srv_type.Request())
        return self.ros.result(future, f"the answer of {name}", timeout)

    def inject(self, fault: str, target: str = "", value: float = math.nan) -> None:
        """Let something go wrong in the simulator, until the trial is over."""
        answer = self.ask("/simulator/inject", InjectFault.Request(fault=fault, target=target, value=value))
        assert answer.success, answer.message
        self._injected = fault != "clear"

    def begin_move(self, **goal: Any) -> Any:
        """A slow move; the future of its end."""
        handle = self.ros.result(self.move_to.send_goal_async(MoveTo.Goal(**goal)), "acceptance of the move")
        return handle.get_result_async()

    def move(self, **goal: Any) -> MoveTo.Result:
        """A slow move, to its end."""
        return self.ros.result(self.begin_move(**goal), "the end of the move", 60.0).result

    # --- trials ---------------------------------------------------------------------------------------------

    def ready(self) -> None:
        """Everything runs, nothing is wrong, and the arm is where it can circle."""
        self.revive()
        if self.status.newest.state == EpisodeStatus.RECORDING:  # of a test that failed
            self.ask("/recorder/stop", StopEpisode.Request(save=False, score=math.nan))
        if self._injected:
            self.inject("clear")
        self._clear()
        if self._far():
            answer = self.move(named_pose="start", gripper_position=1.0)
            assert answer.success, answer.message
        self.ros.wait(lambda: self.safety.newest is None or not self.safety.newest.reason, "the gate to be content")

    def _clear(self) -> None:
        """Release the stop, once the motors are well."""
        deadline = time.monotonic() + 20.0
        while not (answer := self.ask("/arm/clear")).success:
            assert time.monotonic() < deadline, answer.message
            self.ros.spin(0.2)

    @property
    def commanded(self) -> np.ndarray:
        """(3,) m, the newest commanded position."""
        p = self.executed[-1].target.position
        return np.array([p.x, p.y, p.z])

    def _far(self) -> bool:
        self.executed.clear()
        self.ros.wait(lambda: self.executed, "a commanded pose")
        pose, off = self.executed[-1].target, self.commanded - CENTRE
        upright = abs(pose.orientation.y - math.sqrt(0.5)) + abs(pose.orientation.w - math.sqrt(0.5))
        return bool(np.abs(off).max() > 0.09 or upright > 0.1)

    @contextmanager
    def trial(self, driver: Any) -> Iterator[Trial]:
        """An episode in which something drives the arm; it moves when the block begins."""
        self.ready()
        trial = Trial(self)
        folder = self.record()
        with watched_for_stalls() as trial.stalls, driver(self) as trial.driver:
            self.wait_moving()
            yield trial
        trial.bag = self.keep(folder)

    def record(self) -> Path:
        """Begin an episode, once the recorder hears every stream, and each from one publisher; its folder."""
        answers: list[StartEpisode.Response] = []

        def begun() -> bool:
            answers.append(self.ask("/recorder/start", StartEpisode.Request(task=TASK, kind="practice")))
            return answers[-1].success or not any(text in answers[-1].message for text in PASSING)

        self.ros.wait(begun, "an episode", 60.0)
        assert answers[-1].success, answers[-1].message
        return Path(answers[-1].path)

    def keep(self, folder: Path) -> fault_bag.FaultBag:
        """End the episode; its bag, or what can be recovered of it when nobody could finish it."""
        if self.processes["recorder"].running and self.status.newest.state == EpisodeStatus.RECORDING:
            request = StopEpisode.Request(save=True, outcome="failure", score=math.nan)
            answer = self.ask("/recorder/stop", request)
            assert answer.success, answer.message
            return fault_bag.read(Path(answer.path))
        finished = folder.with_name(folder.name.removesuffix(".partial"))
        return fault_bag.read(finished if finished.is_dir() else folder)

    def wait_moving(self) -> None:
        """Wait until the arm has moved for some time."""
        self.executed.clear()
        self.ros.wait(self._moving, "the arm to move")

    def wait_still(self) -> None:
        """Wait until the commanded pose has not changed for 0.4 s."""
        self.executed.clear()
        self.ros.wait(self._still, "the arm to hold")

    def _still(self) -> bool:
        newest = [one.target for one in self.executed[-20:]]
        return len(newest) == 20 and all(target == newest[0] for target in newest)

    def last_change(self) -> int:
        """Stamp (ns) at which the commanded pose changed last, as far as this process has heard."""
        pairs = zip(self.executed, self.executed[1:], strict=False)
        changed = [later for before, later in pairs if later.target != before.target]
        return changed[-1].header.stamp.sec * 10**9 + changed[-1].header.stamp.nanosec if changed else 0

    def _moving(self) -> bool:
        now = time.time()
        recent = [
            (one.target.position.x, one.target.position.y, one.target.position.z)
            for one in self.executed
            if one.header.stamp.sec + 1e-9 * one.header.stamp.nanosec > now - MOVING
        ]
        halves = recent[: len(recent) // 2], recent[len(recent) // 2 :]
        return len(recent) > 6 and all(_length(half) > LEAST / 2 for half in halves)

    def _on_executed(self, message: ExecutedCommand) -> None:
        self.executed.append(message)
        del self.executed[:-100]


class _Newest:
    """The newest message of a topic."""

    def __init__(self, ros: Any, kind: type, topic: str, qos: Any) -> None:
        self.newest: Any = None
        ros.node.create_subscription(kind, topic, self._take, qos)

    def _take(self, message: Any) -> None:
        self.newest = message


def _length(points: list[tuple[float, float, float]]) -> float:
    """m, of the way along points."""
    return float(np.linalg.norm(np.diff(np.array(points), axis=0), axis=1).sum()) if len(points) > 1 else 0.0


def quiet() -> None:
    """One thread for each process: many of them share the machine."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("LP_NUM_THREADS", "0")
