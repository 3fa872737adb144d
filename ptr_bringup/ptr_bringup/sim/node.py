# SPDX-License-Identifier: Apache-2.0
"""The simulator node: runs a World in (scaled) real time, with the ROS topics of an arm and its cameras."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState

from ptr_bringup.arm.model.kinematics import FINGER_CLOSED, FINGER_OPEN, JOINT_NAMES
from ptr_bringup.ros.context import StartupError
from ptr_bringup.ros.node import RunnableNode, run
from ptr_bringup.ros.parameters import declare
from ptr_bringup.ros.time import STEADY, stamp_from_seconds
from ptr_bringup.sim.cameras import CAMERAS, OVER_SHOULDER
from ptr_bringup.sim.door_tasks import DoorScene, describe
from ptr_bringup.sim.fault_effects import cool, protect, strike
from ptr_bringup.sim.faults import CLEAR, CLOCK_JUMP, KINDS, Fault, FaultError, Faults
from ptr_bringup.sim.levels import DEFAULT_LEVEL
from ptr_bringup.sim.world import TIMESTEP, World
from ptr_bringup.sim_ros.motor_bus import MotorBus
from ptr_bringup.sim_ros.publishers import ImagePublisher, JointPublisher, ObjectPublisher
from ptr_msgs.srv import GetOutcome, InjectFault, ResetScene

_PERIOD = 0.01
"""s of real time between two updates."""
_MAX_CATCH_UP = 0.2
"""s of simulated time, maximum per update; a machine that is too slow loses the rest."""
_MAX_COMMAND_OFFSET = 0.45
"""rad. In a new scene, joint commands further from the arm than this are outdated, and ignored."""
_INJECT = {"fault": 40, "target": 80}
_RESET = {"kitchen": 80, "task": 120}
"""Maximum lengths of the requests' strings, in characters."""
_MOTOR_PERIOD = 0.1
"""s between two readings of the motors."""


class Simulator(RunnableNode, Node):
    """Steps physics in real time, and publishes joint states, images, objects and motors."""

    def __init__(self) -> None:
        super().__init__("simulator")
        kitchen = declare(self, "kitchen", "toykitchen1", "kitchen of the first scene")
        task = declare(self, "task", "put_carrot_on_plate", "task that the scene is set up for")
        self._level = declare(self, "level", DEFAULT_LEVEL, "how hard the scenes are: easy, standard or hard")
        self._seed = declare(self, "seed", 0, "seed of the first scene", (0, 2**32 - 1))
        self._speed = declare(self, "speed", 1.0, "simulated s per s; other than 1: /clock is published", (0.1, 20.0))
        self._joint_period = 1.0 / declare(self, "joint_rate", 50.0, "Hz, /joint_states", (10.0, 200.0))
        self._camera_period = 1.0 / declare(self, "camera_rate", 30.0, "Hz, images", (0.1, 60.0))
        width = declare(self, "width", 640, "pixels, width of the images", (16, 1280))
        height = declare(self, "height", 480, "pixels, height of the images", (16, 960))
        cameras = declare(self, "cameras", [OVER_SHOULDER], "names of the cameras: over_shoulder, wrist")
        quality = declare(self, "jpeg_quality", 90, "JPEG quality of the images", (1, 100))
        self._size = (width, height)
        self._world = self._make_world(kitchen, task, self._seed)
        self._steady = time.monotonic()
        self._simulated = 0.0
        self._origin = self.get_clock().now().nanoseconds * 1e-9 if self._speed == 1.0 else time.time()
        self._due = dict.fromkeys(("joints", "camera", "objects", "motors", "diagnostics"), 0.0)
        self._hold_arm()
        self._make_interfaces(_known(cameras), self._size, quality)

    def _make_interfaces(self, cameras: Sequence[str], size: tuple[int, int], quality: int) -> None:
        self._faults = Faults()
        self._joints = JointPublisher(self, self._faults)
        rate = 1.0 / self._camera_period
        self._images = [ImagePublisher(self, name, self._faults, size, quality, rate) for name in cameras]
        self._objects = ObjectPublisher(self)
        self._motors = MotorBus(self, lambda: self._world)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._clocks = self.create_publisher(ClockMessage, "/clock", 10) if self._speed != 1.0 else None
        self.create_subscription(JointState, "joint_commands", self._on_command, 1)
        self.create_service(ResetScene, "simulator/reset", self._on_reset)
        self.create_service(GetOutcome, "simulator/outcome", self._on_outcome)
        self.create_service(InjectFault, "simulator/inject", self._on_inject)
        self.create_timer(_PERIOD, self._advance, clock=STEADY)

    def _make_world(self, kitchen: str, task: str, seed: int) -> World:
        try:
            world = World(kitchen, task, self._level)
            world.reset(seed)
            world.render(*self._size)
        except ValueError as error:
            raise StartupError(str(error)) from error
        return world

    def _hold_arm(self) -> None:
        """Hold the arm at the start of a new scene until a command close to it arrives."""
        self._targets, self._finger = self._world.joint_positions, FINGER_OPEN
        self._scene_is_new = True

    def _on_command(self, message: JointState) -> None:
        if "commands_lost" in self._faults:
            return
        commanded = dict(zip(message.name, message.position, strict=False))
        try:
            targets = np.array([commanded[name] for name in JOINT_NAMES])
            finger = commanded["left_finger"]
        except KeyError as missing:
            self.get_logger().error(f"A joint command lacks {missing}; it was ignored.", throttle_duration_sec=1.0)
            return
        if not (np.isfinite(targets).all() and math.isfinite(finger)):
            self.get_logger().error("A joint command is not finite; it was ignored.", throttle_duration_sec=1.0)
            return
        if self._scene_is_new and np.abs(targets - self._world.joint_positions).max() > _MAX_COMMAND_OFFSET:
            return
        self._scene_is_new = False
        self._targets, self._finger = targets, float(np.clip(finger, FINGER_CLOSED, FINGER_OPEN))

    def _advance(self) -> None:
        now = time.monotonic()
        owed = min((now - self._steady) * self._speed, _MAX_CATCH_UP)
        self._steady = now
        steps = int(owed / TIMESTEP + 1e-9)
        if steps:
            self._world.step(self._targets, self._finger, steps * TIMESTEP)
            protect(self._faults, self._world)
            self._simulated += steps * TIMESTEP
        self._steady -= (owed - steps * TIMESTEP) / self._speed
        if self._clocks is not None:
            self._clocks.publish(ClockMessage(clock=stamp_from_seconds(self._origin + self._simulated)))
        self._publish_due()

    def _publish_due(self) -> None:
        now, world = self._stamp(), self._world
        self._faults.expire(self._simulated)
        for name, period, publish in (
            ("joints", self._joint_period, lambda: self._joints.publish(world, now)),
            ("camera", self._camera_period, lambda: self._publish_images(now)),
            ("objects", 0.1, lambda: self._objects.publish(world, self._seed, now)),
            ("motors", _MOTOR_PERIOD, lambda: self._motors.publish(now)),
            ("diagnostics", 1.0, lambda: self._publish_diagnostics(now)),
        ):
            if self._simulated >= self._due[name] - 1e-9:
                self._due[name] = max(self._due[name] + period, self._simulated + 0.5 * period)
                publish()

    def _publish_images(self, now: Time) -> None:
        for images in self._images:
            images.publish(self._world, now)

    def _stamp(self) -> Time:
        """The current time: the system's, or that of /clock if time is scaled."""
        if self._clocks is None:
            return self.get_clock().now().to_msg()
        return stamp_from_seconds(self._origin + self._simulated)

    def _publish_diagnostics(self, now: Time) -> None:
        status = self._motors.diagnostics()
        injected = self._faults.summary()
        if injected:
            status.level, status.message = DiagnosticStatus.WARN, f"{injected} {status.message}"
        array = DiagnosticArray(status=[status])
        array.header.stamp = now
        self._diagnostics.publish(array)

    def _on_inject(self, request: InjectFault.Request, response: InjectFault.Response) -> InjectFault.Response:
        try:
            _check_texts(request, _INJECT)
            if request.fault == CLEAR:
                self._faults.clear()
                cool(self._world)
                response.message = "All faults are cleared; a tripped motor stays tripped until it is rebooted."
            else:
                wanted = (request.fault, request.target, request.value, request.duration)
                fault = self._faults.inject(*wanted, self._simulated)
                self._jump_clock(fault)
                strike(fault, self._world)
                response.message = f"Injected: {fault}. {KINDS[fault.name].effect}"
            response.success = True
            self.get_logger().warning(response.message)
        except (FaultError, ValueError) as error:
            response.success, response.message = False, str(error)
        return response

    def _jump_clock(self, fault: Fault) -> None:
        if fault.name != CLOCK_JUMP:
            return
        if self._clocks is None:
            raise FaultError(
                f"{CLOCK_JUMP} needs a simulator that publishes /clock; launch it with a speed other than 1"
            )
        self._origin += fault.value

    def _on_reset(self, request: ResetScene.Request, response: ResetScene.Response) -> ResetScene.Response:
        kitchen = request.kitchen or self._world.kitchen.name
        task = request.task or self._world.task.name
        try:
            _check_texts(request, _RESET)
            if (kitchen, task) == (self._world.kitchen.name, self._world.task.name):
                self._world.reset(request.seed)
            else:
                former, self._world = self._world, self._make_world(kitchen, task, request.seed)
                former.close()
        except (StartupError, ValueError) as error:
            response.success, response.message = False, str(error)
            return response
        self._seed, self._steady = request.seed, time.monotonic()
        self._due["objects"] = self._simulated  # the next recording must know the new seed
        self._hold_arm()
        response.success, response.message = True, f"{task} in {kitchen}, level {self._level}, seed {request.seed}."
        return response

    def _on_outcome(self, _: GetOutcome.Request, response: GetOutcome.Response) -> GetOutcome.Response:
        task, door, scene = self._world.task, self._world.door, self._world.scene()
        response.success, response.task_succeeded = True, self._world.successful()
        if isinstance(scene, DoorScene):
            response.message = describe(door.door, scene) if door is not None else ""
            return response
        place = ", ".join(f"{c:.3f}" for c in scene.object_position - scene.receptacle_position)
        response.message = (
            f"The {task.item} is at ({place}) m from the {task.receptacle}, "
            f"moves at {scene.object_speed:.3f} m/s, and the gripper is {scene.gripper:.0%} open."
        )
        return response

    def close(self) -> None:
        """Close the renderers."""
        self._world.close()


def _known(cameras: Sequence[str]) -> list[str]:
    """The names of cameras, each once.

    Raises:
        StartupError: a name is unknown.
    """
    unknown = [name for name in cameras if name not in CAMERAS]
    if unknown:
        raise StartupError(f"unknown simulated camera {unknown[0]!r}; known: {', '.join(CAMERAS)}")
    return list(dict.fromkeys(cameras))


def _check_texts(request: InjectFault.Request | ResetScene.Request, max_lengths: dict[str, int]) -> None:
    """Refuse a string that is too long, or that contains control characters.

    Raises:
        ValueError: the message names the field.
    """
    for name, limit in max_lengths.items():
        text = getattr(request, name)
        if len(text) > limit:
            raise ValueError(f"`{name}` has {len(text)} characters; the maximum is {limit}")
        if not text.isprintable():
            raise ValueError(f"`{name}` contains unprintable characters; remove them")


def main(args: list[str] | None = None) -> int:
    """Entry point of the executable `simulator`; returns the exit code."""
    return run(Simulator, "simulator", args)


if __name__ == "__main__":
    sys.exit(main())
