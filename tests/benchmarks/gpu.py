# SPDX-License-Identifier: Apache-2.0
"""Everything about training that only a GPU can show, in under ten minutes. One JSON line per measurement.

    python tests/benchmarks/gpu.py                    all parts; says so, and ends with 2, where there is no GPU
    python tests/benchmarks/gpu.py --parts update     one part
    python tests/benchmarks/gpu.py --device cpu --encoder tiny --batch 4 --image-size 16 --repetitions 1
                                                      whether the program itself works, on a CPU

Parts:
    update        one PTR update: fp32 and bf16; plain, compiled, with CUDA graphs; updates per second.
    norm          GroupNorm + ReLU of a feature map, forward and backward: this repository's in channels-last, PyTorch's
                  in channels-last and in NCHW.
    augmentation  a batch augmented on the GPU and by one CPU thread; the largest difference of a pixel.
    feeding       updates per second with batches from a thread, augmented on the CPU and on the GPU, beside those with
                  a batch that is there already.
Parts begin until --seconds are over; what is left is named in the last line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from sampler import random_data
from timing import interleaved, machine, random_transitions
from torch import Tensor
from torch.nn import functional

from ptr_models.algorithms import AlgorithmConfig, CQLAgent
from ptr_models.networks import NetworkConfig
from ptr_models.networks.config import ENCODERS
from ptr_models.networks.layers import group_norm
from ptr_models.replay import Augmentation, Sampler
from ptr_models.replay.augment import augment, draw
from ptr_models.training import device_augmentation
from ptr_models.training.allocator import keep_freed_memory
from ptr_models.training.device_batches import DeviceBatches, Staged
from ptr_models.training.loop import compile_encoders
from ptr_models.training.prefetch import Prefetcher

TASKS = 35
Report = dict[str, Any]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--encoder", choices=ENCODERS, default="resnet34")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=480.0, help="no measurement begins later than this")
    return parser.parse_args()


def algorithm(options: argparse.Namespace, precision: str) -> CQLAgent:
    torch.manual_seed(0)
    networks = NetworkConfig(encoder=options.encoder, image_size=options.image_size, precision=precision)
    return CQLAgent(AlgorithmConfig(), networks, TASKS, options.device)


def update(options: argparse.Namespace) -> Iterator[Callable[[], Report]]:
    """Each precision and way of running alone, since a compiled encoder stays compiled."""
    for precision in ("fp32", "bf16"):
        for mode in ("", "default", "reduce-overhead"):
            yield lambda precision=precision, mode=mode: _update(options, precision, mode)


def _update(options: argparse.Namespace, precision: str, mode: str) -> Report:
    learner = algorithm(options, precision)
    batch = random_transitions(options.batch, options.image_size, TASKS, options.device)
    begun = time.perf_counter()
    if mode:
        compile_encoders(learner, mode)
        learner.update(batch, 0)
    first = time.perf_counter() - begun
    cost = interleaved({"update": lambda: learner.update(batch, 0)}, options.repetitions, options.device)["update"]
    return {
        "precision": precision,
        "compile": mode or "no",
        "update_ms": round(cost.wall * 1e3, 3),
        "updates_per_second": round(1 / cost.wall, 1),
        "compiling_s": round(first, 1) if mode else 0.0,
        "peak_memory_mb": _peak_memory(options.device),
    }


def _peak_memory(device: str) -> int | None:
    return round(torch.cuda.max_memory_allocated() / 1e6) if device.startswith("cuda") else None


def norm(options: argparse.Namespace) -> Iterator[Callable[[], Report]]:
    """Maps of the size of a ResNet's second and last stages."""
    for dtype in (torch.float32, torch.bfloat16):
        for channels, side in ((64, options.image_size // 4), (512, options.image_size // 8)):
            yield lambda dtype=dtype, channels=channels, side=side: _norm(options, dtype, channels, side)


def _norm(options: argparse.Namespace, dtype: torch.dtype, channels: int, side: int) -> Report:
    layer = group_norm(channels).to(options.device)

    def own(x: Tensor) -> Tensor:
        return layer(x, relu=True)

    def native(x: Tensor) -> Tensor:
        weight, bias = layer.weight.to(x.dtype), layer.bias.to(x.dtype)
        return functional.relu(functional.group_norm(x, layer.num_groups, weight, bias, layer.eps))

    def both_ways(call: Callable[[Tensor], Tensor], layout: torch.memory_format) -> Callable[[], None]:
        x = torch.randn(options.batch, channels, side, side, device=options.device, dtype=dtype)
        x = x.to(memory_format=layout).requires_grad_()
        gradient = torch.randn_like(x)
        return lambda: call(x).backward(gradient)

    calls = {
        "own_channels_last": both_ways(own, torch.channels_last),
        "native_channels_last": both_ways(native, torch.channels_last),
        "native_nchw": both_ways(native, torch.contiguous_format),
    }
    costs = interleaved(calls, options.repetitions, options.device)
    shape = {"precision": str(dtype).removeprefix("torch."), "channels": channels, "side": side}
    return shape | {f"{name}_ms": round(cost.wall * 1e3, 4) for name, cost in costs.items()}


def augmentation(options: argparse.Namespace) -> Iterator[Callable[[], Report]]:
    """The same draws for both."""
    yield lambda: _augmentation(options)


def _augmentation(options: argparse.Namespace) -> Report:
    shape = (options.batch, options.image_size, options.image_size, 3)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    there = torch.from_numpy(images).to(options.device)
    seed = iter(range(10**9))

    def on_cpu() -> np.ndarray:
        return augment(images, np.random.default_rng(next(seed)))

    def on_device() -> Tensor:
        return device_augmentation.apply(there, draw(options.batch, 1, np.random.default_rng(next(seed))))

    costs = interleaved({"cpu": on_cpu, "device": on_device}, options.repetitions, options.device)
    draws = draw(options.batch, 1, np.random.default_rng(0))
    expected = augment(images, np.random.default_rng(0))
    found = device_augmentation.apply(there, draws).cpu().numpy()
    return {
        "cpu_thread_ms": round(costs["cpu"].wall * 1e3, 3),
        "device_ms": round(costs["device"].wall * 1e3, 3),
        "largest_difference": int(np.abs(expected.astype(int) - found.astype(int)).max()),
    }


def feeding(options: argparse.Namespace) -> Iterator[Callable[[], Report]]:
    """The prefetcher of the training loop, in the precision that a GPU is meant for."""
    for place in ("none", "cpu", "device"):
        yield lambda place=place: _feeding(options, place)


def _feeding(options: argparse.Namespace, place: str) -> Report:
    learner = algorithm(options, "bf16")
    ids = {f"task_{index}": index for index in range(TASKS)}
    sampler = Sampler(random_data(20, options.image_size), ids)
    batches = DeviceBatches(options.device, TASKS, Augmentation(), 0, place == "device")
    wait = torch.cuda.synchronize if options.device.startswith("cuda") else (lambda: None)
    updates = 5 * options.repetitions

    def make(step: int) -> Staged:
        return batches.stage(sampler.sample(options.batch), step)

    there = batches.wait_for(make(0))
    learner.update(there, 0)
    wait()
    with Prefetcher(make, sampler.state_dict, range(updates if place != "none" else 0)) as prefetcher:
        begun = time.perf_counter()
        for step in range(updates):
            tensors = there if place == "none" else batches.wait_for(prefetcher.next()[0])
            learner.update(tensors, step)
        wait()
        seconds = time.perf_counter() - begun
    return {"augmented_on": place, "updates_per_second": round(updates / seconds, 1)}


PARTS = {"update": update, "norm": norm, "augmentation": augmentation, "feeding": feeding}


def main() -> int:
    options = arguments()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(json.dumps({"benchmark": "gpu", "error": "PyTorch sees no GPU here; nothing was measured"}))
        return 2
    keep_freed_memory()
    torch.backends.cudnn.benchmark = True
    about = machine(options.device) | {"encoder": options.encoder, "batch": options.batch, "size": options.image_size}
    begun, left, failed = time.monotonic(), [], []
    for part in options.parts:
        for number, measure in enumerate(PARTS[part](options)):
            name = f"{part} {number}"
            if time.monotonic() - begun > options.seconds:
                left.append(name)
                continue
            try:
                report = measure()
            except Exception as error:  # one way of running may not work on this machine; the others still count
                failed.append(name)
                report = {"error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
            print(json.dumps({"benchmark": "gpu", "part": part} | report | about), flush=True)
    seconds = round(time.monotonic() - begun, 1)
    print(json.dumps({"benchmark": "gpu", "seconds": seconds, "failed": failed, "not_measured": left}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
