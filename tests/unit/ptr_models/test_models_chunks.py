# SPDX-License-Identifier: Apache-2.0
"""Chunks of actions become one action a step: when they are asked for, what is dropped, averaged and chosen."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.episodes.actions import scale
from ptr_models.inference.chunks import ChunkedPolicy, ChunkOptions

CONTRACT = Contract()
IMAGE, TASK = np.zeros(CONTRACT.image_shape, np.uint8), "put_corn_in_pot"


class Counting:
    """Predicts, as dx in 0.1 mm, 100 times the number of the prediction plus the step that it is for."""

    contract = CONTRACT

    def __init__(self, horizon: int = 7) -> None:
        self.horizon, self.steps, self.closed, self.resets = horizon, [], False, 0
        self.go = threading.Event()
        self.go.set()

    def predict(self, image: np.ndarray, state: np.ndarray, task: str) -> np.ndarray:
        assert self.go.wait(20.0)
        number, step = len(self.steps), int(state[0])
        self.steps.append(step)
        actions = np.zeros((self.horizon, 7), np.float32)
        actions[:, 0] = (100 * number + step + np.arange(self.horizon)) * 1e-4
        return actions

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


def act(policy: ChunkedPolicy, step: int, choice: str = "") -> float:
    """dx in 0.1 mm of one step, which the state says the number of."""
    state = np.zeros(len(CONTRACT.state), np.float32)
    state[0] = step
    return round(float(policy.act(IMAGE, state, TASK, choice).action[0]) * 1e4, 2)


def test_each_chunk_is_carried_out_as_far_as_asked_and_then_the_next_is_predicted() -> None:
    predictor = Counting()
    policy = ChunkedPolicy(predictor, ChunkOptions(execute=4))
    assert [act(policy, step) for step in range(9)] == [0, 1, 2, 3, 104, 105, 106, 107, 208]
    assert predictor.steps == [0, 4, 8]


def test_a_chunk_asked_for_ahead_loses_the_actions_whose_time_is_over() -> None:
    predictor = Counting()
    policy = ChunkedPolicy(predictor, ChunkOptions(execute=3, lead=2))
    assert [act(policy, step) for step in range(8)] == [0, 1, 2, 103, 104, 105, 206, 207]
    policy.reset()  # waits for the last prediction
    assert predictor.steps == [0, 1, 4, 7]


def test_no_step_waits_for_a_chunk_before_it_is_needed() -> None:
    predictor = Counting()
    policy = ChunkedPolicy(predictor, ChunkOptions(execute=4, lead=3))
    assert act(policy, 0) == 0
    predictor.go.clear()  # the next prediction takes its time
    assert [act(policy, step) for step in (1, 2, 3)] == [1, 2, 3]
    predictor.go.set()
    assert act(policy, 4) == 104


def test_overlapping_chunks_are_averaged_with_the_weights_of_act() -> None:
    policy = ChunkedPolicy(Counting(horizon=3), ChunkOptions(execute=1, ensemble=0.5))
    found = [act(policy, step) for step in range(3)]
    second, third = math.exp(-0.5), math.exp(-1.0)
    assert found[1] == pytest.approx((1 + 101 * second) / (1 + second), abs=2e-2)
    assert found[2] == pytest.approx((2 + 102 * second + 202 * third) / (1 + second + third), abs=2e-2)


class Critic:
    """Values an action by how near its dx is to 20 mm."""

    def values(self, images: np.ndarray, states: np.ndarray, actions: np.ndarray, task: str) -> np.ndarray:
        wanted = np.zeros(7)
        wanted[0] = 0.02
        value = -np.abs(actions[..., 0] - scale(wanted, CONTRACT)[0])
        return np.stack([value, value - 0.5])


def test_a_critic_chooses_among_chunks_and_values_what_is_carried_out() -> None:
    options = ChunkOptions(execute=2, candidates=3)
    decided = ChunkedPolicy(Counting(), options, Critic()).act(IMAGE, np.zeros(7, np.float32), TASK)
    assert decided.action[0] == pytest.approx(0.02)
    assert (decided.q, decided.q_spread) == (pytest.approx(-0.5, abs=1e-6), pytest.approx(0.5))
    assert act(ChunkedPolicy(Counting(), options, Critic()), 0, "mode") == 0


def test_a_new_episode_begins_without_what_was_predicted_before() -> None:
    predictor = Counting()
    policy = ChunkedPolicy(predictor, ChunkOptions(execute=3, lead=2))
    act(policy, 0)
    act(policy, 1)  # asks for the next chunk
    policy.reset()
    assert act(policy, 0) == 200 and predictor.resets == 1
    policy.close()
    assert predictor.closed


@pytest.mark.parametrize(
    ("horizon", "options", "sentence"),
    [
        (3, ChunkOptions(execute=4), "predicts 3 steps; execute 4 and lead 0 need 4"),
        (4, ChunkOptions(execute=3, lead=2), "predicts 4 steps; execute 3 and lead 2 need 5"),
    ],
)
def test_a_chunk_that_is_too_short_is_an_error_at_once(horizon: int, options: ChunkOptions, sentence: str) -> None:
    with pytest.raises(PtrError, match=sentence):
        act(ChunkedPolicy(Counting(horizon), options), 0)


@pytest.mark.parametrize("actions", [np.zeros((4, 6)), np.zeros(7), np.zeros((0, 7)), np.full((4, 7), np.nan)])
def test_malformed_actions_are_an_error(actions: np.ndarray) -> None:
    predictor = Counting()
    predictor.predict = lambda *_: actions.astype(np.float32)
    with pytest.raises(PtrError, match="the policy's actions"):
        act(ChunkedPolicy(predictor, ChunkOptions(execute=1)), 0)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"execute": 0}, "execute is 0"),
        ({"execute": 4, "lead": 4}, "lead is 4; it must be from 0 to 3"),
        ({"ensemble": -1.0}, "ensemble is -1.0"),
        ({"candidates": 0}, "candidates 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(values: dict[str, float], sentence: str) -> None:
    with pytest.raises(PtrError, match=sentence):
        ChunkOptions(**values)


def test_choices_need_what_they_use() -> None:
    with pytest.raises(PtrError, match="need a critic"):
        ChunkedPolicy(Counting(), ChunkOptions(candidates=2))
    with pytest.raises(PtrError, match="needs a critic"):
        act(ChunkedPolicy(Counting(), ChunkOptions()), 0, "argmax_q")
    with pytest.raises(PtrError, match="no choice 'sample'"):
        act(ChunkedPolicy(Counting(), ChunkOptions()), 0, "sample")
