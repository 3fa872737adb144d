# SPDX-License-Identifier: Apache-2.0
"""A VR controller or a phone in a WebXR session of the console's page. The clutch is `ptr_teleop.clutch`.

The grip is the deadman and the trigger the gripper. A starts and saves, B saves as a failure (held: discards). The
thumb-stick sets the scale; pressing it redefines forward. These choices follow Bridge (grip, trigger, A) and DROID
(A success, B failure, stick press redefines forward); the scale's range is that of SpesRobotics' teleop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ptr_models.common.rotations import matrix_from_quaternion
from ptr_teleop.devices.base import BaseDevice, Button, DeviceError, Hand, Reading
from ptr_teleop.devices.button_press import Press, PressTimer
from ptr_teleop.devices.packet_latency import MAX_AGE, Arrival, PacketLatency
from ptr_teleop.devices.packets import PacketError
from ptr_teleop.devices.rejections import Rejections
from ptr_teleop.devices.webxr_packet import HANDS, Controller, WebXRPacket, parse

BASE_FROM_WEBXR = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
LEVEL = 0.5
"""Minimum horizontal part of a direction that defines forward: 30 degrees from the vertical."""
GRIPPED = 0.5
"""Squeeze above which the deadman counts as held."""
SCALES = (0.2, 1.0)
SCALE_SPEED = 0.5
"""Change of the scale per s with the thumb-stick at its end."""
STICK_DEAD_ZONE = 0.3


class Frame:
    """Transforms directions, positions and rotations of a WebXR session to base_link.

    WebXR's local-floor frame has x right, y up and z backward; base_link has x forward, y left and z up (REP 103).
    Forward depends on where the person stands; `calibrate` sets its yaw.

    Args:
        yaw: rad, heading in the local-floor frame (counterclockwise, 0 = WebXR's -z) that is the arm's forward.
    """

    def __init__(self, yaw: float = 0.0) -> None:
        self.yaw = yaw

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3), from the local-floor frame to base_link."""
        cosine, sine = math.cos(self.yaw), math.sin(self.yaw)
        back = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        return back @ BASE_FROM_WEBXR

    def calibrate(self, ray: np.ndarray) -> bool:
        """Make the horizontal heading of a ray (3,), local-floor frame, the arm's forward; False: it is too steep."""
        x, y, _ = BASE_FROM_WEBXR @ ray
        if math.hypot(x, y) < LEVEL:
            return False
        self.yaw = math.atan2(y, x)
        return True

    def position(self, position: np.ndarray) -> np.ndarray:
        """A position (3,) m of the local-floor frame, in the axes of base_link, from the same origin."""
        return self.rotation @ position

    def orientation(self, quaternion: np.ndarray) -> np.ndarray:
        """A rotation matrix (3, 3) such that rotations of the hand become rotations about base_link's axes."""
        return self.rotation @ matrix_from_quaternion(quaternion)


@dataclass(frozen=True)
class JumpGuard:
    """Largest plausible motion of a hand between two packets; more means that tracking jumped.

    Attributes:
        distance: m.   angle: rad.   interval: s, to which both apply; they grow in proportion for longer gaps.
    """

    distance: float = 0.05
    angle: float = math.radians(35.0)
    interval: float = 1.0 / 30.0

    def refusal(self, before: Controller, after: Controller, gap: float) -> str:
        """Empty if a hand can move like that in `gap` s, otherwise the figures in words."""
        factor = max(gap / self.interval, 1.0)
        distance = float(np.linalg.norm(after.position - before.position))
        cosine = min(abs(float(before.orientation @ after.orientation)), 1.0)
        angle = 2.0 * math.acos(cosine)
        if distance <= self.distance * factor and angle <= self.angle * factor:
            return ""
        return f"{distance * 100:.0f} cm and {math.degrees(angle):.0f} degrees in {gap * 1000:.0f} ms"


class WebXRDevice(BaseDevice):
    """Turns packets into the pose of a hand.

    Args:
        valid_for: s for which a reading's twist is valid.
        hand: right or left; a phone, which has no handedness, is used if that hand is absent.
        scale: initial motion scale, m of the arm per m of the hand.   yaw: rad, see `Frame`.
        max_age: s, an older packet does not move the arm.
        guard: limits of plausible hand motion.
    """

    source = "webxr"

    def __init__(
        self,
        valid_for: float,
        hand: str = "right",
        scale: float = 1.0,
        yaw: float = 0.0,
        max_age: float = MAX_AGE,
        guard: JumpGuard | None = None,
    ) -> None:
        super().__init__()
        if hand not in HANDS[:2]:
            raise DeviceError(f"webxr.hand is {hand!r}; it can be right or left")
        self.valid_for = valid_for
        self.frame = Frame(yaw)
        self.scale = min(max(scale, SCALES[0]), SCALES[1])
        self._max_age = max_age
        self._name, self._guard = hand, guard or JumpGuard()
        self._latency, self._rejections = PacketLatency(), Rejections(self._notices)
        self._controller: Controller | None = None
        self._sent = 0.0
        self._blocked = False
        self._lost = False
        self._b, self._packets, self._buttons_at = PressTimer(), 0, 0.0

    def on_packet(self, text: str, now: float) -> None:
        """Process a packet that arrived at `now` (s, steady clock)."""
        try:
            packet = parse(text)
        except PacketError as error:
            self._rejections.add(str(error), now)
            return
        arrival = self._latency.receive(packet.session, packet.sequence, packet.sent, now)
        if arrival in (Arrival.FOREIGN, Arrival.OUTDATED):
            self._rejections.add(f"a WebXR packet was refused: it is {arrival.value}", now)
            return
        self._packets += 1
        controller = packet.hands.get(self._name, packet.hands.get("none"))
        self._examine(controller, packet, arrival)
        before, self._controller, self._sent = self._controller, controller, packet.sent
        if controller is None:
            self._b.reset()
        else:
            self._update_buttons(before or controller, controller, now)

    def read(self, now: float) -> Reading | None:
        """See `Device.read`."""
        if not self._latency.started:
            return None
        age = self._latency.age(now)
        if age > self._max_age or self._controller is None:
            self._notify_lost(age)
            return Reading(lost=True)
        self._lost = False
        controller = self._controller
        held = controller.grip > GRIPPED
        self._blocked = self._blocked and held
        if self._blocked:
            return Reading(lost=True)
        pose = Hand(
            self.frame.position(controller.position), self.frame.orientation(controller.orientation), self.scale
        )
        return Reading(gripper=1.0 - controller.trigger, deadman=held, hand=pose, trigger=True)

    def values(self) -> dict[str, str]:
        """See `Device.values`."""
        return {
            "scale": f"{self.scale:.2f}",
            "yaw": f"{self.frame.yaw:.3f}",
            "packets": str(self._packets),
            "refused": str(self._rejections.count),
        }

    def _examine(self, controller: Controller | None, packet: WebXRPacket, arrival: Arrival) -> None:
        """If the hand's pose can't be trusted, hold until the grip is released."""
        before = self._controller
        if before is None or controller is None or min(before.grip, controller.grip) <= GRIPPED:
            return
        if arrival in (Arrival.JUMPED, Arrival.FIRST):
            jump = "the headset's clock jumped" if arrival is Arrival.JUMPED else "the session started over"
        else:
            figures = self._guard.refusal(before, controller, packet.sent - self._sent)
            jump = f"the controller jumped by {figures}" if figures else ""
        if jump and not self._blocked:
            self._notices.append(f"{jump}: the arm holds; release the grip and press it again")
            self._blocked = True

    def _notify_lost(self, age: float) -> None:
        before = self._controller
        if self._lost or (before is not None and before.grip <= GRIPPED):
            return
        self._lost = True
        why = f"the last WebXR packet is {age:.2f} s old" if age > self._max_age else "the controller is not tracked"
        self._notices.append(f"{why}: the arm holds")

    def _update_buttons(self, before: Controller, after: Controller, now: float) -> None:
        if after.a and not before.a:
            self._pressed.add(Button.TOGGLE)
        press = self._b.advance(after.b, now)
        if press is not None:
            self._pressed.add(Button.DISCARD if press is Press.LONG else Button.FAIL)
        if after.stick_pressed and not before.stick_pressed:
            self._calibrate(after)
        elif abs(after.stick[1]) > STICK_DEAD_ZONE and not after.stick_pressed:
            step = min(max(now - self._buttons_at, 0.0), 0.1) * SCALE_SPEED
            self.scale = min(max(self.scale - step * after.stick[1], SCALES[0]), SCALES[1])
        self._buttons_at = now

    def _calibrate(self, controller: Controller) -> None:
        if controller.grip > GRIPPED:
            self._notices.append("forward was not set: release the grip first, then point forward and press the stick")
        elif self.frame.calibrate(controller.ray):
            self._notices.append(f"forward is set: the yaw is {self.frame.yaw:.3f} rad (parameter webxr.yaw keeps it)")
        else:
            self._notices.append("forward was not set: the controller points up or down; point it forward")
