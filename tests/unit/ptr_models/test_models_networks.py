# SPDX-License-Identifier: Apache-2.0
"""Networks: sizes, initial values, padding, and what depends on what (figures of the original networks)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ptr_models.networks import Actor, Critic, NetworkConfig, TanhGaussian
from ptr_models.networks import encoder as encoder_module
from ptr_models.networks.backbones import make_backbone
from ptr_models.networks.encoder import Encoder, SpatialEmbeddings, SpatialSoftmax
from ptr_models.networks.layers import Conv, group_norm, max_pool_same, same_padding

TASKS = 35
TINY = NetworkConfig(encoder="tiny", image_size=64)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def images(batch: int, size: int = 64, seed: int = 0) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (batch, size, size, 3), dtype=np.uint8)
    return torch.from_numpy(pixels)


def one_hot(batch: int, task: int = 3) -> torch.Tensor:
    return nn.functional.one_hot(torch.full((batch,), task), TASKS).float()


@pytest.fixture(scope="module")
def critic() -> Critic:
    torch.manual_seed(1)
    return Critic(TINY, TASKS)


@pytest.fixture(scope="module")
def actor() -> Actor:
    torch.manual_seed(2)
    return Actor(TINY, TASKS)


@pytest.mark.parametrize(
    ("encoder", "embeddings", "backbone", "critic_encoder", "actor", "total"),
    [
        ("resnet_small", 8, 4_905_792, 7_003_712, 7_215_438, 14_905_758),
        ("resnet18", 8, 11_176_512, 13_274_432, 13_486_158, 27_447_198),
        ("resnet34", 8, 21_284_672, 23_382_592, 23_594_318, 47_663_518),
        ("resnet50", 4, 23_508_032, 27_703_104, 27_914_830, 56_304_542),
    ],
)
def test_parameter_counts_equal_the_original(
    encoder: str, embeddings: int, backbone: int, critic_encoder: int, actor: int, total: int
) -> None:
    config = NetworkConfig(encoder=encoder, embeddings=embeddings)
    with torch.device("meta"):
        critic, policy = Critic(config, TASKS), Actor(config, TASKS)
    assert count(critic.encoder.backbone) == backbone
    assert count(critic.encoder) == critic_encoder
    assert count(critic.q_function) == 686_608
    assert count(policy) == actor
    assert count(critic) + count(policy) == total


@pytest.mark.parametrize(
    ("encoder", "critic_encoder", "actor", "total"),
    [
        ("resnet_small", 5_037_632, 5_249_358, 10_973_598),
        ("resnet18", 11_308_352, 11_520_078, 23_515_038),
        ("resnet34", 21_416_512, 21_628_238, 43_731_358),
        ("resnet50", 24_033_088, 24_244_814, 48_964_510),
    ],
)
def test_parameter_counts_with_mean_pooling_equal_the_original(
    encoder: str, critic_encoder: int, actor: int, total: int
) -> None:
    config = NetworkConfig(encoder=encoder, pooling="mean")
    with torch.device("meta"):
        critic, policy = Critic(config, TASKS), Actor(config, TASKS)
    assert (count(critic.encoder), count(policy), count(critic) + count(policy)) == (critic_encoder, actor, total)


def test_one_more_task_adds_a_column_to_each_first_layer() -> None:
    with torch.device("meta"):
        more_q = count(Critic(TINY, TASKS + 1)) - count(Critic(TINY, TASKS))
        more_pi = count(Actor(TINY, TASKS + 1)) - count(Actor(TINY, TASKS))
    assert (more_q, more_pi) == (512, 256)


def test_the_paper_network_keeps_a_16_by_16_map_of_a_128_pixel_image() -> None:
    backbone = make_backbone("resnet_small")
    with torch.no_grad():
        stem = backbone.stem(torch.zeros(1, 3, 128, 128))
        assert stem.shape == (1, 64, 64, 64)
        assert max_pool_same(stem).shape == (1, 64, 32, 32)
        assert backbone(torch.zeros(1, 3, 128, 128)).shape == (1, 512, 16, 16)


def test_same_padding_adds_the_odd_pixel_after() -> None:
    grid = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert max_pool_same(grid).flatten().tolist() == [10, 11, 14, 15]
    convolution = Conv(1, 1, 3, 2)
    nn.init.ones_(convolution.weight)
    assert convolution(grid).flatten().tolist() == [45, 39, 66, 50]


@settings(deadline=None)
@given(size=st.integers(1, 200), kernel=st.integers(1, 8), stride=st.integers(1, 4))
def test_same_padding_gives_the_size_divided_by_the_stride(size: int, kernel: int, stride: int) -> None:
    before, after = same_padding(size, kernel, stride)
    assert 0 <= after - before <= 1
    if kernel >= stride:
        assert (size + before + after - kernel) // stride + 1 == math.ceil(size / stride)


def test_group_norm_has_four_groups_and_biased_variance() -> None:
    x = torch.arange(16.0).reshape(1, 8, 2, 1)
    expected = torch.tensor([-1.3416, -0.4472, 0.4472, 1.3416])
    torch.testing.assert_close(group_norm(8)(x).flatten()[:4], expected, atol=1e-4, rtol=0)


def test_bottleneck_normalizes_with_a_small_epsilon_and_squashes() -> None:
    encoder = Encoder(TINY)
    assert encoder.norm.eps == 1e-6
    squashed = torch.tanh(nn.functional.layer_norm(torch.tensor([1.0, 2, 3, 4]), (4,), eps=encoder.norm.eps))
    torch.testing.assert_close(squashed, torch.tensor([-0.8721, -0.4196, 0.4196, 0.8721]), atol=1e-4, rtol=0)


def test_spatial_embeddings_sum_over_positions_channel_by_channel() -> None:
    layer = SpatialEmbeddings(channels=2, height=2, width=2, embeddings=2)
    x = torch.arange(8.0).reshape(2, 2, 2).permute(2, 0, 1).unsqueeze(0)  # given as (H, W, C)
    kernel = torch.arange(16.0).reshape(2, 2, 2, 2) / 10  # (H, W, C, F)
    layer.kernel.data = kernel.permute(2, 0, 1, 3).reshape(2, 4, 2)
    torch.testing.assert_close(layer(x), torch.tensor([[11.2, 12.4, 16.8, 18.4]]))
    nn.init.ones_(layer.kernel)
    torch.testing.assert_close(layer(x), torch.tensor([[12.0, 12, 16, 16]]))


def test_spatial_softmax_finds_a_bright_pixel() -> None:
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 1, 4] = 100.0  # row 1, column 4
    torch.testing.assert_close(SpatialSoftmax(1, 5, 5)(x), torch.tensor([[1.0, -0.5]]))
    both = torch.cat([x, x.transpose(2, 3)], dim=1)
    torch.testing.assert_close(SpatialSoftmax(2, 5, 5)(both), torch.tensor([[1.0, -0.5, -0.5, 1.0]]))  # x, x, y, y


def test_gradients_reach_the_backbone_in_the_layout_of_the_map() -> None:
    seen = []
    pooling = SpatialEmbeddings(channels=4, height=3, width=3, embeddings=2)
    start = torch.randn(2, 4, 3, 3).contiguous(memory_format=torch.channels_last).requires_grad_()
    maps = start * 1.0
    values = pooling(maps)
    maps.register_hook(lambda gradient: seen.append(gradient.is_contiguous(memory_format=torch.channels_last)))
    values.square().sum().backward()
    assert seen == [True]


def test_initial_weights_have_the_original_spread() -> None:
    torch.manual_seed(0)
    config = NetworkConfig(encoder="resnet_small")
    encoder = Encoder(config)
    assert encoder.backbone.stem.weight.std().item() == pytest.approx(0.1166, rel=0.03)
    assert encoder.pooling.kernel.std().item() == pytest.approx(0.00276, rel=0.01)
    assert encoder.dense.weight.std().item() == pytest.approx(0.02144, rel=0.01)
    assert encoder.dense.bias.abs().max() == 0


def test_initial_layers_are_orthogonal(critic: Critic, actor: Actor) -> None:
    for layer in critic.q_function.layers:
        values = torch.linalg.svdvals(layer.weight.data)
        torch.testing.assert_close(values, torch.full_like(values, math.sqrt(2.0)), atol=1e-4, rtol=0)
        assert layer.bias.abs().max() == 0
    last = torch.linalg.svdvals(critic.q_function.output.weight.data)
    torch.testing.assert_close(last, torch.full_like(last, 0.01), atol=1e-6, rtol=0)
    for layer, gain in [*((layer, 1.0) for layer in actor.layers), (actor.mean, 0.01), (actor.log_std, 0.01)]:
        values = torch.linalg.svdvals(layer.weight.data)
        torch.testing.assert_close(values, torch.full_like(values, gain), atol=1e-4, rtol=0)


@torch.no_grad()
def test_initial_outputs_are_small_and_random(critic: Critic, actor: Actor) -> None:
    batch, state = 64, torch.randn(64, 7) * 0.1
    policy = actor(images(batch), state, one_hot(batch))
    assert policy.mode.abs().max() < 0.02
    assert policy.log_std.exp().sub(1).abs().max() < 0.02
    _, log_pi = policy.sample(256)
    assert -log_pi.mean().item() == pytest.approx(4.69, abs=0.05)
    embedding = critic.encode(images(batch), state)
    assert embedding.shape == (batch, 256) and embedding.abs().max() < 1
    q = critic.q(embedding, one_hot(batch), torch.rand(batch, 9, 7) * 2 - 1)
    assert q.shape == (2, batch, 9) and q.abs().mean() < 0.02 and q.abs().max() < 0.05
    assert not torch.equal(q[0], q[1])


@torch.no_grad()
def test_factored_layers_equal_the_product_with_the_concatenation(critic: Critic) -> None:
    embedding, actions, task = torch.randn(3, 256), torch.rand(3, 5, 7), one_hot(3)
    for member in range(2):
        for row in range(3):
            for index in range(5):
                hidden = task[row]
                for layer in [*critic.q_function.layers, critic.q_function.output]:
                    joined = torch.cat([hidden, actions[row, index], embedding[row]])
                    out = joined @ layer.weight[member] + layer.bias[member]
                    hidden = out.relu()
                expected = critic.q(embedding, task, actions)[member, row, index]
                torch.testing.assert_close(out[0], expected, atol=1e-5, rtol=1e-4)


def test_the_value_ignores_the_arm_state_and_the_policy_does_not(critic: Critic, actor: Actor) -> None:
    state = torch.zeros(2, 7, requires_grad=True)
    q = critic.q(critic.encode(images(2), state), one_hot(2), torch.zeros(2, 1, 7))
    assert torch.autograd.grad(q.sum(), state, allow_unused=True)[0] is None
    mean = actor(images(2), state, one_hot(2)).mean
    assert torch.autograd.grad(mean.sum(), state)[0].abs().max() > 0


def test_the_critic_can_be_given_the_arm_state() -> None:
    config = NetworkConfig(encoder="tiny", image_size=64, critic_proprioception=True)
    critic, state = Critic(config, 3), torch.zeros(2, 7, requires_grad=True)
    q = critic.q(critic.encode(images(2), state), torch.eye(3)[:2], torch.zeros(2, 1, 7))
    assert torch.autograd.grad(q.sum(), state)[0].abs().max() > 0


@pytest.mark.parametrize("kept", range(4))
def test_each_layer_alone_makes_the_value_depend_on_action_and_embedding(kept: int) -> None:
    torch.manual_seed(3)
    critic = Critic(TINY, TASKS)
    for index, layer in enumerate([*critic.q_function.layers, critic.q_function.output]):
        if index != kept:
            layer.weight.data[:, layer.sizes[0] :] = 0.0  # the rows of action and embedding
        layer.bias.data.normal_()
    actions = torch.rand(2, 3, 7, requires_grad=True)
    embedding = torch.randn(2, 256, requires_grad=True)
    q = critic.q(embedding, one_hot(2), actions).sum()
    for gradient in torch.autograd.grad(q, (actions, embedding)):
        assert gradient.abs().max() > 0


@torch.no_grad()
def test_other_rows_of_a_batch_do_not_matter(critic: Critic) -> None:
    embedding = critic.encode(images(4, seed=1), torch.zeros(4, 7))
    alone = critic.encode(images(4, seed=1)[:1], torch.zeros(1, 7))
    torch.testing.assert_close(embedding[:1], alone, atol=2e-6, rtol=0)


@torch.no_grad()
def test_permuting_task_ids_with_their_columns_changes_nothing() -> None:
    torch.manual_seed(4)
    critic, actor = Critic(TINY, TASKS), Actor(TINY, TASKS)
    order = torch.randperm(TASKS)
    embedding, actions = torch.randn(2, 256), torch.rand(2, 3, 7)
    before = (
        critic.q(embedding, one_hot(2), actions),
        actor.head(embedding, torch.ones(2, 7), one_hot(2)).mean,
    )
    first = critic.q_function.layers[0].weight.data
    first[:, :TASKS] = first[:, order]
    columns = actor.layers[0].weight.data
    columns[:, -TASKS:] = columns[:, -TASKS:][:, order]
    moved = one_hot(2)[:, order]
    after = critic.q(embedding, moved, actions), actor.head(embedding, torch.ones(2, 7), moved).mean
    for old, new in zip(before, after, strict=True):
        torch.testing.assert_close(old, new)


def test_tanh_gaussian_density_of_a_known_sample() -> None:
    policy = TanhGaussian(torch.tensor([[0.0, -1.0]]), torch.tensor([[-0.5, 0.2]]))
    action = torch.tanh(torch.tensor([[0.3, -1.2]]))
    torch.testing.assert_close(action, torch.tensor([[0.291313, -0.833655]]), atol=1e-6, rtol=0)
    torch.testing.assert_close(policy.log_prob(action), torch.tensor([-0.397547]), atol=1e-5, rtol=0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_samples_carry_the_log_density_that_the_density_gives(seed: int) -> None:
    torch.manual_seed(seed)
    policy = TanhGaussian(torch.randn(3, 7).double() * 0.5, torch.randn(3, 7).double() * 0.5 - 1)
    actions, log_pi = policy.sample(4)
    assert actions.abs().max() < 1
    again = torch.stack([policy.log_prob(actions[:, index]) for index in range(4)], dim=1)
    torch.testing.assert_close(log_pi, again, atol=1e-3, rtol=1e-3)


def test_log_standard_deviation_is_clipped_hard() -> None:
    actor = Actor(TINY, TASKS)
    for bias, expected in ((-9.0, -5.0), (5.0, 2.0)):
        nn.init.constant_(actor.log_std.bias, bias)
        nn.init.zeros_(actor.log_std.weight)
        log_std = actor.head(torch.zeros(1, 256), torch.zeros(1, 7), one_hot(1)).log_std
        assert log_std.unique().item() == expected


def test_an_unknown_encoder_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="resnet34"):
        NetworkConfig(encoder="resnet35")


@torch.no_grad()
def test_bfloat16_changes_little_and_is_left_out_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    embedding = Encoder(NetworkConfig(encoder="tiny", image_size=64))
    exact = embedding(images(2))
    embedding.precision = "bf16"
    monkeypatch.setattr(encoder_module, "_has_fast_bf16", lambda _: False)
    assert torch.equal(embedding(images(2)), exact)
    monkeypatch.setattr(encoder_module, "_has_fast_bf16", lambda _: True)
    low = embedding(images(2))
    assert low.dtype == torch.float32 and not torch.equal(low, exact)
    torch.testing.assert_close(low, exact, atol=0.05, rtol=0)
