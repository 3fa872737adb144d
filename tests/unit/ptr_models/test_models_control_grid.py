# SPDX-License-Identifier: Apache-2.0
"""Each command counts for the step that begins with it, however late the first one was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ptr_models.contract import Contract
from ptr_models.episodes.cdr_fields import Executed
from ptr_models.episodes.errors import EpisodeError
from ptr_models.episodes.reader import actions_from_targets, sample
from ptr_models.episodes.sampling import ArmSample, RecordedStream
from ptr_models.episodes.streams import Streams, control_grid

MS = 10**6
PERIOD = 200 * MS
BEGIN = 10**18
COMMANDS = 30
GRIPPER = [1.0] * 9 + [0.0] * 12 + [1.0] * 9
POSE = (0.3, 0.0, 0.1, 0.0, 0.0, 0.0, 1.0)


def streams(decided: list[int], gripper: list[float], delay: int) -> Streams:
    """An arm whose cycle of 20 ms carries out, `delay` ns after it was decided, the newest command."""
    cycles = range(BEGIN, BEGIN + (COMMANDS + 3) * PERIOD, 20 * MS)
    executed = []
    for cycle in cycles:
        known = [index for index, stamp in enumerate(decided) if stamp + delay <= cycle]
        if known:
            command = Executed(POSE, gripper[known[-1]], "person", decided[known[-1]])
        else:
            command = Executed(POSE, 1.0, "", 0)
        executed.append((cycle, command if cycle <= decided[-1] + PERIOD else command._replace(source="")))
    arm = ArmSample(POSE[:3], POSE[3:], 1.0)
    camera: Any = RecordedStream([(stamp, np.zeros(1, np.uint8)) for stamp in cycles])
    return Streams(
        {"over_shoulder": camera}, RecordedStream([(stamp, arm) for stamp in cycles]), RecordedStream(executed)
    )


def grippers(found: Streams) -> list[float]:
    """Of the actions on the control grid."""
    commands = sample(found, Contract(), control_grid(found, Contract()))[1]
    return actions_from_targets(np.array([(*item.pose, item.gripper) for item in commands]))[:, 6].tolist()


@given(
    late=st.integers(0, 45),
    jitter=st.lists(st.integers(-2, 2), min_size=COMMANDS, max_size=COMMANDS),
    phase=st.integers(0, 199),
    held_up=st.lists(st.tuples(st.integers(1, COMMANDS - 1), st.integers(50, 150)), max_size=6),
)
def test_a_late_first_command_moves_no_grippers_command_to_the_step_before(
    late: int, jitter: list[int], phase: int, held_up: list[tuple[int, int]]
) -> None:
    """Nor do some later ones that a busy computer holds up."""
    first = BEGIN + PERIOD + phase * MS
    decided = [first + index * PERIOD + jitter[index] * MS for index in range(COMMANDS)]
    decided[0] = first + late * MS
    for index, delay in held_up:
        decided[index] = first + index * PERIOD + delay * MS
    found = grippers(streams(decided, GRIPPER, 5 * MS))
    assert found[: COMMANDS - 1] == GRIPPER[: COMMANDS - 1]


def test_commands_on_time_begin_the_grid_with_the_first_one() -> None:
    decided = [BEGIN + PERIOD + index * PERIOD for index in range(COMMANDS)]
    assert control_grid(streams(decided, GRIPPER, 5 * MS), Contract())[0] == decided[0]


@pytest.mark.parametrize("rate", [10, 50])
def test_commands_that_come_more_often_than_steps_begin_the_grid_with_the_first_one(rate: int) -> None:
    decided = list(range(BEGIN + 3 * PERIOD + 7 * MS, BEGIN + COMMANDS * PERIOD, 10**9 // rate))
    found = streams(decided, [1.0] * len(decided), 5 * MS)
    assert control_grid(found, Contract())[0] == decided[0]


cycles = st.tuples(st.integers(0, 1500), st.sampled_from(["", "person", "policy"]), st.integers(-300, 300))


@example([(0, "person", 0), (80, "", 0), (200, "person", 0)], [])  # nobody in charge in the middle of the only step
@given(st.lists(cycles, max_size=12), st.lists(st.integers(0, 1500), max_size=2))
def test_any_commands_make_a_grid_or_are_refused(executed: list[tuple[int, str, int]], marks: list[int]) -> None:
    found = streams([BEGIN + PERIOD], GRIPPER, 5 * MS)
    commands = [
        (BEGIN + at * MS, Executed(POSE, 1.0, source, BEGIN + (at + decided) * MS)) for at, source, decided in executed
    ]
    found.executed = RecordedStream(commands)
    found.events = list(zip((BEGIN + at * MS for at in sorted(marks)), ["start", "stop"], strict=False))
    try:
        grid = control_grid(found, Contract())
    except EpisodeError:
        return
    assert len(grid) >= 2
    assert set(np.diff(grid)) == {PERIOD}
