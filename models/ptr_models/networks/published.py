# SPDX-License-Identifier: Apache-2.0
"""Published weights of a backbone from a file that the user gives: R3M's ResNet-50, MAE's ViT-B/16.

The files hold more than the backbone (R3M's language model, MAE's decoder); those parts are known and skipped.
Any other tensor that is unknown, missing or of another shape is refused by name.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ptr_models.common.errors import PtrError
from ptr_models.input_limits import MAX_ARRAY_BYTES
from ptr_models.networks.resnet_batchnorm import BatchNormResNet50
from ptr_models.networks.vit import VisionTransformer

CONTAINERS = ("r3m", "model", "state_dict")
"""Keys under which publications keep their state dict."""


class WeightsError(PtrError):
    """A file of published weights cannot be read or does not fit the backbone."""


@dataclass(frozen=True)
class Layout:
    """How a publication names its weights.

    Attributes:
        name: of the publication.
        prefixes: before the backbone's own names; the longest that fits is removed.
        ignored: beginnings of names that belong to other parts of the publication.
    """

    name: str
    prefixes: tuple[str, ...]
    ignored: tuple[str, ...]


R3M = Layout("R3M", ("module.convnet.", "convnet.", "module."), ("module.lang_enc.", "module.lang_rew.", "fc."))
MAE = Layout("MAE", ("module.", "encoder."), ("decoder_", "mask_token", "head.", "fc_norm."))


@dataclass(frozen=True)
class Published:
    """What was loaded: the publication, the name of the file, and its SHA-256."""

    layout: str
    file: str
    sha256: str


def load_published(backbone: nn.Module, path: Path | str) -> Published:
    """Fill a backbone with published weights.

    Args:
        backbone: a `BatchNormResNet50` or a `VisionTransformer` of the size of the publication.
        path: a PyTorch file (tensors only: nothing is unpickled that could run) or a safetensors file.
    Raises:
        WeightsError: the backbone has no publication, the file cannot be read, or a name or shape differs.
    """
    path = Path(path)
    layout = _layout_of(backbone)
    tensors = _own_names(_read(path), layout)
    _compare(tensors, backbone.state_dict(), path)
    backbone.load_state_dict(tensors, strict=False)  # counters of BatchNorm, which R3M lacks, may stay at 0
    return Published(layout.name, path.name, hashlib.sha256(path.read_bytes()).hexdigest())


def _layout_of(backbone: nn.Module) -> Layout:
    if isinstance(backbone, BatchNormResNet50):
        return R3M
    if isinstance(backbone, VisionTransformer):
        return MAE
    raise WeightsError(
        f"networks.weights is for the encoders resnet50_batchnorm (R3M) and vit_b16 (MAE), not for a "
        f"{type(backbone).__name__}; choose one with networks.encoder"
    )


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, by name."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _require_small(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"there is no file of weights at {path}") from None
    except Exception as error:  # any error of a file without weights: zip, pickle, end of file, header, memory
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{path} cannot be read as weights ({reason}); give the published file") from error
    for key in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not weights by name; give the published file")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def _own_names(tensors: Mapping[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """The backbone's tensors under its own names."""
    named = {}
    for name, value in tensors.items():
        if name.startswith(layout.ignored):
            continue
        prefix = next((known for known in layout.prefixes if name.startswith(known)), "")
        own = name.removeprefix(prefix)
        if not own.startswith(layout.ignored):
            named[own] = value
    return named


def _compare(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    """Refuse the first name or shape that differs."""
    for name, value in wanted.items():
        if name not in tensors and not name.endswith("num_batches_tracked"):
            raise WeightsError(f"{path} lacks {name}; it is not for this backbone")
        if name in tensors and tensors[name].shape != value.shape:
            found, own = tuple(tensors[name].shape), tuple(value.shape)
            raise WeightsError(f"{name} is {found} in {path} but {own} in the backbone; it is for another size")
    unknown = sorted(set(tensors) - set(wanted))
    if unknown:
        raise WeightsError(f"{path} has {unknown[0]}, which the backbone does not have; it is for another network")


def _require_small(path: Path) -> None:
    """Refuse a zip archive that would unpack to more than the limit, by the sizes that it declares."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > MAX_ARRAY_BYTES:
        raise ValueError(f"its arrays have {size} bytes; at most {MAX_ARRAY_BYTES} are read")
