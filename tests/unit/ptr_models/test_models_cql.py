# SPDX-License-Identifier: Apache-2.0
"""The losses of PTR and the order of its update, with figures worked out by hand from the formulas."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ptr_models.algorithms import AlgorithmConfig, BehaviorCloning, CQLAgent, Transitions, make_algorithm
from ptr_models.algorithms.cql import (
    actor_loss,
    bellman_target,
    conservative_gap,
    critic_loss,
    imitation_loss,
    polyak_update,
    temperature_loss,
)
from ptr_models.networks import NetworkConfig, TanhGaussian

NETWORKS = NetworkConfig(encoder="tiny", image_size=16, latent=32, hidden=(32, 32, 32))
TASKS = 6
Q_POLICY = torch.tensor([[[1.0, 0.5, -0.2, 0.3]]])
LOG_PI = torch.tensor([[2.0, 1.0, -0.5, 0.7]])
Q_UNIFORM = torch.tensor([[[-1.0, 0.0, 0.4, -2.0]]])
Q_DATA = torch.tensor([[0.8]])


def transitions(batch: int = 8, seed: int = 0, task: int | None = None) -> Transitions:
    rng = np.random.default_rng(seed)
    tasks = rng.integers(0, 3, batch) if task is None else np.full(batch, task)
    return Transitions(
        image=torch.from_numpy(rng.integers(0, 256, (batch, 16, 16, 3), dtype=np.uint8)),
        next_image=torch.from_numpy(rng.integers(0, 256, (batch, 16, 16, 3), dtype=np.uint8)),
        state=torch.from_numpy(rng.normal(size=(batch, 7)).astype(np.float32)),
        next_state=torch.from_numpy(rng.normal(size=(batch, 7)).astype(np.float32)),
        action=torch.from_numpy(rng.uniform(-0.99, 0.99, (batch, 7)).astype(np.float32)),
        reward=torch.from_numpy(rng.choice([-1.0, 10.0], batch).astype(np.float32)),
        mask=torch.from_numpy(rng.choice([0.0, 1.0], batch).astype(np.float32)),
        mc_return=torch.full((batch,), -5.0),
        task=nn.functional.one_hot(torch.from_numpy(tasks), TASKS).float(),
    )


def make(seed: int = 0, **options: object) -> CQLAgent:
    torch.manual_seed(seed)
    return CQLAgent(AlgorithmConfig(**options), NETWORKS, TASKS)


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


# ----------------------------------------------------------------------------- Bellman target
def test_target_takes_the_smaller_critic_first_then_the_best_action() -> None:
    q = torch.tensor([[1.0, 4, 2, 0], [3, 2, 1.5, 5]]).unsqueeze(1)
    y = bellman_target(torch.tensor([-1.0]), torch.tensor([1.0]), q, 0.96)
    torch.testing.assert_close(y, torch.tensor([0.92]))


def test_a_terminal_row_ignores_what_comes_next() -> None:
    q = torch.tensor([[[1.0, 4, 2, 0], [1e6, -1e6, 1e9, 0]], [[3, 2, 1.5, 5], [1e6, 0, 1e9, 1e7]]])
    y = bellman_target(torch.tensor([-1.0, 10.0]), torch.tensor([1.0, 0.0]), q, 0.96)
    torch.testing.assert_close(y, torch.tensor([0.92, 10.0]))


def test_the_target_carries_no_gradient() -> None:
    q = torch.rand(2, 3, 4, requires_grad=True)
    assert not bellman_target(torch.zeros(3), torch.ones(3), q, 0.96).requires_grad


@settings(deadline=None)
@given(
    q=st.lists(st.floats(-25, 10), min_size=8, max_size=8),
    reward=st.sampled_from([-1.0, 10.0]),
    mask=st.booleans(),
)
def test_targets_stay_in_the_range_of_returns(q: list[float], reward: float, mask: bool) -> None:
    mask = mask and reward < 0  # a rewarded step is terminal
    y = bellman_target(torch.tensor([reward]), torch.tensor([float(mask)]), torch.tensor(q).reshape(2, 1, 4), 0.96)
    assert -25.0 - 1e-4 <= y.item() <= 10.0 + 1e-4


# ----------------------------------------------------------------------------- conservative term
def test_importance_weighted_log_sum_exp() -> None:
    gap = conservative_gap(Q_DATA, Q_POLICY, LOG_PI, Q_UNIFORM, 7)
    assert gap.item() == pytest.approx(5.156769, abs=1e-5)
    assert (gap + Q_DATA).item() == pytest.approx(5.956769, abs=1e-5)
    assert 10 * gap.item() == pytest.approx(51.567686, abs=1e-4)


def test_importance_weights_shift_the_push_to_actions_that_the_policy_seldom_takes() -> None:
    pushed = [values.clone().requires_grad_() for values in (Q_POLICY, Q_UNIFORM)]
    conservative_gap(Q_DATA, pushed[0], LOG_PI, pushed[1], 7).sum().backward()
    policy, uniform = (values.grad.sum().item() for values in pushed)  # masses of the softmax under the log-sum-exp
    assert (policy, uniform) == pytest.approx((0.00775, 0.99225), abs=1e-5)


def test_calibrated_bound_raises_policy_values_to_the_return() -> None:
    bounded = torch.maximum(Q_POLICY, torch.tensor([0.4])[:, None])
    gap = conservative_gap(Q_DATA, bounded, LOG_PI, Q_UNIFORM, 7)
    assert (gap + Q_DATA).item() == pytest.approx(5.959819, abs=1e-5)


@pytest.mark.parametrize(("log_pi", "expected"), [(1e4, 6.238325), (0.0, 6.246107), (7 * math.log(0.5), 6.931472)])
def test_gap_of_a_constant_value_function(log_pi: float, expected: float) -> None:
    q = torch.full((2, 3, 4), 3.7)
    gap = conservative_gap(q[..., 0], q, torch.full((3, 4), log_pi), q, 7)
    torch.testing.assert_close(gap, torch.full((2, 3), expected), atol=1e-5, rtol=0)


@settings(deadline=None)
@given(constant=st.floats(-20, 20))
def test_gap_does_not_feel_a_constant(constant: float) -> None:
    gap = conservative_gap(Q_DATA + constant, Q_POLICY + constant, LOG_PI, Q_UNIFORM + constant, 7)
    assert gap.item() == pytest.approx(5.156769, abs=1e-4)


def test_critic_loss_is_the_mean_bellman_error_plus_alpha_times_the_mean_gap() -> None:
    alpha, batch = 10.0, 2
    q = torch.tensor([[0.8, -1.0], [0.3, 2.0]], requires_grad=True)
    policy, uniform = torch.randn(2, 2, 4, requires_grad=True), torch.randn(2, 2, 4, requires_grad=True)
    log_pi, target = torch.randn(2, 4), torch.tensor([0.92, 10.0])
    gap = conservative_gap(q, policy, log_pi, uniform, 7)
    loss, error, mean_gap = critic_loss(q, target, gap, alpha)
    expected = sum(((q[k, b] - target[b]) ** 2 + alpha * gap[k, b]) / (2 * batch) for k in range(2) for b in range(2))
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(loss, error + alpha * mean_gap)
    on_data, on_policy, on_uniform = torch.autograd.grad(loss, (q, policy, uniform))
    torch.testing.assert_close(on_data, (2 * (q.detach() - target) - alpha) / (2 * batch))
    assert (on_policy.sum() + on_uniform.sum()).item() == pytest.approx(alpha, abs=1e-4)


def test_an_action_without_rivals_settles_half_alpha_above_its_target() -> None:
    q, target, alpha = torch.zeros(1, 1, requires_grad=True), torch.tensor([2.0]), 10.0
    optimizer = torch.optim.SGD([q], lr=0.1)
    for _ in range(200):
        gap = torch.tensor([[3.0]]) - q  # the sampled actions do not touch this entry
        optimizer.zero_grad()
        critic_loss(q, target, gap, alpha)[0].backward()
        optimizer.step()
    assert q.item() == pytest.approx(7.0, abs=1e-3)


# ----------------------------------------------------------------------------- actor, temperature, targets
def test_actor_loss_takes_the_smaller_critic() -> None:
    q, log_pi = torch.tensor([[[1.0], [3.0]], [[2.0], [-4.0]]]), torch.tensor([[2.0], [-1.0]])
    assert actor_loss(q, log_pi, torch.tensor(0.5)).item() == pytest.approx(0.25 - (1.0 - 4.0) / 2.0)
    assert actor_loss(q, log_pi, torch.tensor(0.5), q_weight=3.0).item() == pytest.approx(0.25 + 4.5)


def test_imitation_losses_of_the_mode_and_of_the_density() -> None:
    policy = TanhGaussian(torch.tensor([[0.0, -1.0]]), torch.tensor([[-0.5, 0.2]]))
    action = torch.tanh(torch.tensor([[0.3, -1.2]]))
    assert imitation_loss(policy, action, "likelihood").item() == pytest.approx(0.397547, abs=1e-5)
    squared = (0.0 - 0.291313) ** 2 + (math.tanh(-1.0) + 0.833655) ** 2
    assert imitation_loss(policy, action, "squared").item() == pytest.approx(squared, abs=1e-5)


@pytest.mark.parametrize("kind", ["squared", "likelihood"])
def test_a_state_is_imitated_in_proportion_to_its_weight(kind: str) -> None:
    policy = TanhGaussian(torch.tensor([[0.0, -1.0]] * 2), torch.tensor([[-0.5, 0.2]] * 2))
    actions = torch.tensor([[0.9, 0.9], [0.1, -0.6]])
    second = imitation_loss(TanhGaussian(policy.mean[1:], policy.log_std[1:]), actions[1:], kind).item()
    weighted = imitation_loss(policy, actions, kind, torch.tensor([0.0, 3.0])).item()
    assert weighted == pytest.approx(3.0 * second / 2.0, rel=1e-5)


@pytest.mark.parametrize(("entropy", "slope"), [(-0.5, 3.25), (-9.0, -1.0)])
def test_temperature_falls_while_the_policy_is_too_random(entropy: float, slope: float) -> None:
    log_temperature = torch.tensor(math.log(0.5), requires_grad=True)
    temperature_loss(log_temperature, torch.tensor(entropy), -7.0).backward()
    assert log_temperature.grad is not None
    assert log_temperature.grad.item() == pytest.approx(slope)


def test_polyak_average() -> None:
    target, online = nn.Linear(3, 2), nn.Linear(3, 2)
    for module, value in ((target, 1.0), (online, 2.0)):
        for parameter in module.parameters():
            nn.init.constant_(parameter, value)
    polyak_update(target, online, 0.005)
    for parameter in target.parameters():
        torch.testing.assert_close(parameter.data, torch.full_like(parameter, 1.005))


# ----------------------------------------------------------------------------- the update
def test_targets_start_as_copies_and_networks_differ() -> None:
    algorithm = make()
    assert same(weights(algorithm.critic), weights(algorithm.target_critic))
    assert not same(weights(algorithm.critic.encoder), weights(algorithm.actor.encoder))


def test_targets_move_by_the_polyak_fraction_in_encoder_and_heads() -> None:
    algorithm = make()
    before = weights(algorithm.target_critic)
    algorithm.update(transitions(), 0)
    online, after = weights(algorithm.critic), weights(algorithm.target_critic)
    for name, old in before.items():
        torch.testing.assert_close(after[name], 0.995 * old + 0.005 * online[name], atol=1e-7, rtol=1e-5)


def test_critic_step_leaves_the_actor_alone() -> None:
    algorithm, batch = make(), transitions()
    before = weights(algorithm.actor)
    policy = algorithm.actor(batch.image, batch.state, batch.task)
    algorithm._update_critic(batch, policy)
    assert same(before, weights(algorithm.actor))
    assert all(parameter.grad is None for parameter in algorithm.actor.parameters())


def test_actor_step_leaves_critic_and_temperature_alone() -> None:
    algorithm, batch = make(), transitions()
    before = weights(algorithm.critic)
    policy = algorithm.actor(batch.image, batch.state, batch.task)
    algorithm._update_actor(batch, policy)
    assert same(before, weights(algorithm.critic))
    assert all(parameter.grad is None for parameter in algorithm.critic.parameters())
    assert all(parameter.requires_grad for parameter in algorithm.critic.parameters())
    assert algorithm.log_temperature.grad is None


@pytest.mark.parametrize("member", [0, 1])
def test_both_value_heads_teach_the_encoder(member: int) -> None:
    algorithm, batch = make(), transitions()
    embedding = algorithm.critic.encode(batch.image, batch.state)
    algorithm.critic.q(embedding, batch.task, batch.action.unsqueeze(1))[member].sum().backward()
    assert algorithm.critic.encoder.backbone.stem.weight.grad.abs().max() > 0


def test_the_actor_learns_from_the_critic_of_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm, batch = make(), transitions()
    calls: list[str] = []
    encode = algorithm.critic.encode
    step = algorithm.optimizers["critic"].step
    actor_step = algorithm.optimizers["actor"].step
    monkeypatch.setattr(algorithm.critic, "encode", lambda *a: (calls.append("encode"), encode(*a))[1])
    monkeypatch.setattr(algorithm.optimizers["critic"], "step", lambda: (calls.append("critic"), step())[1])
    monkeypatch.setattr(algorithm.optimizers["actor"], "step", lambda: (calls.append("actor"), actor_step())[1])
    algorithm.update(batch, 0)
    assert calls == ["encode", "critic", "encode", "actor"]


def test_each_image_is_encoded_once_per_network(monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm, batch = make(), transitions()
    counts: dict[str, int] = {}

    def counting(name: str, encoder: nn.Module) -> Iterator[None]:
        encoder.register_forward_hook(lambda *_: counts.__setitem__(name, counts.get(name, 0) + 1))
        yield

    for name, module in algorithm.modules.items():
        next(counting(name, module.encoder))
    algorithm.update(batch, 0)
    assert counts == {"actor": 2, "critic": 2, "target_critic": 1}  # s and s'; before and after its step; s'


def test_columns_of_unseen_tasks_stay_at_their_initial_values() -> None:
    algorithm = make()
    unseen = slice(3, TASKS)
    first = algorithm.critic.q_function.layers[0].weight
    columns = algorithm.actor.layers[0].weight
    before = first[:, unseen].detach().clone(), columns[:, -TASKS:][:, unseen].detach().clone()
    for step in range(5):
        algorithm.update(transitions(seed=step), step)
    assert torch.equal(before[0], first[:, unseen])
    assert torch.equal(before[1], columns[:, -TASKS:][:, unseen])
    assert not torch.equal(first[:, :3], make().critic.q_function.layers[0].weight[:, :3])


def test_equal_seeds_give_equal_losses() -> None:
    def losses() -> list[float]:
        algorithm = make(seed=5)
        return [float(algorithm.update(transitions(seed=step), step)["critic_loss"]) for step in range(3)]

    assert losses() == losses()


def test_one_adam_with_two_groups_equals_two_adams() -> None:
    algorithm, batch = make(), transitions()
    critic = copy.deepcopy(algorithm.critic)
    both = torch.optim.Adam(
        [{"params": critic.encoder.parameters()}, {"params": critic.q_function.parameters()}], lr=3e-4
    )
    for parameters in (algorithm.critic, critic):
        q = parameters.q(parameters.encode(batch.image, batch.state), batch.task, batch.action.unsqueeze(1))
        q.square().mean().backward()
    algorithm.optimizers["critic"].step()
    both.step()
    for name, value in weights(critic).items():
        torch.testing.assert_close(value, weights(algorithm.critic)[name], atol=1e-7, rtol=1e-6)


def test_warm_up_imitates_and_may_leave_the_critic_alone() -> None:
    algorithm = make(bc_steps=1, critic_in_bc_steps=False)
    critic, temperature = weights(algorithm.critic), algorithm.log_temperature.item()
    actor = weights(algorithm.actor)
    first = algorithm.update(transitions(), 0)
    assert "critic_loss" not in first and "entropy" not in first
    assert same(critic, weights(algorithm.critic)) and algorithm.log_temperature.item() == temperature
    assert not same(actor, weights(algorithm.actor))
    assert "critic_loss" in algorithm.update(transitions(), 1)


def test_targets_can_be_bounded_by_the_possible_returns() -> None:
    free, bounded = make(), make(target_bounds=(-2.0, 3.0))
    batch = transitions()
    assert free.update(batch, 0)["target"] != bounded.update(batch, 0)["target"]
    metrics = bounded.update(batch, 1)
    assert -2.0 <= metrics["target"] <= 3.0
    with pytest.raises(ValueError, match="target_bounds"):
        AlgorithmConfig(target_bounds=(3.0, -2.0))


def test_averaged_actor_follows_slowly() -> None:
    algorithm = make(ema_decay=0.9)
    start = weights(algorithm.actor)
    for step in range(3):
        algorithm.update(transitions(seed=step), step)
    average, online = weights(algorithm.ema_actor), weights(algorithm.actor)
    name = "mean.weight"
    assert not torch.equal(average[name], online[name]) and not torch.equal(average[name], start[name])


@pytest.mark.parametrize("options", [{"name": "bc"}, {"name": "ptr", "bc_weight": 10.0}, {"calibrated": True}])
def test_every_algorithm_reduces_the_error_of_its_actor_on_one_batch(options: dict) -> None:
    torch.manual_seed(0)
    algorithm = make_algorithm(AlgorithmConfig(**options, actor_lr=1e-3), NETWORKS, TASKS)
    batch = transitions()
    metrics = [algorithm.update(batch, step) for step in range(60)]
    assert all(math.isfinite(float(value)) for entry in metrics for value in entry.values())
    if "calibrated" not in options:
        assert metrics[-1]["actor_mse"] < 0.5 * metrics[0]["actor_mse"]


def test_imitation_has_no_critic() -> None:
    algorithm = make_algorithm(AlgorithmConfig(name="bc"), NETWORKS, TASKS)
    assert isinstance(algorithm, BehaviorCloning) and algorithm.critic is None
