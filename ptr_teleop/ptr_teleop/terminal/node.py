# SPDX-License-Identifier: Apache-2.0
"""The node `teleop` with a terminal's keyboard and a status line in that terminal."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticStatus

from ptr_bringup.ros.node import run
from ptr_bringup.ros.qos import LATCHED
from ptr_bringup.ros.time import STEADY, now, seconds
from ptr_models.episodes.quality import DISCARD
from ptr_msgs.msg import ArmState, EpisodeStatus
from ptr_teleop.buttons import SILENCE
from ptr_teleop.clutch import State
from ptr_teleop.devices.base import Button
from ptr_teleop.devices.keys import HELP
from ptr_teleop.node import TeleopNode
from ptr_teleop.terminal.status_line import StatusLine, View, line_of

DRAW_PERIOD = 0.2  # s between two updates of the status line
RECORDER_TIMEOUT = 10.0
"""s of recorder silence after which Ctrl-C no longer waits for it; on a busy machine saving may take a while."""
RECORDER = {
    EpisodeStatus.IDLE: "ready",
    EpisodeStatus.RECORDING: "recording",
    EpisodeStatus.SAVING: "saving",
    EpisodeStatus.FAULT: "fault",
}
ARM = {
    ArmState.IDLE: "nobody drives",
    ArmState.HOLD: "the arm holds",
    ArmState.PROTECTIVE_STOP: "the arm is STOPPED",
    ArmState.MOVING: "the arm moves by itself",
}
QUESTION = """\
an episode is being recorded; what should happen to it?
  enter save as success   f save as failure   x discard   Ctrl-C keep it unlabelled"""


class TerminalTeleop(TeleopNode):
    """Drives by keys until Ctrl-C. During an episode, Ctrl-C first asks what to do with it."""

    def __init__(self) -> None:
        self._line = StatusLine()
        self._episode: EpisodeStatus | None = None
        self._episode_at = 0.0
        self._interrupts = self._answered = 0
        super().__init__()
        self._line.print(f"{HELP}\nCtrl-C ends")
        self.create_subscription(EpisodeStatus, "episode/status", self._on_episode, LATCHED)
        self.create_subscription(DiagnosticStatus, "scene/status", self._on_scene, LATCHED)
        self.create_timer(DRAW_PERIOD, self._update, clock=STEADY)

    def start(self) -> None:
        """Count Ctrl-C from now on; `_update` acts on it."""
        signal.signal(signal.SIGINT, lambda *_: setattr(self, "_interrupts", self._interrupts + 1))

    def close(self) -> None:
        """Restore the terminal."""
        super().close()
        self._line.end()

    def _notify(self, sentence: str) -> None:
        self._event = sentence
        self._line.print(sentence)

    def _on_episode(self, message: EpisodeStatus) -> None:
        before, self._episode, self._episode_at = self._episode, message, time.monotonic()
        if before is None:
            return
        if message.message != before.message:
            self._line.print(message.message)
        if message.goal and before.saved < message.goal <= message.saved:
            self._line.print(f"all {message.goal} are saved; Ctrl-C ends")
        if message.findings and (message.episode_id, message.findings) != (before.episode_id, before.findings):
            for finding in message.findings:
                self._line.print(f"  - {finding}")
            if message.recommendation == DISCARD:
                self._line.print("  x discards it, r records the next one")

    def _on_scene(self, message: DiagnosticStatus) -> None:
        self._line.print(f"scene: {message.message}")

    def _update(self) -> None:
        """Act on Ctrl-C, and update the status line."""
        recorder = self._recorder_state()
        if self._interrupts > self._answered and recorder == "recording":
            self._answered += 1
            if self._answered == 1:
                self._line.print(QUESTION)
            else:
                self._recorder.press(Button.KEEP, self._device.source)
        elif self._interrupts and (recorder in ("ready", "fault") or self._recorder_silent() > RECORDER_TIMEOUT):
            self.exit_code = 0
        self._line.show(line_of(self._view(recorder)))

    def _recorder_state(self) -> str:
        """One word; empty: no recorder."""
        if self._episode is None or self._recorder_silent() > SILENCE:
            return ""
        return RECORDER.get(self._episode.state, "")

    def _recorder_silent(self) -> float:
        """s since the recorder's last status."""
        return math.inf if self._episode is None else time.monotonic() - self._episode_at

    def _view(self, recorder: str) -> View:
        episode = self._episode or EpisodeStatus()
        return View(
            recorder=recorder,
            seconds=max(0.0, now(self) - seconds(episode.header.stamp)),
            task=episode.task,
            saved=episode.saved,
            goal=episode.goal,
            arm=self._arm_text(),
            gripper=1.0 if self._arm is None else self._arm.commanded_gripper_position,
            speed=self._device.values().get("speed", ""),
            recommendation=episode.recommendation,
            finding=episode.findings[0] if episode.findings else "",
        )

    def _arm_text(self) -> str:
        if self._arm is None or time.monotonic() - self._arm_at > SILENCE:
            return ""
        if self._clutch.state is State.HELD:
            return "you drive"
        return ARM.get(self._arm.mode, f"{self._arm.source} drives")


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run(TerminalTeleop, "teleop_keyboard", args)


if __name__ == "__main__":
    sys.exit(main())
