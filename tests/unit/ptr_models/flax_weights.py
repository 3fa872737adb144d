# SPDX-License-Identifier: Apache-2.0
"""Weights of PTR's original networks, which flax named and laid out, in this suite's actor and critic.

Names are those of the original's parameter trees joined by '/', below `critic_encoder`, `critic_decoder` and
`actor` (Asap7772/PTR, jaxrl2/networks: PixelMultiplexerEncoder, PixelMultiplexerDecoder, PixelMultiplexer). Two
layouts differ: convolutions are (H, W, in, out) there and (out, in, H, W) here, dense kernels are transposed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ptr_models.networks.actor import Actor
from ptr_models.networks.backbones import BottleneckBlock, ResNet
from ptr_models.networks.critic import Critic, EnsembleDense, QFunction
from ptr_models.networks.encoder import Backbone, Encoder, image_encoder

Arrays = Mapping[str, NDArray[np.floating]]
Layout = Callable[[NDArray[np.floating]], NDArray[np.floating]]
CRITIC_LAYERS = "critic_decoder/network/VmapStateActionValue_0/MLPActionSep_0"


def load_flax_weights(weights: Arrays, actor: Actor, critic: Critic) -> None:
    """Fill actor and critic with weights of the original's networks.

    Args:
        weights: by their names in the original; each must fit.
        actor, critic: with a ResNet encoder of the same size, as many tasks and critics; the critic sees the
            action at every layer and not the arm's state.
    """
    places = {
        **_encoder_places(image_encoder(critic.encoder), "critic_encoder"),
        **_decoder_places(critic.q_function),
        **_encoder_places(image_encoder(actor.encoder), "actor"),
        **_policy_places(actor),
    }
    assert set(weights) == set(places)
    with torch.no_grad():
        for name, (parameter, layout) in places.items():
            value = torch.from_numpy(np.ascontiguousarray(layout(weights[name])))
            assert value.shape == parameter.shape, name
            parameter.copy_(value)


Places = dict[str, tuple[Tensor, Layout]]


def _encoder_places(encoder: Encoder, scope: str) -> Places:
    """Where each weight of an encoder goes: name in the original to (parameter, change of layout)."""
    places: Places = {}
    for own, parameter in encoder.named_parameters():
        name, layout = _encoder_name(own, _block_name(encoder.backbone))
        places[f"{scope}/{name}"] = (parameter, layout)
    return places


def _block_name(backbone: Backbone) -> str:
    return (
        "BottleneckResNetBlock"
        if isinstance(backbone, ResNet) and isinstance(backbone.blocks[0], BottleneckBlock)
        else "ResNetBlock"
    )


def _encoder_name(own: str, block: str) -> tuple[str, Layout]:
    """The original's name of an encoder's parameter, and how its layout changes."""
    fixed: dict[str, tuple[str, Layout]] = {
        "backbone.stem.weight": ("encoder/conv_init/kernel", _convolution),
        "backbone.norm.weight": ("encoder/bn_init/scale", _same),
        "backbone.norm.bias": ("encoder/bn_init/bias", _same),
        "pooling.kernel": ("encoder/SpatialLearnedEmbeddings_0/kernel", _embeddings),
        "dense.weight": ("Dense_0/kernel", np.transpose),
        "dense.bias": ("Dense_0/bias", _same),
        "norm.weight": ("LayerNorm_0/scale", _same),
        "norm.bias": ("LayerNorm_0/bias", _same),
    }
    if own in fixed:
        return fixed[own]
    place = re.fullmatch(r"backbone\.blocks\.(\d+)\.(.+)", own)
    assert place is not None, own
    number, rest = place.groups()
    scope = f"encoder/{block}_{number}"
    norm = {"weight": "scale", "bias": "bias"}
    if found := re.fullmatch(r"conv(\d)\.weight", rest):
        return f"{scope}/Conv_{int(found[1]) - 1}/kernel", _convolution
    if found := re.fullmatch(r"norm(\d)\.(weight|bias)", rest):
        return f"{scope}/MyGroupNorm_{int(found[1]) - 1}/{norm[found[2]]}", _same
    if rest == "shortcut.0.weight":
        return f"{scope}/conv_proj/kernel", _convolution
    return f"{scope}/norm_proj/{norm[rest.rpartition('.')[2]]}", _same


def _decoder_places(q_function: QFunction) -> Places:
    """The Q-functions: kernels (E, in, out), whose input is [task, action, embedding] in both."""
    layers = [*cast("Iterable[EnsembleDense]", q_function.layers), q_function.output]
    return {
        f"{CRITIC_LAYERS}/Dense_{index}/{name}": (parameter, _same)
        for index, layer in enumerate(layers)
        for name, parameter in (("kernel", layer.weight), ("bias", layer.bias))
    }


def _policy_places(actor: Actor) -> Places:
    """The actor behind its encoder: its input is [embedding, state, task] in both."""
    layers = cast("Iterable[nn.Linear]", actor.layers)
    named = {f"MLP_0/Dense_{index}": layer for index, layer in enumerate(layers)}
    named |= {"Dense_0": actor.mean, "Dense_1": actor.log_std}
    places: Places = {}
    for name, layer in named.items():
        places[f"actor/network/{name}/kernel"] = (layer.weight, np.transpose)
        places[f"actor/network/{name}/bias"] = (layer.bias, _same)
    return places


def _same(value: NDArray) -> NDArray:
    return value


def _convolution(value: NDArray) -> NDArray:
    """(H, W, in, out) to (out, in, H, W)."""
    return value.transpose(3, 2, 0, 1)


def _embeddings(value: NDArray) -> NDArray:
    """(H, W, C, F) to (C, H * W, F)."""
    height, width, channels, embeddings = value.shape
    return value.transpose(2, 0, 1, 3).reshape(channels, height * width, embeddings)
