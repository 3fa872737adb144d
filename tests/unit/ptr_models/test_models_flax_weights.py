# SPDX-License-Identifier: Apache-2.0
"""Weights of the original's flax networks: names, layouts, and outputs of an independent forward pass in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from flax_weights import load_flax_weights

from ptr_models.networks import Actor, Critic, NetworkConfig

SIZE, TASKS, BATCH = 32, 5, 2
CONFIG = NetworkConfig(encoder="resnet_small", image_size=SIZE, latent=16, hidden=(12, 12, 12))
WIDTHS = (64, 128, 256, 512)
Weights = dict[str, np.ndarray]


# ----------------------------------------------------------------------------- the original's names and shapes
def encoder_shapes(scope: str) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"encoder/conv_init/kernel": (7, 7, 3, 64)}
    norms = {"encoder/bn_init": 64}
    for index, (before, width) in enumerate(zip((64, *WIDTHS), WIDTHS, strict=False)):
        block = f"encoder/ResNetBlock_{index}"
        shapes |= {f"{block}/Conv_0/kernel": (3, 3, before, width), f"{block}/Conv_1/kernel": (3, 3, width, width)}
        norms |= {f"{block}/MyGroupNorm_0": width, f"{block}/MyGroupNorm_1": width}
        if before != width:
            shapes[f"{block}/conv_proj/kernel"] = (1, 1, before, width)
            norms[f"{block}/norm_proj"] = width
    shapes["encoder/SpatialLearnedEmbeddings_0/kernel"] = (SIZE // 8, SIZE // 8, 512, 8)
    shapes |= {"Dense_0/kernel": (4096, 16), "Dense_0/bias": (16,)}
    norms["LayerNorm_0"] = 16
    shapes |= {f"{name}/{part}": (width,) for name, width in norms.items() for part in ("scale", "bias")}
    return {f"{scope}/{name}": shape for name, shape in shapes.items()}


def head_shapes() -> dict[str, tuple[int, ...]]:
    critic = "critic_decoder/network/VmapStateActionValue_0/MLPActionSep_0"
    shapes: dict[str, tuple[int, ...]] = {}
    for index, (first, out) in enumerate(((TASKS, 12), (12, 12), (12, 12), (12, 1))):
        shapes[f"{critic}/Dense_{index}/kernel"] = (2, first + 7 + 16, out)
        shapes[f"{critic}/Dense_{index}/bias"] = (2, out)
    layers = {"MLP_0/Dense_0": (16 + 7 + TASKS, 12), "MLP_0/Dense_1": (12, 12), "MLP_0/Dense_2": (12, 12)}
    for name, shape in (layers | {"Dense_0": (12, 7), "Dense_1": (12, 7)}).items():
        shapes |= {f"actor/network/{name}/kernel": shape, f"actor/network/{name}/bias": shape[1:]}
    return shapes


@pytest.fixture(scope="module")
def weights() -> Weights:
    rng = np.random.default_rng(0)
    shapes = encoder_shapes("critic_encoder") | encoder_shapes("actor") | head_shapes()

    def draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
        value = rng.normal(size=shape) / math.sqrt(max(np.prod(shape[:-1]), 1))
        return (value + name.endswith("scale")).astype(np.float32)

    return {name: draw(name, shape) for name, shape in shapes.items()}


def networks() -> tuple[Actor, Critic]:
    return Actor(CONFIG, TASKS), Critic(CONFIG, TASKS)


# ----------------------------------------------------------------------------- a forward pass as flax defines it
def windows(x: np.ndarray, kernel: int, stride: int, fill: float, padding: tuple[int, int] | None = None) -> np.ndarray:
    """(B, H, W, C) to (B, H', W', C, k, k); `SAME` unless a padding is given: the odd row goes below, right."""
    if padding is None:
        total = max((math.ceil(x.shape[1] / stride) - 1) * stride + kernel - x.shape[1], 0)
        padding = (total // 2, total - total // 2)
    padded = np.pad(x, ((0, 0), padding, padding, (0, 0)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (1, 2))[:, ::stride, ::stride]


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int = 1, padding: tuple[int, int] | None = None) -> np.ndarray:
    return np.einsum("bhwcij,ijcd->bhwd", windows(x, kernel.shape[0], stride, 0.0, padding), kernel, optimize=True)


def group_norm(x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    grouped = x.reshape(*x.shape[:3], 4, -1)
    centered = grouped - grouped.mean(axis=(1, 2, 4), keepdims=True)
    scaled = centered / np.sqrt((centered**2).mean(axis=(1, 2, 4), keepdims=True) + 1e-5)
    return scaled.reshape(x.shape) * scale + bias


def encode(image: np.ndarray, w: Weights, scope: str) -> np.ndarray:
    w = {name.removeprefix(f"{scope}/"): value.astype(np.float64) for name, value in w.items() if scope in name}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return group_norm(x, w[f"encoder/{name}/scale"], w[f"encoder/{name}/bias"])

    x = np.maximum(norm(convolve(image / 255.0, w["encoder/conv_init/kernel"], 2, (3, 3)), "bn_init"), 0)
    x = windows(x, 3, 2, -np.inf).max(axis=(-2, -1))
    for index, stride in enumerate((1, 2, 1, 1)):
        block = f"ResNetBlock_{index}"
        y = np.maximum(norm(convolve(x, w[f"encoder/{block}/Conv_0/kernel"], stride), f"{block}/MyGroupNorm_0"), 0)
        y = norm(convolve(y, w[f"encoder/{block}/Conv_1/kernel"]), f"{block}/MyGroupNorm_1")
        if x.shape != y.shape:
            x = norm(convolve(x, w[f"encoder/{block}/conv_proj/kernel"], stride), f"{block}/norm_proj")
        x = np.maximum(x + y, 0)
    features = np.einsum("bhwc,hwcf->bcf", x, w["encoder/SpatialLearnedEmbeddings_0/kernel"]).reshape(len(x), -1)
    z = features @ w["Dense_0/kernel"] + w["Dense_0/bias"]
    z = (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-6)
    return np.tanh(z * w["LayerNorm_0/scale"] + w["LayerNorm_0/bias"])


def q_values(z: np.ndarray, task: np.ndarray, action: np.ndarray, w: Weights) -> np.ndarray:
    values = []
    for member in range(2):
        hidden = task
        for layer in range(4):
            name = f"critic_decoder/network/VmapStateActionValue_0/MLPActionSep_0/Dense_{layer}"
            joined = np.concatenate([hidden, action, z], axis=-1)
            hidden = joined @ w[f"{name}/kernel"][member] + w[f"{name}/bias"][member]
            hidden = hidden if layer == 3 else np.maximum(hidden, 0)
        values.append(hidden[:, 0])
    return np.stack(values)


def policy_mean(z: np.ndarray, state: np.ndarray, task: np.ndarray, w: Weights) -> tuple[np.ndarray, np.ndarray]:
    x = np.concatenate([z, state, task], axis=-1)
    for layer in range(3):
        name = f"actor/network/MLP_0/Dense_{layer}"
        x = np.maximum(x @ w[f"{name}/kernel"] + w[f"{name}/bias"], 0)
    heads = (x @ w[f"actor/network/Dense_{k}/kernel"] + w[f"actor/network/Dense_{k}/bias"] for k in range(2))
    return next(heads), next(heads)


@torch.no_grad()
def test_networks_with_the_originals_weights_compute_what_it_does(weights: Weights) -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)
    state, action = (rng.uniform(-1, 1, (BATCH, 7)).astype(np.float32) for _ in range(2))
    task = np.eye(TASKS, dtype=np.float32)[[1, 4]]
    actor, critic = networks()
    load_flax_weights(weights, actor, critic)
    tensors = [torch.from_numpy(value) for value in (image, state, task, action)]
    z = critic.encode(tensors[0], tensors[1])
    q = critic.q(z, tensors[2], tensors[3].unsqueeze(1))[..., 0]
    policy = actor(*tensors[:3])
    np.testing.assert_allclose(z, encode(image, weights, "critic_encoder"), atol=1e-4)
    np.testing.assert_allclose(q, q_values(z.numpy(), task, action, weights), atol=1e-6)
    mean, log_std = policy_mean(encode(image, weights, "actor"), state, task, weights)
    np.testing.assert_allclose(policy.mean, mean, atol=1e-5)
    np.testing.assert_allclose(policy.log_std, np.clip(log_std, -5, 2), atol=1e-5)
