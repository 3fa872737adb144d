# SPDX-License-Identifier: Apache-2.0
"""Batches on their way to the device that trains: the same images, the right GPU, copies that nothing overtakes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from training_runs import train_command

from ptr_models.algorithms import batch as algorithms_batch
from ptr_models.algorithms import make_algorithm
from ptr_models.algorithms.batch import to_tensor
from ptr_models.cli import main
from ptr_models.networks import NetworkConfig
from ptr_models.replay import Augmentation, Batch
from ptr_models.replay.windows import Clips
from ptr_models.training import device_batches
from ptr_models.training.config import ConfigError, TrainingConfig
from ptr_models.training.data import Bags
from ptr_models.training.device_batches import DeviceBatches, own_device
from ptr_models.training.loop import compile_encoders
from ptr_models.training.presets import preset

RULE = Augmentation()


def random_batch(rows: int = 8, size: int = 16) -> Batch:
    generator = np.random.default_rng(0)

    def numbers(*shape: int) -> np.ndarray:
        return generator.uniform(-0.9, 0.9, shape).astype(np.float32)

    images = generator.integers(0, 256, (2, rows, size, size, 3), dtype=np.uint8)
    return Batch(
        images[0], numbers(rows, 7), numbers(rows, 7), images[1], numbers(rows, 7), numbers(rows), numbers(rows),
        numbers(rows), np.arange(rows) % 3, np.ones(rows, bool),
    )  # fmt: skip


def made(on_device: bool, batch: Any, part: tuple[int, int] = (0, 1)) -> Any:
    batches = DeviceBatches("cpu", 3, RULE, 5, on_device, part)
    return batches.wait_for(batches.stage(batch, 7))


@pytest.mark.parametrize("part", [(0, 1), (1, 2)])
def test_a_batch_is_the_same_wherever_it_is_augmented(part: tuple[int, int]) -> None:
    batch = random_batch()
    of_arrays, on_device = made(False, batch, part), made(True, batch, part)
    for name in ("image", "next_image"):
        difference = (getattr(of_arrays, name).int() - getattr(on_device, name).int()).abs()
        assert difference.max() <= 1 and (difference > 0).float().mean() < 1e-3
    assert not torch.equal(on_device.image, torch.from_numpy(batch.image))
    for name in ("state", "action", "reward", "mask", "mc_return", "task", "success"):
        assert torch.equal(getattr(of_arrays, name), getattr(on_device, name))


def test_clips_are_augmented_on_the_device_too() -> None:
    clips = Clips(image=random_batch(6).image, video=np.arange(2))
    of_arrays, on_device = made(False, clips), made(True, clips)
    assert (of_arrays.image.int() - on_device.image.int()).abs().max() <= 1


class FakeCuda:
    """Streams and events that note what happens, in the place of torch.cuda."""

    Event = object

    def __init__(self) -> None:
        self.log: list[str] = []
        self.on = "training"

    def Stream(self, device: torch.device) -> FakeStream:  # noqa: N802, torch.cuda's name
        return FakeStream(self, f"copies to {device}")

    def current_stream(self, device: torch.device) -> FakeStream:
        return FakeStream(self, self.on)

    def current_device(self) -> int:
        return 3

    @contextmanager
    def stream(self, stream: FakeStream) -> Any:
        before, self.on = self.on, stream.name
        yield
        self.on = before


class FakeStream:
    def __init__(self, cuda: FakeCuda, name: str) -> None:
        self.cuda, self.name = cuda, name

    def record_event(self) -> str:
        return f"event of {self.name}"

    def wait_event(self, event: str) -> None:
        self.cuda.log.append(f"{self.name} waits for {event}")


def test_copies_run_on_a_stream_of_their_own_and_training_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda()
    monkeypatch.setattr(torch, "cuda", cuda)
    seen: list[str] = []

    def convert(batch: Any, tasks: int, device: torch.device) -> Any:
        cuda.log.append(f"{cuda.on}: to {device}")
        return algorithms_batch.Transitions.from_arrays(batch, tasks)

    monkeypatch.setattr(device_batches, "to_tensors", convert)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: seen.append(stream.name))
    batches = DeviceBatches("cuda", 3, RULE, 5, True)
    staged = batches.stage(random_batch(), 0)
    tensors = batches.wait_for(staged)
    assert cuda.log == [
        "copies to cuda:3: to cuda:3",  # the GPU of the thread that made it, not of the one that copies
        "training waits for event of copies to cuda:3",
    ]
    assert seen == ["training"] * 10
    assert tensors.image.shape == (8, 16, 16, 3)


def test_a_copy_to_a_gpu_starts_from_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        calls.append(("pin", tensor.dtype))
        return tensor

    def to(tensor: torch.Tensor, **options: Any) -> torch.Tensor:
        calls.append(("to", options))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    to_tensor(np.zeros(3, np.float32), torch.float32, "cuda:1")
    to_tensor(np.zeros(3, np.float32), torch.float32, "cpu")
    names = [name for name, _ in calls]
    assert names == ["pin", "to", "to"]
    assert calls[1][1] == {"device": "cuda:1", "dtype": torch.float32, "non_blocking": True}


def test_a_device_with_a_number_stays_and_the_cpu_is_the_cpu() -> None:
    assert own_device("cuda:2") == torch.device("cuda", 2)
    assert own_device("cpu") == torch.device("cpu")


def test_images_are_augmented_on_a_gpu_unless_told_otherwise() -> None:
    data = TrainingConfig().data
    assert data.augments_on_device("cuda:1") and not data.augments_on_device("cpu")
    assert replace(data, augment_on="device").augments_on_device("cpu")
    assert not replace(data, augment_on="cpu").augments_on_device("cuda")
    with pytest.raises(ConfigError, match="augment_on is 'gpu'; known: auto, cpu, device"):
        TrainingConfig().replaced(["data.augment_on=gpu"])
    with pytest.raises(ConfigError, match="compile is 'fast'; known: default, reduce-overhead"):
        TrainingConfig().replaced(["compile=fast"])


def test_a_run_trains_with_images_augmented_on_its_device(training_bags: Bags, tmp_path: Any) -> None:
    command = train_command(training_bags, tmp_path / "run", "--steps", "2", "--set", "data.augment_on=device")
    assert main(command) == 0
    assert (tmp_path / "run" / "checkpoints" / "step_00000002").is_dir()


def test_compiled_encoders_compute_what_they_computed_before() -> None:
    torch.manual_seed(0)
    config = preset("bc_small").algorithm
    algorithm = make_algorithm(config, NetworkConfig(encoder="tiny", image_size=16), 3)
    batches = DeviceBatches("cpu", 3, RULE, 5, False)
    tensors = batches.wait_for(batches.stage(random_batch(), 0))

    def step() -> tuple[torch.Tensor, torch.Tensor]:
        policy = algorithm.actor(tensors.image, tensors.state, tensors.task)
        algorithm.actor.zero_grad()
        policy.mean.square().sum().backward()
        return policy.mean.detach(), algorithm.actor.encoder.backbone.stem.weight.grad

    plain, names = step(), algorithm.actor.state_dict().keys()
    assert compile_encoders(algorithm, "default", backend="aot_eager", fullgraph=True) >= 1
    compiled = step()
    torch.testing.assert_close(compiled, plain)
    assert algorithm.actor.state_dict().keys() == names
