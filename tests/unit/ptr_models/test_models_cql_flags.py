# SPDX-License-Identifier: Apache-2.0
"""What each option beyond PTR does to an update, and that PTR without them is the written formulas."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ptr_models.algorithms import AlgorithmConfig, CQLAgent, Transitions
from ptr_models.algorithms import cql as module
from ptr_models.algorithms.cql import actor_loss
from ptr_models.episodes.labels import label
from ptr_models.networks import Actor, Critic, NetworkConfig
from ptr_models.networks import encoder as encoder_module

NETWORKS = NetworkConfig(encoder="tiny", image_size=16, latent=16, hidden=(16, 16))
TASKS = 3


def transitions(batch: int = 6, size: int = 16, seed: int = 0) -> Transitions:
    rng = np.random.default_rng(seed)

    def pixels() -> Tensor:
        return torch.from_numpy(rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8))

    def numbers(*shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(-0.9, 0.9, shape).astype(np.float32))

    return Transitions(
        image=pixels(),
        next_image=pixels(),
        state=numbers(batch, 7),
        next_state=numbers(batch, 7),
        action=numbers(batch, 7),
        reward=-torch.ones(batch),
        mask=torch.ones(batch),
        mc_return=torch.full((batch,), 2.0),
        task=torch.eye(TASKS)[torch.arange(batch) % TASKS],
    )


def make(networks: dict[str, object] | None = None, **options: object) -> CQLAgent:
    torch.manual_seed(0)
    return CQLAgent(AlgorithmConfig(**options), NetworkConfig(**(vars(NETWORKS) | (networks or {}))), TASKS)


def updated(algorithm: CQLAgent, seed: int = 1) -> dict[str, Tensor]:
    """All weights after one update with the noise of that seed."""
    torch.manual_seed(seed)
    algorithm.update(transitions(), 0)
    return {
        f"{name}.{key}": value for name, part in algorithm.modules.items() for key, value in part.state_dict().items()
    }


# ----------------------------------------------------------------------------- PTR, written out
def reference_update(algorithm: CQLAgent, batch: Transitions) -> None:
    """Critic, targets, actor, temperature, each loss from its definition; noise is drawn in the suite's order."""
    actor, critic, target = algorithm.actor, algorithm.critic, algorithm.target_critic
    temperature = algorithm.log_temperature.detach().exp()
    rows, count = len(batch.action), 4

    def draw(policy: object, number: int) -> tuple[Tensor, Tensor]:
        normal = torch.distributions.Normal(policy.mean[:, None], policy.log_std[:, None].exp())
        raw = policy.mean[:, None] + policy.log_std[:, None].exp() * torch.randn(rows, number, 7)
        return raw.tanh(), (normal.log_prob(raw) - torch.log1p(-raw.tanh().square())).sum(-1)

    def q(network: Critic, z: Tensor, actions: Tensor) -> list[Tensor]:
        return [network.q(z, batch.task, actions[:, [j]])[..., 0] for j in range(actions.shape[1])]

    policy = actor(batch.image, batch.state, batch.task)
    with torch.no_grad():
        next_actions, _ = draw(actor(batch.next_image, batch.next_state, batch.task), count)
        worst = [value.amin(0) for value in q(target, target.encode(batch.next_image, batch.next_state), next_actions)]
        y = batch.reward + 0.96 * batch.mask * torch.stack(worst).amax(0)
        pi_actions, log_pi = draw(policy, count)
        random_actions = torch.rand(rows, count, 7) * 2 - 1
    z = critic.encode(batch.image, batch.state)
    data = q(critic, z, batch.action[:, None])[0]
    pushed = [value - log_pi[:, j] for j, value in enumerate(q(critic, z, pi_actions))]
    pushed += [value + 7 * math.log(2) for value in q(critic, z, random_actions)]
    gap = torch.stack(pushed).exp().sum(0).log() - data
    critic_optimizer = torch.optim.Adam(critic.parameters(), 3e-4)
    ((data - y) ** 2 + 10.0 * gap).mean().backward()
    critic_optimizer.step()
    with torch.no_grad():
        for slow, fast in zip(target.parameters(), critic.parameters(), strict=True):
            slow.copy_(0.005 * fast + 0.995 * slow)
    actor_optimizer = torch.optim.Adam(actor.parameters(), 1e-4)
    actions, log_density = draw(policy, 1)
    (
        temperature * log_density[:, 0] - q(critic, critic.encode(batch.image, batch.state), actions)[0].amin(0)
    ).mean().backward()
    actor_optimizer.step()
    temperature_optimizer = torch.optim.Adam([algorithm.log_temperature], 3e-4)
    (algorithm.log_temperature.exp() * (-log_density.detach().mean() + 7.0)).backward()
    temperature_optimizer.step()


def test_without_options_an_update_is_that_of_the_written_losses() -> None:
    algorithm = make()
    algorithm.critic.q_function.output.weight.data.mul_(300.0)  # values of a trained size
    algorithm.target_critic.load_state_dict(algorithm.critic.state_dict())
    expected = copy.deepcopy(algorithm)
    torch.manual_seed(1)
    reference_update(expected, transitions())
    updated(algorithm)
    for name, part in algorithm.modules.items():
        for (key, value), other in zip(
            part.state_dict().items(), expected.modules[name].state_dict().values(), strict=True
        ):
            torch.testing.assert_close(
                value, other, atol=2e-6, rtol=1e-4, msg=lambda text, at=(name, key): f"{at}: {text}"
            )
    torch.testing.assert_close(algorithm.log_temperature, expected.log_temperature)


def test_neutral_values_of_the_options_change_no_bit() -> None:
    plain = updated(make())
    for options in (
        {"target_bounds": (-1e9, 1e9)},
        {"actor_critics": "min", "max_backup": True, "next_policy_actions": False, "target_subset": 0},
        {"action_choice": "argmax_q", "candidates": 4},
        {"bc_loss": "likelihood"},
    ):
        assert all(torch.equal(value, plain[name]) for name, value in updated(make(**options)).items()), options


# ----------------------------------------------------------------------------- the options
@pytest.mark.parametrize(
    ("networks", "options"),
    [
        ({}, {"calibrated": True}),
        ({}, {"bc_weight": 1.0}),
        ({}, {"bc_weight": 1.0, "bc_loss": "likelihood"}),
        ({"num_critics": 4}, {"target_subset": 2}),
        ({"num_critics": 4}, {"actor_critics": "mean"}),
        ({}, {"max_backup": False}),
        ({}, {"next_policy_actions": True}),
        ({"critic_layer_norm": True}, {}),
        ({"critic_proprioception": True}, {}),
        ({"critic_injection": False}, {}),
    ],
)
def test_every_option_changes_what_is_learned(networks: dict[str, object], options: dict[str, object]) -> None:
    same_size = {"num_critics": 4} if networks.get("num_critics") == 4 else {}
    plain, changed = updated(make(same_size)), updated(make(networks, **options))
    assert all(torch.isfinite(value).all() for value in changed.values())
    assert any(
        value.shape != plain[name].shape or not torch.equal(value, plain[name]) for name, value in changed.items()
    )


def test_the_calibrated_bound_lifts_policy_actions_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[bool, tuple[Tensor, ...]] = {}
    gap = module.conservative_gap
    for calibrated in (False, True):
        algorithm, batch = make(calibrated=calibrated), transitions()
        batch.mc_return[:3], batch.mc_return[3:] = 5.0, -5.0  # above and below every initial value
        monkeypatch.setattr(module, "conservative_gap", lambda *a, at=calibrated: seen.__setitem__(at, a) or gap(*a))
        torch.manual_seed(1)
        algorithm.update(batch, 0)
    assert (seen[True][1][:, :3] == 5.0).all()
    for index in (0, 2, 3):
        assert torch.equal(seen[True][index], seen[False][index])
    assert torch.equal(seen[True][1][:, 3:], seen[False][1][:, 3:])


def test_the_bound_of_a_failure_is_the_lowest_return_which_bounds_nothing() -> None:
    assert label(12, success=False).mc_return == pytest.approx(np.full(12, -25.0))
    assert label(12, success=True).mc_return.min() > -25.0


def test_a_target_uses_the_drawn_critics_alone() -> None:
    algorithm, batch = make({"num_critics": 5}, target_subset=2), transitions()
    every = torch.arange(5.0).reshape(5, 1, 1).expand(5, 6, 4)
    algorithm.target_critic.q = lambda *_: every  # type: ignore[method-assign]
    lowest = set()
    for seed in range(60):
        torch.manual_seed(seed)
        with torch.no_grad():
            target = algorithm._target(batch, algorithm.actor(batch.next_image, batch.next_state, batch.task))
        lowest.add(round((target[0].item() + 1.0) / 0.96))
    assert lowest == {0, 1, 2, 3}  # the smaller of two of 0..4


def test_the_actor_climbs_the_mean_of_the_critics_when_asked() -> None:
    q, log_pi = torch.tensor([[[1.0], [3.0]], [[2.0], [-1.0]]]), torch.tensor([[2.0], [-1.0]])
    assert actor_loss(q, log_pi, torch.tensor(0.5)).item() == pytest.approx(0.25)
    assert actor_loss(q, log_pi, torch.tensor(0.5), "mean").item() == pytest.approx(0.25 - 1.25)


@pytest.mark.parametrize(
    ("options", "backup", "pushed"), [({}, 4, 9), ({"max_backup": False}, 1, 9), ({"next_policy_actions": True}, 4, 13)]
)
def test_how_many_actions_are_valued(options: dict[str, object], backup: int, pushed: int) -> None:
    algorithm = make(**options)
    counts: dict[str, int] = {}

    def count(name: str, inputs: tuple[Tensor, ...]) -> None:
        counts.setdefault(name, inputs[2].shape[1])

    for name in ("critic", "target_critic"):
        network = getattr(algorithm, name).q_function
        network.register_forward_hook(lambda _, inputs, __, at=name: count(at, inputs))
    algorithm.update(transitions(), 0)
    assert counts == {"target_critic": backup, "critic": pushed}


def test_likelihood_warm_up_imitates_while_the_critic_learns() -> None:
    algorithm = make(bc_steps=1, bc_loss="likelihood")
    metrics = algorithm.update(transitions(), 0)
    assert "critic_loss" in metrics and "entropy" not in metrics
    assert "entropy" in algorithm.update(transitions(), 1)


# ----------------------------------------------------------------------------- the critic's forms
def test_layer_norm_keeps_values_bounded_far_from_the_data() -> None:
    def spread(normalized: bool) -> float:
        torch.manual_seed(0)
        critic = Critic(
            NetworkConfig(**(vars(NETWORKS) | {"critic_layer_norm": normalized, "critic_injection": False})), TASKS
        )
        values = critic.q(torch.randn(4, 16), torch.eye(TASKS)[[0, 1, 2, 0]], torch.randn(4, 8, 7) * 1e4)
        return values.abs().max().item()

    assert spread(True) < 10.0 < spread(False)


def test_a_plain_critic_sees_the_action_in_its_first_layer_alone_and_feels_it_less() -> None:
    def sensitivity(injected: bool) -> float:
        torch.manual_seed(0)
        critic = Critic(NetworkConfig(**(vars(NETWORKS) | {"critic_injection": injected})), TASKS)
        layers = [*critic.q_function.layers, critic.q_function.output]
        assert [layer.weight.shape[1] for layer in layers[1:]] == [16 + (7 + 16) * injected] * 2
        critic.q_function.output.weight.data.normal_(std=0.1)
        layers[0].weight.data[:, TASKS : TASKS + 7] = 0.0
        actions = torch.zeros(2, 1, 7, requires_grad=True)
        q = critic.q(torch.randn(2, 16), torch.eye(TASKS)[:2], actions)
        return torch.autograd.grad(q.sum(), actions)[0].abs().max().item()

    assert sensitivity(True) > 0.0
    assert sensitivity(False) == 0.0


def test_the_plain_critic_starts_with_the_gains_of_the_original() -> None:
    torch.manual_seed(0)
    critic = Critic(NetworkConfig(**(vars(NETWORKS) | {"critic_injection": False})), TASKS)
    for layer in (*critic.q_function.layers, critic.q_function.output):
        values = torch.linalg.svdvals(layer.weight.data)
        torch.testing.assert_close(values, torch.ones_like(values))


# ----------------------------------------------------------------------------- arithmetic
def test_only_the_encoders_use_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "_has_fast_bf16", lambda _: True)
    algorithm = make({"precision": "bf16"})
    seen: dict[str, set[torch.dtype]] = {}
    names = ("bellman_target", "conservative_gap", "critic_loss", "actor_loss")
    originals = {name: getattr(module, name) for name in names}

    def note(name: str, values: tuple[object, ...]) -> None:
        seen[name] = {value.dtype for value in values if isinstance(value, Tensor)}

    def watched(name: str, *values: object) -> object:
        note(name, values)
        return originals[name](*values)

    algorithm.critic.encoder.backbone.register_forward_hook(lambda _, __, result: note("map", (result,)))
    for name in names:
        monkeypatch.setattr(module, name, lambda *values, at=name: watched(at, *values))
    metrics = algorithm.update(transitions(), 0)
    assert seen.pop("map") == {torch.bfloat16}
    assert seen == {name: {torch.float32} for name in names}
    assert {value.dtype for value in metrics.values()} == {torch.float32}


def test_an_update_costs_nine_forward_passes_of_the_encoder() -> None:
    networks = NetworkConfig(encoder="resnet_small", image_size=64)
    algorithm, batch = CQLAgent(AlgorithmConfig(), networks, TASKS), transitions(batch=1, size=64)
    with FlopCounterMode(display=False) as one, torch.no_grad():
        algorithm.critic.encoder(batch.image)
    with FlopCounterMode(display=False) as whole:
        algorithm.update(batch, 0)
    assert 8.0 < whole.get_total_flops() / one.get_total_flops() < 9.2


def test_each_row_of_a_batch_gets_uniform_actions_of_its_own() -> None:
    algorithm, batch = make(), transitions()
    with torch.no_grad():
        policy = algorithm.actor(batch.image, batch.state, batch.task)
        draws = [algorithm._sample_cql_actions(policy, policy)[2] for _ in range(2)]
    assert torch.stack(draws).abs().max() <= 1.0
    assert len(torch.cat(draws).reshape(-1, 7).unique(dim=0)) == 2 * 6 * 4


def test_adam_is_the_originals() -> None:
    algorithm = make()
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in algorithm.optimizers.items()}
    assert rates == {"actor": 1e-4, "critic": 3e-4, "temperature": 3e-4}
    for optimizer in algorithm.optimizers.values():
        group = optimizer.param_groups[0]
        assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.999), 1e-8, 0)


def test_one_task_is_a_constant_input_of_one() -> None:
    actor, critic = Actor(NETWORKS, 1), Critic(NETWORKS, 1)
    assert isinstance(critic.q_function.layers[0], nn.Module) and critic.q_function.layers[0].sizes[0] == 1
    assert actor.layers[0].in_features == 16 + 7 + 1
