# SPDX-License-Identifier: Apache-2.0
"""Former names of configuration keys, so that old checkpoints, files and commands still work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

RENAMED = {
    "algorithm.polyak": "tau",
    "algorithm.alpha": "cql_alpha",
    "algorithm.samples": "cql_n_actions",
    "algorithm.uniform_dimensions": "cql_uniform_dimensions",
    "algorithm.actor_rate": "actor_lr",
    "algorithm.critic_rate": "critic_lr",
    "algorithm.critic_td_rate": "critic_td_lr",
    "algorithm.temperature_rate": "temperature_lr",
    "algorithm.bc_warmup": "bc_steps",
    "algorithm.critic_in_warmup": "critic_in_bc_steps",
    "algorithm.entropy_in_warmup": "entropy_in_bc_steps",
    "algorithm.actor_average": "ema_decay",
    "algorithm.choice": "action_choice",
    "algorithm.then": "next_algorithm",
    "algorithm.contrastive.rate": "lr",
    "algorithm.icvf.rate": "lr",
    "algorithm.masked.base_rate": "base_lr",
    "algorithm.masked.normalise": "norm_pix_loss",
    "networks.critics": "num_critics",
}
"""Former key, with its sections, to the present one in the same section. The names are those of CORL (`tau`,
`cql_alpha`, `cql_n_actions`, `bc_steps`), LeRobot (`actor_lr`, `critic_lr`, `temperature_lr`, `num_critics`) and MAE
(`norm_pix_loss`); `action_choice` is that of the policy server's parameter."""
_SECTIONS = {key.rpartition(".")[0] for key in RENAMED}
"""Only these sections are searched, so a YAML file that refers to itself causes no endless loop."""


def present_key(key: str) -> str:
    """The present name of a key with its sections: `algorithm.cql_alpha` for `algorithm.alpha`."""
    section, separator, _ = key.rpartition(".")
    return f"{section}{separator}{RENAMED[key]}" if key in RENAMED else key


def present_assignment(assignment: str) -> str:
    """`algorithm.cql_alpha=5` for `algorithm.alpha=5`."""
    key, separator, value = assignment.partition("=")
    return f"{present_key(key)}{separator}{value}"


def present_names(values: Mapping[str, Any], error: Callable[[str], Exception], path: str = "") -> dict[str, Any]:
    """A configuration (nested mappings) with former keys replaced by their present names.

    Args:
        error: makes the error to raise.
        path: section of `values`, ending with a dot.
    Raises:
        error: a key is given under both names.
    """
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        former = f"{path}{key}"
        present = RENAMED.get(former, key)
        if present != key and present in values:
            raise error(both_names(former))
        has_keys = former in _SECTIONS and isinstance(value, Mapping)
        renamed[present] = present_names(value, error, f"{former}.") if has_keys else value
    return renamed


def former_keys(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """The former keys in a configuration, with their sections; arguments as in `present_names`."""
    for key, value in values.items():
        name = f"{path}{key}"
        if name in RENAMED:
            yield name
        elif name in _SECTIONS and isinstance(value, Mapping):
            yield from former_keys(value, f"{name}.")


def now_called(former: str) -> str:
    """The message about a former key."""
    return f"{former} is now called {present_key(former)}"


def both_names(former: str) -> str:
    """The message about a key that is given under both its former and its present name."""
    return f"{now_called(former)}, and both are given; remove {former}"
