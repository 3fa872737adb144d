# SPDX-License-Identifier: Apache-2.0
"""What one PTR update costs, in forward passes of its image encoder on the same batch. One JSON line.

    python tests/benchmarks/update_cost.py --encoder tiny --threads 1
    python tests/benchmarks/update_cost.py --encoder resnet34 --device cuda --precision bf16 --batch 256

Fields: encoder and update (median, ms), ratio of the two (limit 9.5: 9 passes if a backward one counts as 2, of
which the original has 19) and cpu_ratio, the same of processor time, which other processes disturb less; counted:
the ratio of arithmetic operations. On a GPU also peak (TFLOP/s of a large matrix product in this run) and
peak_share of the update. Medians over interleaved repetitions.
"""

from __future__ import annotations

import argparse
import json

import torch
from timing import interleaved, machine, operations, random_transitions

from ptr_models.algorithms import AlgorithmConfig, CQLAgent
from ptr_models.networks import NetworkConfig
from ptr_models.networks.config import ENCODERS
from ptr_models.training.allocator import keep_freed_memory

TASKS = 35


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", choices=ENCODERS, default="tiny")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--threads", type=int, default=0, help="0: PyTorch's own choice")
    parser.add_argument("--compile", action="store_true", help="the encoders through torch.compile")
    return parser.parse_args()


def matrix_peak(device: str, dtype: torch.dtype, size: int = 8192) -> float:
    """FLOP/s of a large matrix product."""
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    cost = interleaved({"product": lambda: left @ right}, 20, device)["product"]
    return 2 * size**3 / cost.wall


def main() -> None:
    options = arguments()
    keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    networks = NetworkConfig(encoder=options.encoder, image_size=options.image_size, precision=options.precision)
    algorithm = CQLAgent(AlgorithmConfig(), networks, TASKS, options.device)
    batch = random_transitions(options.batch, options.image_size, TASKS, options.device)

    @torch.no_grad()
    def encode() -> None:
        algorithm.critic.encoder(batch.image)

    def update() -> None:
        algorithm.update(batch, 0)

    encode_operations, update_operations = operations(encode), operations(update)
    if options.compile:
        for network in (algorithm.actor, algorithm.critic, algorithm.target_critic):
            network.encoder.compile()
    costs = interleaved({"encode": encode, "update": update}, options.repetitions, options.device)
    report = {
        "benchmark": "update_cost",
        "encoder": options.encoder,
        "image_size": options.image_size,
        "batch": options.batch,
        "device": options.device,
        "precision": options.precision,
        "compiled": options.compile,
        "encoder_ms": round(costs["encode"].wall * 1e3, 3),
        "update_ms": round(costs["update"].wall * 1e3, 3),
        "ratio": round(costs["update"].wall / costs["encode"].wall, 3),
        "cpu_ratio": round(costs["update"].cpu / costs["encode"].cpu, 3),
        "counted": round(update_operations / encode_operations, 3),
        "limit": 9.5,
    }
    if options.device.startswith("cuda"):
        peak = matrix_peak(options.device, torch.bfloat16 if options.precision == "bf16" else torch.float32)
        report["peak"] = round(peak / 1e12, 1)
        report["peak_share"] = round(update_operations / costs["update"].wall / peak, 4)
    print(json.dumps(report | machine(options.device)))


if __name__ == "__main__":
    main()
