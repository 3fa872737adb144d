# SPDX-License-Identifier: Apache-2.0
"""What a decision costs over its two image encoders. One JSON line.

    python tests/benchmarks/forward_cost.py --encoder resnet34 --threads 1

One image through the actor, 16 candidate actions, their values by the critic: fields encoders (both encoders'
forward, median ms), decision (everything), ratio of the two (limit 1.1) and cpu_ratio, the same of processor time.
Medians over interleaved repetitions.
"""

from __future__ import annotations

import argparse
import json

import torch
from timing import interleaved, machine, random_transitions

from ptr_models.networks import Actor, Critic, NetworkConfig
from ptr_models.networks.config import ENCODERS

TASKS = 35


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", choices=ENCODERS, default="tiny")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--candidates", type=int, default=16)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


@torch.inference_mode()
def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    networks = NetworkConfig(encoder=options.encoder, image_size=options.image_size, precision=options.precision)
    actor, critic = (kind(networks, TASKS).to(options.device).eval() for kind in (Actor, Critic))
    seen = random_transitions(1, options.image_size, TASKS, options.device)

    def encoders() -> None:
        actor.encode(seen.image)
        critic.encode(seen.image, seen.state)

    def decision() -> None:
        policy = actor(seen.image, seen.state, seen.task)
        actions = torch.cat([policy.mode.unsqueeze(1), policy.sample(options.candidates - 1)[0]], dim=1)
        values = critic.q(critic.encode(seen.image, seen.state), seen.task, actions)
        values.min(dim=0).values.argmax()

    costs = interleaved({"encoders": encoders, "decision": decision}, options.repetitions, options.device)
    report = {
        "benchmark": "forward_cost",
        "encoder": options.encoder,
        "image_size": options.image_size,
        "device": options.device,
        "precision": options.precision,
        "candidates": options.candidates,
        "encoders_ms": round(costs["encoders"].wall * 1e3, 3),
        "decision_ms": round(costs["decision"].wall * 1e3, 3),
        "ratio": round(costs["decision"].wall / costs["encoders"].wall, 3),
        "cpu_ratio": round(costs["decision"].cpu / costs["encoders"].cpu, 3),
        "limit": 1.1,
    }
    print(json.dumps(report | machine(options.device)))


if __name__ == "__main__":
    main()
