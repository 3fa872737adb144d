# SPDX-License-Identifier: Apache-2.0
"""Published weights: R3M's ResNet-50 and MAE's ViT-B/16 load from files in their layouts, all else is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ptr_models.networks import Encoder, NetworkConfig
from ptr_models.networks.backbones import make_backbone
from ptr_models.networks.published import WeightsError, load_published
from ptr_models.networks.resnet_batchnorm import BatchNormResNet50
from ptr_models.networks.vit import SIZES, Size, VisionTransformer


def r3m_layout() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of torchvision's ResNet-50 without its last layer, written down from its definition."""

    def norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for kind in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{kind}", (width,)
        yield f"{name}.num_batches_tracked", ()

    yield "conv1.weight", (64, 3, 7, 7)
    yield from norm("bn1", 64)
    inputs = 64
    for stage, (blocks, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            yield f"{name}.conv1.weight", (width, inputs, 1, 1)
            yield from norm(f"{name}.bn1", width)
            yield f"{name}.conv2.weight", (width, width, 3, 3)
            yield from norm(f"{name}.bn2", width)
            yield f"{name}.conv3.weight", (4 * width, width, 1, 1)
            yield from norm(f"{name}.bn3", 4 * width)
            if block == 0:
                yield f"{name}.downsample.0.weight", (4 * width, inputs, 1, 1)
                yield from norm(f"{name}.downsample.1", 4 * width)
            inputs = 4 * width


def mae_layout(layers: int = 12, width: int = 768, patch: int = 16, patches: int = 196) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the encoder in MAE's release."""
    names: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 1 + patches, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    for layer in range(layers):
        parts = {"attn.qkv": 3 * width, "attn.proj": width, "mlp.fc1": 4 * width}
        for part, outputs in parts.items():
            names[f"blocks.{layer}.{part}.weight"] = (outputs, width)
            names[f"blocks.{layer}.{part}.bias"] = (outputs,)
        names[f"blocks.{layer}.mlp.fc2.weight"] = (width, 4 * width)
        names[f"blocks.{layer}.mlp.fc2.bias"] = (width,)
        for norm in ("norm1", "norm2"):
            names[f"blocks.{layer}.{norm}.weight"] = names[f"blocks.{layer}.{norm}.bias"] = (width,)
    return names


def filled(layout: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.zeros((), dtype=torch.int64) if shape == () else torch.rand(shape, generator=generator) * 0.02 + 0.5
        for name, shape in layout.items()
    }


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def test_the_resnet_has_the_names_shapes_and_size_of_the_publication() -> None:
    backbone = BatchNormResNet50()
    assert shapes(backbone) == dict(r3m_layout())
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 23_508_032


def test_the_vision_transformer_has_the_names_shapes_and_size_of_the_publication() -> None:
    backbone = VisionTransformer("vit_b16", 128)
    assert backbone.grid == 14
    assert shapes(backbone) == mae_layout()
    assert sum(parameter.numel() for parameter in backbone.parameters()) == 85_798_656


def test_r3m_loads_from_its_own_file(tmp_path: Path) -> None:
    weights = filled(dict(r3m_layout()))
    others = {"module.lang_enc.model.embeddings.weight": torch.zeros(2), "module.lang_rew.pred.0.bias": torch.zeros(2)}
    content = {"r3m": {f"module.convnet.{name}": value for name, value in weights.items()} | others, "global_step": 7}
    file = tmp_path / "r3m_50.pt"
    torch.save(content, file)
    backbone = BatchNormResNet50().eval()
    loaded = load_published(backbone, file)
    assert loaded.layout == "R3M" and loaded.file == "r3m_50.pt"
    assert loaded.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert all(torch.equal(value, weights[name]) for name, value in backbone.state_dict().items())


@pytest.fixture
def small_publication(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, ...]]:
    """A Vision Transformer in MAE's layout, but small; the names of its weights."""
    monkeypatch.setitem(SIZES, "vit_b16", Size(16, 24, 2, 3, image=32))
    return mae_layout(layers=2, width=24, patches=4)


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_mae_loads_with_and_without_its_decoder(kind: str, small_publication: dict, tmp_path: Path) -> None:
    weights = filled(small_publication)
    others = {name: torch.zeros(2) for name in ("decoder_embed.weight", "mask_token", "decoder_pos_embed")}
    file = tmp_path / f"mae.{kind}"
    if kind == "pth":
        torch.save({"model": weights | others}, file)
    else:
        save_file(weights, file)
    backbone = VisionTransformer("vit_b16", 128)
    assert load_published(backbone, file).layout == "MAE"
    assert all(torch.equal(value, weights[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"norm.weight": None}, "lacks norm.weight"),
        ({"norm.weight": torch.zeros(25)}, r"norm.weight is \(25,\).*\(24,\) in the backbone"),
        ({"blocks.2.norm1.weight": torch.zeros(24)}, "has blocks.2.norm1.weight, which the backbone does not have"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(
    change: dict, words: str, small_publication: dict, tmp_path: Path
) -> None:
    weights = {k: v for k, v in (filled(small_publication) | change).items() if v is not None}
    torch.save({"model": weights}, tmp_path / "mae.pth")
    backbone = VisionTransformer("vit_b16", 128)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    with pytest.raises(WeightsError, match=words) as caught:
        load_published(backbone, tmp_path / "mae.pth")
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


class Evil:
    """What must never be unpickled."""

    def __reduce__(self) -> tuple:
        return (print, ("unpickled",))


def test_files_that_hold_no_weights_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    backbone = VisionTransformer("vit_tiny", 64)
    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "text.pt").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pt")
    for name, words in (("evil.pth", "cannot be read"), ("text.pt", "cannot be read"), ("none.pt", "no file")):
        with pytest.raises(WeightsError, match=words) as caught:
            load_published(backbone, tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(WeightsError, match="holds a list"):
        load_published(backbone, tmp_path / "list.pt")
    assert "unpickled" not in capsys.readouterr().out
    with pytest.raises(WeightsError, match="not for a Tiny"):
        load_published(make_backbone("tiny"), tmp_path / "list.pt")


def test_published_backbones_see_224_pixels_with_the_statistics_of_imagenet() -> None:
    backbone = BatchNormResNet50()
    grey = torch.full((1, 3, 64, 64), 0.5)
    prepared = backbone.prepare(grey)
    assert prepared.shape == (1, 3, 224, 224)
    wanted = [(0.5 - mean) / std for mean, std in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)]
    assert prepared[0, :, 100, 7].tolist() == pytest.approx(wanted, abs=1e-6)


def test_a_frozen_backbone_keeps_its_weights_and_its_statistics() -> None:
    torch.manual_seed(0)
    encoder = Encoder(NetworkConfig(encoder="resnet50_batchnorm", pooling="mean", image_size=32, latent=8))
    encoder.freeze_backbone()
    encoder.train()
    before = {name: value.clone() for name, value in encoder.backbone.state_dict().items()}
    encoder(torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)).sum().backward()
    assert encoder.dense.weight.grad is not None
    assert all(parameter.grad is None for parameter in encoder.backbone.parameters())
    assert all(torch.equal(value, before[name]) for name, value in encoder.backbone.state_dict().items())
