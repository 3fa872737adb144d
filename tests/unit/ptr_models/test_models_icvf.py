# SPDX-License-Identifier: Apache-2.0
"""Values of videos: the loss by hand, the values of chains of states, and what a batch is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from ptr_models.algorithms import AlgorithmConfig, make_algorithm
from ptr_models.algorithms.icvf import advantage, expectile_loss, td_target
from ptr_models.algorithms.method_configs import IcvfConfig
from ptr_models.algorithms.sequences import IntentTensors
from ptr_models.contract import Contract
from ptr_models.networks import NetworkConfig
from ptr_models.networks.method_configs import MultilinearValueConfig
from ptr_models.networks.multilinear_value import MultilinearMember, MultilinearValue
from ptr_models.replay import Dataset, open_episodes
from ptr_models.replay.intents import Intents, IntentSampler

NETWORKS = NetworkConfig(
    encoder="tiny", image_size=16, latent=16, hidden=(8,), multilinear_value=MultilinearValueConfig(hidden=(32, 32))
)


# --------------------------------------------------------------------------- the loss
def test_the_loss_of_two_states_by_hand() -> None:
    """Two members, discount 0.9, expectile 0.9; the first state has reached neither, the second its outcome.

    First: target -1 + 0.9 * (-2, -3) = (-2.8, -3.7); advantage -1 + 0.9 * min(-4, -6) - mean(-6, -7) = 0.1, weight 0.9.
    Second: target 0; its intent is not reached: advantage -1 + 0.9 * min(-1, -2) - mean(-2, -2) = -0.8, weight 0.1.
    Errors (-2.8 + 3, -3.7 + 3) = (0.2, -0.7), and (0 + 1, 0 + 2).
    Loss: (0.9 * 0.04 + 0.1 * 1) / 2 + (0.9 * 0.49 + 0.1 * 4) / 2 = 0.068 + 0.4205.
    """
    target = td_target(torch.tensor([1.0, 0.0]), torch.tensor([[-2.0, -5.0], [-3.0, -5.0]]), 0.9)
    np.testing.assert_allclose(target, [[-2.8, 0.0], [-3.7, 0.0]], atol=1e-6)
    following, now = torch.tensor([[-4.0, -1.0], [-6.0, -2.0]]), torch.tensor([[-6.0, -2.0], [-7.0, -2.0]])
    gain = advantage(torch.ones(2), following, now, 0.9)
    np.testing.assert_allclose(gain, [0.1, -0.8], atol=1e-6)
    loss = expectile_loss(target - torch.tensor([[-3.0, -1.0], [-3.0, -2.0]]), gain, 0.9)
    assert loss.item() == pytest.approx(0.068 + 0.4205, abs=1e-6)


def test_the_update_computes_the_loss_of_an_independent_reading_of_the_paper() -> None:
    """Everything in numpy but the networks themselves: rewards, targets, advantages, expectiles."""
    torch.manual_seed(0)
    algorithm = make_algorithm(AlgorithmConfig(name="icvf", next_algorithm="ptr"), NETWORKS, tasks=1)
    for value in algorithm.target_value.parameters():  # another network than the online one, with values worth a look
        value.mul_(1.5).add_(0.1)
    batch = random_batch(6)

    def values(encoder: torch.nn.Module, value: torch.nn.Module, *images: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return value(*(encoder(image) for image in images)).numpy().astype(np.float64)

    online, slow = (algorithm.actor.encoder, algorithm.value), (algorithm.target_encoder, algorithm.target_value)
    s, ahead, outcome, intent = batch.image, batch.next_image, batch.outcome, batch.intent
    not_there, not_done = batch.outcome_mask.numpy(), batch.intent_mask.numpy()
    error = -not_there + 0.99 * not_there * values(*slow, ahead, outcome, intent)
    error -= values(*online, s, outcome, intent)
    gain = -not_done + 0.99 * not_done * values(*slow, ahead, intent, intent).min(0)
    gain -= values(*slow, s, intent, intent).mean(0)
    wanted = (np.where(gain < 0, 0.1, 0.9) * error**2).mean(axis=1).sum()
    metrics = algorithm.update(batch, 0)
    assert float(metrics["value_loss"]) == pytest.approx(wanted, rel=1e-4)
    assert float(metrics["advantage"]) == pytest.approx(gain.mean(), rel=1e-4)
    assert float(metrics["td_error"]) == pytest.approx((error**2).mean(), rel=1e-4)


def random_batch(size: int) -> IntentTensors:
    images = torch.randint(0, 256, (4, size, 16, 16, 3), dtype=torch.uint8)
    masks = torch.ones(2, size)
    masks[0, 0] = masks[1, 1] = 0.0
    return IntentTensors(*images, *masks)


def test_the_value_is_multilinear_in_its_three_features() -> None:
    """phi(s)^T T(z) psi(s+) with T(z) = diag(t) A^T B diag(t), from the layers one by one."""
    torch.manual_seed(0)
    member = MultilinearMember(3, (5, 4)).double()
    state, outcome, intent = torch.randn(3, 7, 3, dtype=torch.float64)
    for layer in (member.left, member.right):
        assert not layer.bias.any()
    phi, psi = member.phi(state), member.psi(outcome)
    scale = member.intent(member.psi(intent))
    matrix = torch.einsum("bi,ji,jk,bk->bik", scale, member.left.weight, member.right.weight, scale)
    torch.testing.assert_close(member(state, outcome, intent), torch.einsum("bi,bik,bk->b", phi, matrix, psi))


def test_a_step_trains_encoder_and_values_and_their_copies_follow_slowly() -> None:
    torch.manual_seed(0)
    algorithm = make_algorithm(AlgorithmConfig(name="icvf", next_algorithm="ptr", tau=0.25), NETWORKS, tasks=1)
    before = {name: value.clone() for name, value in algorithm.actor.named_parameters()}
    slow = [value.clone() for value in algorithm.target_value.parameters()]
    algorithm.update(random_batch(4), 0)
    changed = {name for name, value in algorithm.actor.named_parameters() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("encoder.") for name in changed)
    assert {"encoder.dense.weight", "encoder.pooling.kernel"} <= changed  # not the backbone alone
    for old, now, online in zip(slow, algorithm.target_value.parameters(), algorithm.value.parameters(), strict=True):
        torch.testing.assert_close(now, 0.75 * old + 0.25 * online)
    for value, online in zip(algorithm.target_encoder.parameters(), algorithm.actor.encoder.parameters(), strict=True):
        assert not value.requires_grad and value.shape == online.shape


# --------------------------------------------------------------------------- chains of states
DISCOUNT = 0.9


def learned(steps: Sequence[tuple[int, int]], states: int, expectile: float, rounds: int = 2000) -> torch.Tensor:
    """The table V(s, s+, z) that full sweeps over some steps (s, s') lead to, for all outcomes and intents."""
    now, following = torch.tensor(steps).T
    outcome, intent = torch.meshgrid(torch.arange(states), torch.arange(states), indexing="ij")
    outcome, intent = outcome.flatten(), intent.flatten()
    s, ahead = now.repeat_interleave(len(outcome)), following.repeat_interleave(len(outcome))
    plus, z = outcome.repeat(len(now)), intent.repeat(len(now))
    table = torch.zeros(1, states, states, states, requires_grad=True)
    for _ in range(rounds):
        slow = table.detach()
        target = td_target((s != plus).float(), slow[:, ahead, plus, z], DISCOUNT)
        gain = advantage((s != z).float(), slow[:, ahead, z, z], slow[:, s, z, z], DISCOUNT)
        loss = expectile_loss(target - table[:, s, plus, z], gain, expectile) * len(s)
        (gradient,) = torch.autograd.grad(loss, table)
        with torch.no_grad():
            table -= 0.4 * gradient
    return table.detach()[0]


def test_values_of_a_chain_are_the_discounted_steps_to_the_outcome() -> None:
    """0 -> 1 -> 2 -> 3 -> 4 -> 4: V(s, g, g) = -(1 - gamma^(g - s)) / (1 - gamma), and -10 where g lies behind."""
    values = learned([(0, 1), (1, 2), (2, 3), (3, 4), (4, 4)], 5, 0.9)
    for s in range(5):
        for goal in range(5):
            wanted = -(1 - DISCOUNT ** (goal - s)) / (1 - DISCOUNT) if goal >= s else -1 / (1 - DISCOUNT)
            assert values[s, goal, goal].item() == pytest.approx(wanted, abs=1e-3)


def test_where_ways_part_the_step_that_serves_the_intent_counts_more() -> None:
    """0 -> 1 and 0 -> 2, both ends; for the outcome 1 the returns are -1 and -10.

    With the intent 1 the first step has the weight 0.9: V = -0.9 - 1.0 = -1.9. With the intent 2 it has 0.1, so that V
    for the same outcome is -0.1 - 9.0 = -9.1: outcome and intent are told apart. With tau = 0.5 it is the mean, -5.5.
    """
    steps = [(0, 1), (0, 2), (1, 1), (2, 2)]
    values = learned(steps, 3, 0.9)
    assert values[0, 1, 1].item() == pytest.approx(-1.9, abs=1e-3)
    assert values[0, 1, 2].item() == pytest.approx(-9.1, abs=1e-3)
    assert learned(steps, 3, 0.5)[0, 1, 1].item() == pytest.approx(-5.5, abs=1e-3)


def test_the_multilinear_values_of_a_chain_come_out_right() -> None:
    """The same chain of four states, with one-hot embeddings and the ensemble instead of a table."""
    torch.manual_seed(0)
    states = 4
    eye = torch.eye(states)
    value = MultilinearValue(MultilinearValueConfig(hidden=(64, 64)), states)
    slow = MultilinearValue(MultilinearValueConfig(hidden=(64, 64)), states)
    slow.load_state_dict(value.state_dict())
    s, goal = (part.flatten() for part in torch.meshgrid(torch.arange(states), torch.arange(states), indexing="ij"))
    ahead, mask = (s + 1).clamp_max(states - 1), (s != goal).float()
    optimizer = torch.optim.Adam(value.parameters(), lr=3e-3)
    for step in range(600):
        with torch.no_grad():
            target = td_target(mask, slow(eye[ahead], eye[goal], eye[goal]), DISCOUNT)
            gain = advantage(mask, slow(eye[ahead], eye[goal], eye[goal]), slow(eye[s], eye[goal], eye[goal]), DISCOUNT)
        loss = expectile_loss(target - value(eye[s], eye[goal], eye[goal]), gain, 0.9)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 10 == 0:
            slow.load_state_dict(value.state_dict())
    found = value(eye[s], eye[goal], eye[goal]).mean(dim=0).detach().numpy()
    distance = (goal - s).numpy()
    wanted = np.where(distance >= 0, -(1 - DISCOUNT ** np.maximum(distance, 0)) / (1 - DISCOUNT), -10.0)
    assert np.abs(found - wanted).max() < 0.3


def test_values_of_a_moving_square_rise_towards_the_end_of_its_video() -> None:
    """From pixels, through the encoder: V(s, g, g) of the last frame g rises along twelve frames, and ends near 0."""
    torch.manual_seed(0)
    options = IcvfConfig(discount=0.8, lr=2e-3, epsilon=1e-8)
    algorithm = make_algorithm(
        AlgorithmConfig(name="icvf", next_algorithm="ptr", tau=0.1, icvf=options), NETWORKS, tasks=1
    )
    video = torch.zeros(12, 16, 16, 3, dtype=torch.uint8)
    for time, frame in enumerate(video):
        frame[6:10, time : time + 5] = 255
    generator = torch.Generator().manual_seed(1)
    for step in range(200):
        s = torch.randint(12, (24,), generator=generator)
        following = (s + 1).clamp_max(11)  # the last frame stays
        ahead = (s + torch.randint(12, (2, 24), generator=generator)).clamp_max(11)  # the state itself, too
        masks = (ahead != s).float()
        algorithm.update(IntentTensors(video[s], video[following], video[ahead[0]], video[ahead[1]], *masks), step)
    with torch.no_grad():
        embedding = algorithm.actor.encoder(video)
        goal = embedding[-1:].expand_as(embedding)
        along = algorithm.value(embedding, goal, goal).mean(dim=0).numpy()
    assert np.corrcoef(along, np.arange(12))[0, 1] > 0.8  # 0.93 to 0.98 with three seeds, errors of 0.6 to 0.8
    wanted = -(1 - 0.8 ** np.arange(11, -1, -1)) / 0.2
    assert np.abs(along - wanted).max() < 1.0


# --------------------------------------------------------------------------- batches
@pytest.fixture
def dataset(make_episode: Callable[..., Path], tmp_path: Path) -> Dataset:
    """Two videos of 13 and 8 frames."""
    make_episode(0, steps=12)
    make_episode(1, steps=7, outcome="failure")
    return open_episodes([tmp_path / "bags"], Contract(), root=tmp_path / "cache")


def rows_of(images: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Which frame of the data set each image is; those of the tests differ."""
    known = {frame.tobytes(): row for row, frame in enumerate(dataset.frames[:])}
    return np.array([known[image.tobytes()] for image in images])


def test_outcomes_and_intents_have_the_shares_that_were_asked_for(dataset: Dataset) -> None:
    batch = IntentSampler(dataset, 0, future=0.5, current=0.2, same=0.5).sample(6000)
    now, ahead = rows_of(batch.image, dataset), rows_of(batch.next_image, dataset)
    assert (ahead == now + 1).all()
    last = np.where(now < dataset.starts.max(), *sorted(dataset.starts + dataset.lengths))
    frames = len(dataset.frames)
    for images, mask in ((batch.outcome, batch.outcome_mask), (batch.intent, batch.intent_mask)):
        goal = rows_of(images, dataset)
        assert ((goal == now) == (mask == 0)).all()
        is_later = (goal > now) & (goal <= last)
        assert np.mean(goal == now) == pytest.approx(0.2 + 0.3 / frames, abs=0.02)
        assert np.mean(is_later) == pytest.approx(0.5 + 0.3 * np.mean(last - now) / frames, abs=0.02)
    same = np.mean(rows_of(batch.outcome, dataset) == rows_of(batch.intent, dataset))
    assert 0.5 < same < 0.65  # the others agree by chance: 0.2^2 that are the state, and a few frames
    steps = np.bincount(now, minlength=frames)
    ends = (dataset.starts + dataset.lengths).tolist()
    assert not steps[ends].any() and np.delete(steps, ends).min() > 200  # 6000 / 19 = 316 each


def test_any_frame_of_any_video_can_be_a_random_goal_and_future_ones_are_ahead(dataset: Dataset) -> None:
    anywhere = IntentSampler(dataset, 0, future=0.0, current=0.0, same=0.0).sample(2000)
    assert len(np.unique(rows_of(anywhere.outcome, dataset))) == len(dataset.frames)
    ahead = IntentSampler(dataset, 0, future=1.0, current=0.0, same=1.0).sample(200)
    assert (rows_of(ahead.outcome, dataset) > rows_of(ahead.image, dataset)).all()
    assert ahead.outcome_mask.all() and np.array_equal(ahead.outcome, ahead.intent)


def test_draws_go_on_from_their_state_and_parts_of_a_batch_are_those_of_the_whole(dataset: Dataset) -> None:
    def sampler() -> IntentSampler:
        return IntentSampler(dataset, 3, future=0.5, current=0.2, same=0.5)

    one, two = sampler(), sampler()
    one.sample(5)
    state = one.state_dict()
    whole = one.sample(6)
    two.load_state_dict(state)
    part = two.sample(6, slice(2, 4))
    assert np.array_equal(part.intent, whole.intent[2:4]) and np.array_equal(part.outcome_mask, whole.outcome_mask[2:4])
    both = Intents.concatenate(part, whole)
    assert len(both) == 8 and np.array_equal(both.next_image[2:], whole.next_image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"random_goal": 0.5},
            "random_goal, future_goal and current_goal are 0.5, 0.5, 0.2; their sum must be 1",
        ),
        ({"expectile": 1.0}, "discount is 0.99 and expectile 1.0; they must be in"),
        ({"lr": 0.0}, "lr is 0.0 and epsilon"),
        ({"same_goal": 1.5}, "same_goal is 1.5"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IcvfConfig(**options)


def test_the_defaults_are_those_of_the_authors() -> None:
    """icvf_release: src/icvf_learner.py get_default_config, src/gc_dataset.py GCSDataset, src/icvf_networks.py."""
    published = IcvfConfig(
        discount=0.99, expectile=0.9, lr=5e-5, epsilon=3.125e-4,
        random_goal=0.3, future_goal=0.5, current_goal=0.2, same_goal=0.5,
    )  # fmt: skip
    assert IcvfConfig() == published and AlgorithmConfig().tau == 0.005
    assert MultilinearValueConfig() == MultilinearValueConfig(hidden=(256, 256), members=2)
