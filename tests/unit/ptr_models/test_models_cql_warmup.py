# SPDX-License-Identifier: Apache-2.0
"""How PTR starts: the spread of the policy, a critic of returns, the entropy that the data allow; and its control."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from test_models_cql_flags import NETWORKS, TASKS, make, transitions, updated
from torch import Tensor

from ptr_models.algorithms import Algorithm, AlgorithmConfig, CQLAgent, Transitions, make_algorithm
from ptr_models.algorithms import bc as bc_module
from ptr_models.algorithms import cql as module
from ptr_models.algorithms.cql import actor_loss, bellman_target, conservative_gap, log_likelihood
from ptr_models.networks import NetworkConfig
from ptr_models.networks.distributions import Samples

STD = np.array([0.3, 0.2, 0.1, 0.05, 0.15, 0.25, 0.4], np.float32)
"""Of the data before they are squashed."""


def spread_data(batch: int, rng: np.random.Generator) -> Transitions:
    """The same state again and again, with actions of a known spread around 0.3."""
    data = transitions(batch)
    raw = math.atanh(0.3) + STD * rng.normal(size=(batch, 7)).astype(np.float32)
    data.action.copy_(torch.from_numpy(np.tanh(raw)))
    for name in ("image", "state", "task"):
        values = getattr(data, name)
        values.copy_(values[:1].expand_as(values))
    return data


def keep_first(seen: dict[str, object], actions: Tensor) -> None:
    seen.setdefault("actions", actions)  # a hook that returned it would replace the values


def weights(algorithm: Algorithm, name: str) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in algorithm.modules[name].state_dict().items()}


# ----------------------------------------------------------------------------- the spread of the policy
@pytest.mark.parametrize("name", ["ptr", "bc"])
def test_after_imitation_samples_are_spread_like_the_data(name: str) -> None:
    torch.manual_seed(0)
    config = AlgorithmConfig(name=name, bc_steps=10_000, critic_in_bc_steps=False, actor_lr=3e-3)
    algorithm, rng = make_algorithm(config, NETWORKS, TASKS), np.random.default_rng(0)
    for step in range(250):
        algorithm.update(spread_data(64, rng), step)
    data = spread_data(64, rng)
    with torch.no_grad():
        policy = algorithm.actor(data.image, data.state, data.task)
        drawn = policy.sample(4000)[0][0].numpy()
    np.testing.assert_allclose(policy.log_std.exp()[0], STD, rtol=0.2)
    np.testing.assert_allclose(drawn.std(axis=0), spread_data(4000, rng).action.numpy().std(axis=0), rtol=0.2)


def test_a_dimension_that_never_moves_stays_within_the_range_of_log_std() -> None:
    torch.manual_seed(0)
    algorithm = make_algorithm(AlgorithmConfig(name="bc", actor_lr=1e-2), NETWORKS, TASKS)
    rng = np.random.default_rng(0)
    for step in range(400):
        batch = spread_data(32, rng)
        batch.action[:, 3] = 0.0
        algorithm.update(batch, step)
    log_std = algorithm.actor(batch.image, batch.state, batch.task).log_std[:, 3]
    assert -5.0 < log_std.min() and log_std.max() < -3.0


def test_the_mode_learns_as_if_the_spread_were_not_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = []
    for fitted in (True, False):
        if not fitted:
            monkeypatch.setattr(bc_module, "spread_loss", lambda *_, **__: torch.zeros(()))
        torch.manual_seed(0)
        algorithm = make_algorithm(AlgorithmConfig(name="bc"), NETWORKS, TASKS)
        for step in range(3):
            algorithm.update(transitions(seed=step), step)
        learned.append(weights(algorithm, "actor"))
    different = {key for key, value in learned[0].items() if not torch.equal(value, learned[1][key])}
    assert different == {"log_std.weight", "log_std.bias"}


def test_a_weight_of_zero_leaves_the_spread_to_q_and_temperature() -> None:
    fitted, free = (updated(make(bc_weight=1.0, bc_std_weight=weight)) for weight in (1.0, 0.0))
    different = {key for key, value in fitted.items() if not torch.equal(value, free[key])}
    assert different == {"actor.log_std.weight", "actor.log_std.bias"}


# ----------------------------------------------------------------------------- a critic of returns
def test_the_critic_regresses_on_returns_before_temporal_differences() -> None:
    algorithm = make(critic_warmup_steps=2)
    slow = weights(algorithm, "target_critic")
    batch = transitions()
    batch.mc_return.copy_(torch.arange(6.0))
    for step in range(2):
        with torch.no_grad():
            q = algorithm.critic.q(algorithm.critic.encode(batch.image, batch.state), batch.task, batch.action[:, None])
        metrics = algorithm.update(batch, step)
        assert metrics["target"].item() == pytest.approx(2.5)
        expected = np.square(q[..., 0].numpy() - np.arange(6.0)).mean()
        assert metrics["bellman_error"].item() == pytest.approx(expected, rel=1e-4)
        assert metrics["critic_loss"].item() == pytest.approx(expected + 10.0 * metrics["cql_gap"].item(), rel=1e-4)
        assert all(torch.equal(value, slow[key]) for key, value in weights(algorithm, "target_critic").items())
    regressed = weights(algorithm, "critic")
    assert algorithm.update(batch, 2)["target"].item() != pytest.approx(2.5)
    for key, value in weights(algorithm, "target_critic").items():  # set to the critic, then one slow step
        torch.testing.assert_close(value, 0.995 * regressed[key] + 0.005 * weights(algorithm, "critic")[key])


def test_the_critic_learns_at_its_own_rate_once_temporal_differences_have_begun() -> None:
    """The first step of Adam is as long as the rate, in each parameter that has a gradient."""
    algorithm, batch = make(critic_warmup_steps=1, critic_lr=1e-2, critic_td_lr=1e-4), transitions()
    ways = []
    for step in range(2):
        before = weights(algorithm, "critic")
        if step == 1:
            algorithm.optimizers["critic"].state.clear()
        algorithm.update(batch, step)
        after = weights(algorithm, "critic")
        ways.append(max((after[key] - before[key]).abs().max().item() for key in before))
    assert ways == pytest.approx([1e-2, 1e-4], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "regresses", "imitates"),
    [
        ({"critic_warmup_steps": 2, "bc_steps": 4, "critic_in_bc_steps": False}, [2, 3], [0, 1, 2, 3]),
        ({"critic_warmup_steps": 2, "bc_steps": 4}, [0, 1], [0, 1, 2, 3]),
        ({"critic_warmup_steps": 3, "bc_steps": 1, "critic_in_bc_steps": False}, [0, 1, 2], [0]),
        ({"bc_steps": 2, "critic_in_bc_steps": False}, [], [0, 1]),
    ],
)
def test_when_critic_and_actor_do_what(options: dict, regresses: list[int], imitates: list[int]) -> None:
    algorithm, batch = make(**options), transitions()
    returns = batch.mc_return.mean().item()
    metrics = [algorithm.update(batch, step) for step in range(6)]
    learning = [step for step, entry in enumerate(metrics) if "critic_loss" in entry]
    assert [s for s in learning if metrics[s]["target"].item() == pytest.approx(returns, abs=1e-6)] == regresses
    assert [step for step, entry in enumerate(metrics) if "entropy" not in entry] == imitates
    last = max([*regresses, *imitates])
    assert learning[-(5 - last) :] == list(range(last + 1, 6))


def test_a_critic_of_returns_knows_which_of_its_states_are_worth_more() -> None:
    algorithm = make(critic_warmup_steps=1000, bc_steps=1000, cql_alpha=1.0, critic_lr=3e-3)
    batch = transitions()
    batch.mc_return.copy_(torch.tensor([-20.0, -10.0, -5.0, 0.0, 5.0, 10.0]))
    for step in range(150):
        algorithm.update(batch, step)
    with torch.no_grad():
        q = algorithm.critic.q(algorithm.critic.encode(batch.image, batch.state), batch.task, batch.action[:, None])
    assert np.corrcoef(q.min(dim=0).values[:, 0], batch.mc_return)[0, 1] > 0.95


# ----------------------------------------------------------------------------- the control
def test_the_control_holds_q_at_zero() -> None:
    q, log_pi = torch.tensor([[[1.0], [3.0]], [[2.0], [-1.0]]]), torch.tensor([[2.0], [-1.0]])
    assert actor_loss(q, log_pi, torch.tensor(0.5), "min", 0.0).item() == pytest.approx(0.25)  # T log pi alone
    assert actor_loss(q, log_pi, torch.tensor(0.5), "min", 2.0).item() == pytest.approx(0.25 - 0.0)
    plain, control = updated(make()), updated(make(actor_q_weight=0.0))
    different = {key.partition(".")[0] for key, value in plain.items() if not torch.equal(value, control[key])}
    assert different == {"actor"}  # the critic learns as ever


# ----------------------------------------------------------------------------- COG
def test_cog_imitates_with_the_entropy_term_and_tunes_the_temperature_from_the_first_update() -> None:
    """avisingh599/cog: alpha log pi(a|s) - log pi(a_data|s), alpha tuned all the time."""
    algorithm = make(bc_steps=5, bc_loss="likelihood", entropy_in_bc_steps=True, critic_in_bc_steps=False)
    batch = transitions()
    algorithm.log_temperature.data.fill_(math.log(0.5))
    before = copy.deepcopy(algorithm.actor)
    torch.manual_seed(3)
    metrics = algorithm.update(batch, 0)
    torch.manual_seed(3)
    noise = torch.randn(6, 1, 7)[:, 0]
    with torch.no_grad():
        policy = before(batch.image, batch.state, batch.task)
    normal = torch.distributions.Normal(policy.mean, policy.log_std.exp())

    def density(raw: Tensor) -> Tensor:
        return (normal.log_prob(raw) - torch.log1p(-raw.tanh().square())).sum(-1)

    entropy = -density(policy.mean + policy.log_std.exp() * noise).mean()
    expected = -0.5 * entropy - density(torch.atanh(batch.action)).mean()
    assert metrics["actor_loss"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert metrics["entropy"].item() == pytest.approx(entropy.item(), rel=1e-4)
    assert metrics["temperature"].item() < 0.5  # the entropy is above -7


# ----------------------------------------------------------------------------- the entropy that the data allow
def test_only_dimensions_that_vary_count_for_the_entropy() -> None:
    algorithm = make(target_entropy=-4.0, varying_dimensions=(0, 1, 2, 6))
    log_density = torch.arange(14.0).reshape(1, 2, 7)
    entropy = algorithm._entropy(Samples(torch.zeros(1, 2, 7), log_density))
    assert entropy.item() == pytest.approx(-((0 + 1 + 2 + 6) + (7 + 8 + 9 + 13)) / 2)
    assert make(target_entropy="auto").target_entropy == -7.0
    assert make(target_entropy="auto", varying_dimensions=(0, 1)).target_entropy == -2.0
    assert make({"gripper": "bernoulli"}, target_entropy="auto").target_entropy == -6.0
    with pytest.raises(ValueError, match="target_entropy is 'much'; it must be a number or auto"):
        AlgorithmConfig(target_entropy="much")


def test_uniform_actions_may_keep_the_data_where_it_never_varies(monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = make(varying_dimensions=(0, 1, 2, 6), cql_uniform_dimensions="varying")
    batch, seen = transitions(), {}
    gap = module.conservative_gap
    monkeypatch.setattr(module, "conservative_gap", lambda *a: seen.update(gap=a) or gap(*a))
    algorithm.critic.q_function.register_forward_hook(lambda _, inputs, __: keep_first(seen, inputs[2]))
    algorithm.update(batch, 0)
    uniform = seen["actions"][:, 5:]  # behind the data's and four of the policy's
    assert uniform.shape == (6, 4, 7)
    assert torch.equal(uniform[..., 3:6], batch.action[:, None, 3:6].expand(6, 4, 3))
    assert len(uniform[..., 0].unique()) == len(uniform[..., 6].unique()) == 24
    assert seen["gap"][4].tolist() == [4] * 4


@pytest.mark.parametrize("grippers", [1, 2])
def test_uniform_actions_by_parts_differ_in_everything_in_translation_or_in_rotation(
    monkeypatch: pytest.MonkeyPatch, grippers: int
) -> None:
    networks = {"gripper": "bernoulli"} if grippers == 2 else {}
    algorithm = make(networks, cql_n_actions=5, cql_uniform_dimensions="parts", varying_dimensions=(0, 1, 2, 5, 6))
    batch, seen = transitions(), {}
    gap = module.conservative_gap
    monkeypatch.setattr(module, "conservative_gap", lambda *a: seen.update(gap=a) or gap(*a))
    algorithm.critic.q_function.register_forward_hook(lambda _, inputs, __: keep_first(seen, inputs[2]))
    algorithm.update(batch, 0)
    uniform = seen["actions"][:, 1 + 5 * grippers :][:, ::grippers]
    kept = uniform == batch.action[:, None]
    everything, translation, rotation = 7 - (grippers == 2), 3, 1  # of the rotation only yaw varies
    assert seen["gap"][4].tolist() == [
        count for count in (everything, translation, rotation, everything, translation) for _ in range(grippers)
    ]
    assert not kept[:, [0, 3]][..., :6].any()
    assert not kept[:, [1, 4]][..., :3].any() and kept[:, [1, 4]][..., 3:6].all()
    assert not kept[:, 2, 5].any() and kept[:, 2, :5].all()
    if grippers == 2:
        assert seen["actions"][:, 1 + 5 * grippers :, 6].unique().tolist() == pytest.approx([-0.99, 0.99])


def test_the_critic_takes_over_the_encoder_of_the_actor_when_it_starts() -> None:
    settings = {"bc_steps": 4, "critic_in_bc_steps": False, "critic_warmup_steps": 1, "critic_lr": 0.0}
    algorithm = make(critic_encoder="actor", **settings)
    start = weights(algorithm, "critic")
    for step in range(3):
        algorithm.update(transitions(), step)
    assert all(torch.equal(start[key], value) for key, value in weights(algorithm, "critic").items())
    learned = weights(algorithm, "actor")
    algorithm.update(transitions(), 3)
    for name in ("critic", "target_critic"):
        now = weights(algorithm, name)
        encoder = [key for key in now if key.startswith("encoder.")]
        assert all(torch.equal(now[key], learned[key]) for key in encoder)
        assert any(not torch.equal(now[key], start[key]) for key in encoder)
        assert all(torch.equal(now[key], start[key]) for key in now if key not in encoder)
    assert AlgorithmConfig().critic_encoder == "random"
    with pytest.raises(ValueError, match="critic_encoder is 'other'; known: random, actor"):
        AlgorithmConfig(critic_encoder="other")


# ----------------------------------------------------------------------------- a two-way gripper
LOG_MASS = torch.tensor([[0.25, 0.75]]).log()


def test_targets_take_the_expectation_over_the_gripper_and_then_the_best_motion() -> None:
    q = torch.tensor([[[4.0, 8.0, -2.0, 2.0]], [[9.0, 9.0, 12.0, 12.0]]])  # two critics, two motions
    y = bellman_target(torch.tensor([-1.0]), torch.tensor([1.0]), q, 0.96, LOG_MASS)
    assert y.item() == pytest.approx(-1.0 + 0.96 * 7.0)


def test_the_actor_climbs_the_expectation_over_the_gripper() -> None:
    logit = torch.tensor([math.log(3.0)], requires_grad=True)
    log_mass = torch.stack([torch.nn.functional.logsigmoid(-logit), torch.nn.functional.logsigmoid(logit)], dim=-1)
    samples = Samples(torch.zeros(1, 2, 3), torch.tensor([[[0.5, 1.0]]]), log_mass)
    log_pi = log_likelihood(samples)
    assert log_pi.item() == pytest.approx(1.5 + 0.25 * math.log(0.25) + 0.75 * math.log(0.75), rel=1e-5)
    q = torch.tensor([[[4.0, 8.0]]])
    loss = actor_loss(q, log_pi, torch.tensor(0.0), "min", 1.0, log_mass)
    assert loss.item() == pytest.approx(-7.0)
    loss.backward()
    assert logit.grad.item() == pytest.approx(-(8.0 - 4.0) * 0.25 * 0.75)  # -dp/dlogit (Q(open) - Q(closed))


@pytest.mark.parametrize(("at_mode", "closes"), [(True, True), (False, False)])
def test_the_gripper_may_follow_the_value_at_the_mode_of_the_motion(at_mode: bool, closes: bool) -> None:
    """Closing is worth 1 at the mode and -1 beside it, staying open 0."""
    torch.manual_seed(0)
    networks = NetworkConfig(**(vars(NETWORKS) | {"gripper": "bernoulli"}))
    config = AlgorithmConfig(actor_lr=1e-2, gripper_at_mode=at_mode, init_temperature=1e-6)
    algorithm, batch = CQLAgent(config, networks, TASKS), transitions()

    def q(embedding: Tensor, __: Tensor, actions: Tensor) -> Tensor:
        mode = algorithm.actor(batch.image, batch.state, batch.task).mode[:, None, :6]
        near = (actions[..., :6] - mode).abs().amax(dim=-1) < 1e-5
        worth = torch.where(actions[..., 6] > 0, 0.0, torch.where(near, 1.0, -1.0))
        return worth.expand(2, -1, -1) + 0.0 * embedding.sum()  # so that a critic's loss has a gradient

    algorithm.critic.q = q
    for step in range(30):
        algorithm.update(batch, step)
    mode = algorithm.actor(batch.image, batch.state, batch.task).mode
    assert (mode[:, 6] < 0).tolist() == [closes] * len(mode)


def test_the_conservative_term_sums_over_both_grippers(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = NetworkConfig(**(vars(NETWORKS) | {"gripper": "bernoulli"}))
    algorithm, batch, seen = CQLAgent(AlgorithmConfig(cql_n_actions=2), config, TASKS), transitions(), {}
    gap = module.conservative_gap
    monkeypatch.setattr(module, "conservative_gap", lambda *a: seen.update(gap=(*a, gap(*a))) or gap(*a))
    algorithm.critic.q_function.register_forward_hook(lambda _, inputs, __: keep_first(seen, inputs[2]))
    metrics = algorithm.update(batch, 0)
    q_data, q_policy, log_pi, q_uniform, dimensions, result = seen["gap"]
    assert q_policy.shape == q_uniform.shape == (2, 6, 4) and dimensions.tolist() == [6] * 4
    assert torch.equal(log_pi[:, 0::2], log_pi[:, 1::2])  # the same motion, closed and open
    np.testing.assert_allclose(seen["actions"][:, 1:, 6], np.tile([-0.99, 0.99], (6, 4)))
    weighted = np.concatenate([(q_policy - log_pi).detach(), q_uniform.detach() + 6 * math.log(2)], axis=-1)
    np.testing.assert_allclose(result.detach(), logsumexp(weighted, axis=-1) - q_data.detach().numpy(), rtol=1e-4)
    assert all(math.isfinite(float(value)) for value in metrics.values())


def test_a_constant_value_has_the_gap_of_the_volume_it_is_summed_over() -> None:
    """Two motions and two grippers of density e^log_pi and of uniform density: log(2 e^-l + 2 e^-l + ...)."""
    q = torch.zeros(1, 1, 4)
    gap = conservative_gap(q[..., 0], q, torch.zeros(1, 4), q, 6)
    assert gap.item() == pytest.approx(math.log(4 + 4 * 2**6), rel=1e-6)
