# SPDX-License-Identifier: Apache-2.0
"""What /policy/status says of a run: late steps are a warning while they are news."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("diagnostic_msgs.msg")

from ptr_models.contract import Contract  # noqa: E402
from ptr_models.episodes.sampling import Observation  # noqa: E402
from ptr_policy.server.loading import Loaded  # noqa: E402
from ptr_policy.server.run import Run, RunOptions  # noqa: E402
from ptr_policy.server.status import ERROR, OK, WARN, Status, status_of  # noqa: E402
from ptr_policy.server.step_grid import ON_TIME, Lateness  # noqa: E402

LATE = Lateness(0.15, 0, 0.2)


class Answer:
    """A decision."""

    action, q, q_spread, q_mode, inference_time = np.zeros(7, np.float32), 2.0, 0.1, 1.5, 0.01


class Parrot:
    """A policy that always answers the same, at 5 Hz."""

    contract, has_values = Contract(), True

    def reset(self) -> None:
        pass

    def q_range(self, task: str) -> None:
        return None

    def act(self, *_: object) -> Answer:
        return Answer()


def observe() -> Observation:
    return Observation(np.zeros((1, 64, 64, 3), np.uint8), np.zeros(7, np.float32), (10,), 11)


def status_after(*lateness: Lateness, warning: str = "", max_steps: int = 1000) -> Status:
    """The server's status after steps that kept their time so."""
    run = Run(Parrot(), RunOptions("put_knife_in_pot", "mode", max_steps, max_holds=15))
    for one in lateness:
        run.step(observe, one)
    return status_of(Loaded("runs/a", Parrot(), Parrot.contract, 0.0, warning, "cpu"), run)


def test_a_run_on_time_is_well() -> None:
    status = status_after(ON_TIME, ON_TIME)
    assert (status.level, status.message) == (OK, "running")
    assert (status.values["steps"], status.values["late_steps"]) == ("2", "0")


def test_a_late_step_is_a_warning_until_steps_have_been_on_time_for_five_seconds() -> None:
    for on_time in (0, 24):
        status = status_after(LATE, *[ON_TIME] * on_time)
        assert (status.level, status.message) == (WARN, "control steps are late; is the machine busy?")
    status = status_after(LATE, *[ON_TIME] * 25)
    assert (status.level, status.message) == (OK, "running")
    assert status.values["late_steps"] == "1", "it still counts"


def test_late_steps_do_not_outlive_the_run() -> None:
    done = status_after(ON_TIME, LATE, max_steps=2)
    assert (done.level, done.message, done.values["late_steps"]) == (OK, "2 steps are done", "1")
    failed = status_after(*[LATE] * 15)
    assert failed.level == ERROR and failed.message.startswith("held 15 steps in a row")
