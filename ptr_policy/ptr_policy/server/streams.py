# SPDX-License-Identifier: Apache-2.0
"""What the policy server listens to: images and the arm's state, as live buffers."""

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
"""s beyond a control period after which a silent stream ends the motion. What is left of the 0.1 s that are promised
is for the way to the arm and for a busy machine's delays on it."""
HEALTHY = 2.0 / 30.0 + 0.05
"""s. The newest image of a healthy camera of 30 Hz may be so old: one period to expose and to transfer it, another
until the next one is there, and some jitter. A shorter control period does not make it younger."""
KEPT_IMAGES, KEPT_STATES = 48, 160
"""Samples of the longest latency and the ages that are allowed, 0.8 s, from a camera of 60 Hz and an arm of 200 Hz."""
SHORTLY = 50_000_000
"""ns by which an arm state may be older than the image that it is compared with."""
_EVER = 2**63 - 1  # ns


class ObservationStreams:
    """Subscribes to the streams of a contract and assembles observations, as training does.

    Attributes:
        gripper_commanded: opening that the arm was last told.
        arm_stopped: the arm is stopped until somebody clears it.
    """

    def __init__(self, node: Node, contract: Contract, delay: float) -> None:
        """Args: delay: s by which observations trail the world."""
        self._node, self._contract, self._delay = node, contract, delay
        self._frames, self._ticks = PeriodEstimator(), PeriodEstimator()
        self._images = {camera.name: LatestBuffer[bytes](KEPT_IMAGES) for camera in contract.cameras}
        self._arm = LatestBuffer[ArmSample](KEPT_STATES)
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

    def begin(self) -> None:
        """A run begins: images are compared with those of this run only."""
        self._guard = ImageGuard()

    def close(self) -> None:
        """Listen no more."""
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
        """Whether a motion that was begun may go on: no stream is silent, no image frozen or torn.

        Cheap enough to be asked between two steps; nothing is decoded.
        """
        stamps = (*self.newest_images, self.newest_state)
        if any(stamp is None or (now.nanoseconds - stamp) * 1e-9 > self._longest_silence for stamp in stamps):
            return False
        try:
            self._choose(now)
        except EpisodeError:
            return False
        return True

    def _choose(self, now: Time) -> Choice:
        """The samples of the observation as of now; errors as of `observe`, but for what decoding shows."""
        choice = choose(self._contract, self._images, self._arm, now.nanoseconds, self._delay)
        self._require_fresh(choice, now.nanoseconds)
        self._guard.check(self._contract, choice, self._where)
        return choice

    @property
    def newest_images(self) -> tuple[int | None, ...]:
        """Stamps (ns) of the newest images, by camera; None: there was none yet."""
        return tuple(_stamp(buffer) for buffer in self._images.values())

    @property
    def newest_state(self) -> int | None:
        """Stamp (ns) of the newest arm state."""
        return _stamp(self._arm)

    def _where(self, stamp: int) -> tuple[float, float, float] | None:
        """Measured position (m) of the end effector at a stamp (ns); None: no state was taken shortly before it."""
        found = self._arm.as_of(stamp)
        return None if found is None or stamp - found[0] > SHORTLY else found[1].position

    @property
    def _longest_silence(self) -> float:
        return max(self._contract.period + MARGIN, HEALTHY)

    def _require_fresh(self, choice: Choice, now: int) -> None:
        """Be stricter than the contract where its ages would let the arm move on for too long."""
        names = [*(f"camera {camera.name}" for camera in self._contract.cameras), "arm state"]
        of_cameras, of_arm = shifts(self._contract, self._delay)
        stamps = [*(stamp for stamp, _ in choice.images), choice.arm[0]]
        for name, stamp, shift in zip(names, stamps, (*of_cameras, of_arm), strict=True):
            age = (now - shift - stamp) * 1e-9
            if age > self._longest_silence:
                raise StaleSampleError(name, age, self._longest_silence)

    def phase(self) -> CameraPhaseLock:
        """Where control steps belong between the images of the first camera, as of now."""
        (shift, *_), _ = shifts(self._contract, self._delay)
        return CameraPhaseLock(self._contract.period, self._frames.beat(self._now()), shift * 1e-9)

    def arm_beat(self) -> PeriodEstimate | None:
        """The beat of the arm's loop, as of now."""
        return self._ticks.beat(self._now())

    def newest_image(self) -> float:
        """Stamp (s) of the newest image of the first camera; minus infinity: there was none yet."""
        stamp = self.newest_images[0]
        return -math.inf if stamp is None else stamp * 1e-9

    def _on_image(self, name: str, message: CompressedImage) -> None:
        stamp = nanoseconds(message.header.stamp)
        self._images[name].append(stamp, bytes(message.data))
        if name == self._contract.cameras[0].name:
            self._frames.note(stamp, self._now())

    def _on_state(self, message: ArmState) -> None:
        arrival = self._now()  # its stamp is that of the joint states
        self._ticks.note(arrival, arrival)
        self._arm.append(nanoseconds(message.header.stamp), arm_sample(message))
        self.gripper_commanded = message.commanded_gripper_position
        self.arm_stopped = message.mode == ArmState.PROTECTIVE_STOP

    def _now(self) -> int:
        return self._node.get_clock().now().nanoseconds


def _stamp(buffer: LatestBuffer[Any]) -> int | None:
    found = buffer.as_of(_EVER)
    return None if found is None else found[0]
