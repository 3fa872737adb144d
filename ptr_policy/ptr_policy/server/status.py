# SPDX-License-Identifier: Apache-2.0
"""The policy server's status for /policy/status: checkpoint, run and problems."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from rclpy.node import Node

from ptr_bringup.ros.qos import LATCHED
from ptr_models.inference.policy import Policy
from ptr_policy.server.loading import Loaded
from ptr_policy.server.run import Run

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Status:
    """A status of the server: a level of DiagnosticStatus, a sentence, and values by name."""

    level: bytes
    message: str
    values: dict[str, str] = field(default_factory=dict)


def status_of(loaded: Loaded | None, run: Run | None) -> Status:
    """The status of a server.

    Args:
        loaded: its checkpoint; None: none yet.
        run: the current or the last run.
    """
    values = {**_values_of_checkpoint(loaded), **_values_of_run(run)}
    if loaded is None:
        return Status(OK, "waiting for a checkpoint (/policy_server/load)", values)
    if run is None:
        return Status(WARN if loaded.warning else OK, loaded.warning or "waiting for a run", values)
    if run.failed:
        return Status(ERROR, run.ended, values)
    if run.drift.alarm and not run.ended:
        return Status(WARN, "Q is outside the range of the demonstrations; check the scene", values)
    if run.late and not run.ended:
        return Status(WARN, "control steps are late; is the machine busy?", values)
    return Status(OK, run.ended or "running", values)


def _values_of_checkpoint(loaded: Loaded | None) -> dict[str, str]:
    if loaded is None:
        return dict.fromkeys(("checkpoint", "contract", "device", "task_conditioning", "goal"), "")
    return {
        "checkpoint": loaded.name,
        "contract": loaded.contract.hash,
        "device": loaded.device,
        "task_conditioning": loaded.policy.conditioning if isinstance(loaded.policy, Policy) else "",
        "goal": loaded.policy.goal_name if isinstance(loaded.policy, Policy) else "",
    }


def _values_of_run(run: Run | None) -> dict[str, str]:
    """Values of a run as text; empty: no run, or not known."""
    if run is None:
        return dict.fromkeys(("task", "q_low", "q_high", "drift", "steps", "held_steps", "late_steps", "ended"), "")
    drift = run.drift
    return {
        "task": run.options.task,
        "q_low": _text(drift.low),
        "q_high": _text(drift.high),
        "drift": "" if drift.range is None else str(drift.alarm).lower(),
        "steps": str(run.steps),
        "held_steps": str(run.held_steps),
        "late_steps": str(run.late_steps),
        "ended": run.ended,
    }


def _text(number: float) -> str:
    return "" if math.isnan(number) else f"{number:.3f}"


class StatusPublisher:
    """Publishes the status, latched: when its level or sentence changes, otherwise at most once a second."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(DiagnosticStatus, "policy/status", LATCHED)
        self._last: tuple[bytes, str] | None = None
        self._sent = 0

    def publish(self, status: Status, *, now: bool = False) -> None:
        """Publish it if it is new or due; `now`: in any case."""
        time = self._node.get_clock().now().nanoseconds
        headline = (status.level, status.message)
        if now or headline != self._last or abs(time - self._sent) >= 10**9:
            self._last, self._sent = headline, time
            values = [KeyValue(key=key, value=value) for key, value in status.values.items()]
            message = DiagnosticStatus(name="policy", level=status.level, message=status.message, values=values)
            self._publisher.publish(message)

    def close(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._publisher)
