# SPDX-License-Identifier: Apache-2.0
"""The policy server's inputs: live buffers of images and arm states."""

from __future__ import annotations

import functools
import math
from typing import Any

from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage

from ptr_bringup.ros.time import nanoseconds
from ptr_models.contract import Contract
from ptr_models.episodes.errors import EpisodeError, StaleSampleError
from ptr_models.episodes.sampling import (
    ArmSample,
    Choice,
    LatestBuffer,
    Observation,
    arm_sample,
    choose,
    observation_of,
    shifts,
)
from ptr_msgs.msg import ArmState
from ptr_policy.server.camera_phase_lock import CameraPhaseLock
from ptr_policy.server.image_guard import ImageGuard, require_light
from ptr_policy.server.period_estimator import PeriodEstimate, PeriodEstimator

MARGIN = 0.01
"""s beyond a control period after which a silent stream ends the motion. The rest of the promised 0.1 s covers the way
to the arm and delays on a busy machine."""
HEALTHY_AGE = 2.0 / 30.0 + 0.05
"""s, maximum age of the newest image of a healthy 30 Hz camera: one period to expose and transfer it, another until the
next one arrives, and some jitter. It does not depend on the control period."""
BUFFERED_IMAGES, BUFFERED_STATES = 48, 160
"""Samples in the longest latency plus allowed age, 0.8 s, of a 60 Hz camera and a 200 Hz arm."""
MAX_STATE_AGE = 50_000_000
"""ns by which an arm state may be older than the image it is compared with."""
_ANY_TIME = 2**63 - 1  # ns


class ObservationStreams:
    """Subscribes to the streams of a contract and assembles observations, as training does.

    Attributes:
        gripper_commanded: last commanded opening.
        arm_stopped: the arm is stopped and must be cleared.
    """

    def __init__(self, node: Node, contract: Contract, delay: float) -> None:
        """Args: delay: s by which observations trail the world."""
        self._node, self._contract, self._delay = node, contract, delay
        self._frames, self._ticks = PeriodEstimator(), PeriodEstimator()
        self._images = {camera.name: LatestBuffer[bytes](BUFFERED_IMAGES) for camera in contract.cameras}
        self._arm = LatestBuffer[ArmSample](BUFFERED_STATES)
        self._guard = ImageGuard()
        self.gripper_commanded = 1.0
        self.arm_stopped = False
        sensor = qos_profile_sensor_data
        self._subscriptions = [
            node.create_subscription(
                CompressedImage, f"camera/{name}/image/compressed", functools.partial(self._on_image, name), sensor
            )
            for name in self._images
        ]
        self._subscriptions.append(node.create_subscription(ArmState, "arm/state", self._on_state, sensor))

    def start_run(self) -> None:
        """Start a run: images are compared only with those of this run."""
        self._guard = ImageGuard()

    def close(self) -> None:
        """End the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def observe(self, now: Time) -> Observation:
        """The observation as of now.

        Raises:
            EpisodeError: a stream is silent or damaged, or an image can't be trusted.
        """
        observation = observation_of(self._contract, self._choose(now))
        require_light(self._contract, observation)
        return observation

    def trusted(self, now: Time) -> bool:
        """Whether the current motion may continue: no stream is silent, no image frozen or corrupt.

        Cheap enough to call between steps; nothing is decoded.
        """
        stamps = (*self.newest_images, self.newest_state)
        if any(stamp is None or (now.nanoseconds - stamp) * 1e-9 > self._max_silence for stamp in stamps):
            return False
        try:
            self._choose(now)
        except EpisodeError:
            return False
        return True

    def _choose(self, now: Time) -> Choice:
        """The samples of the current observation; errors as in `observe`, except those that need decoding."""
        choice = choose(self._contract, self._images, self._arm, now.nanoseconds, self._delay)
        self._require_fresh(choice, now.nanoseconds)
        self._guard.check(self._contract, choice, self._position_at)
        return choice

    @property
    def newest_images(self) -> tuple[int | None, ...]:
        """Stamps (ns) of the newest images, by camera; None: none yet."""
        return tuple(_stamp(buffer) for buffer in self._images.values())

    @property
    def newest_state(self) -> int | None:
        """Stamp (ns) of the newest arm state."""
        return _stamp(self._arm)

    def _position_at(self, stamp: int) -> tuple[float, float, float] | None:
        """Measured position (m) of the end effector at a stamp (ns); None: no state within MAX_STATE_AGE before it."""
        found = self._arm.as_of(stamp)
        return None if found is None or stamp - found[0] > MAX_STATE_AGE else found[1].position

    @property
    def _max_silence(self) -> float:
        return max(self._contract.period + MARGIN, HEALTHY_AGE)

    def _require_fresh(self, choice: Choice, now: int) -> None:
        """Enforce a stricter age limit than the contract's if that would let the arm move for too long."""
        names = [*(f"camera {camera.name}" for camera in self._contract.cameras), "arm state"]
        of_cameras, of_arm = shifts(self._contract, self._delay)
        stamps = [*(stamp for stamp, _ in choice.images), choice.arm[0]]
        for name, stamp, shift in zip(names, stamps, (*of_cameras, of_arm), strict=True):
            age = (now - shift - stamp) * 1e-9
            if age > self._max_silence:
                raise StaleSampleError(name, age, self._max_silence)

    def phase(self) -> CameraPhaseLock:
        """Phase of control steps relative to the first camera's images, as of now."""
        (shift, *_), _ = shifts(self._contract, self._delay)
        return CameraPhaseLock(self._contract.period, self._frames.estimate(self._now()), shift * 1e-9)

    def arm_timing(self) -> PeriodEstimate | None:
        """Timing of the arm's loop, as of now."""
        return self._ticks.estimate(self._now())

    def newest_image(self) -> float:
        """Stamp (s) of the newest image of the first camera; minus infinity: none yet."""
        stamp = self.newest_images[0]
        return -math.inf if stamp is None else stamp * 1e-9

    def _on_image(self, name: str, message: CompressedImage) -> None:
        stamp = nanoseconds(message.header.stamp)
        self._images[name].append(stamp, bytes(message.data))
        if name == self._contract.cameras[0].name:
            self._frames.add(stamp, self._now())

    def _on_state(self, message: ArmState) -> None:
        arrival = self._now()  # the message's stamp is that of the joint states
        self._ticks.add(arrival, arrival)
        self._arm.append(nanoseconds(message.header.stamp), arm_sample(message))
        self.gripper_commanded = message.commanded_gripper_position
        self.arm_stopped = message.mode == ArmState.PROTECTIVE_STOP

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds


def _stamp(buffer: LatestBuffer[Any]) -> int | None:
    found = buffer.as_of(_ANY_TIME)
    return None if found is None else found[0]
