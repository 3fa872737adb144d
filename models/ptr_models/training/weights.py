# SPDX-License-Identifier: Apache-2.0
"""The learned state of an algorithm as named tensors on the CPU: weights and Adam's moments."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ptr_models.algorithms import Algorithm


def model_tensors(algorithm: Algorithm) -> dict[str, Tensor]:
    """Weights and buffers of the modules as float32, named MODULE.PARAMETER, and the log-temperature."""
    tensors = {
        f"{name}.{key}": value.detach().to("cpu", torch.float32).contiguous()
        for name, module in algorithm.modules.items()
        for key, value in module.state_dict().items()
    }
    return tensors | {"log_temperature": algorithm.log_temperature.detach().cpu().clone()}


def moments(algorithm: Algorithm, dtype: torch.dtype) -> dict[str, Tensor]:
    """First and second moments of each optimizer's parameters as `dtype`, and their numbers of updates."""
    tensors = {}
    for name, parameters in _parameters(algorithm).items():
        state = algorithm.optimizers[name].state
        for key, parameter in parameters.items():
            if parameter not in state:
                continue
            entry = state[parameter]
            tensors[f"{name}/step/{key}"] = entry["step"].detach().cpu().clone()
            for moment in ("exp_avg", "exp_avg_sq"):
                tensors[f"{name}/{moment}/{key}"] = entry[moment].detach().to("cpu", dtype).contiguous()
    return tensors


def load_moments(algorithm: Algorithm, tensors: Mapping[str, Tensor]) -> None:
    """Load the result of `moments` into the optimizers. Parameters without stored moments start from scratch."""
    for name, parameters in _parameters(algorithm).items():
        state = algorithm.optimizers[name].state
        for key, parameter in parameters.items():
            if f"{name}/step/{key}" not in tensors:
                continue
            entry = {"step": tensors[f"{name}/step/{key}"].to(parameter.device, torch.float32)}
            for moment in ("exp_avg", "exp_avg_sq"):
                value = tensors[f"{name}/{moment}/{key}"].to(parameter.device, torch.float32)
                entry[moment] = torch.empty_like(parameter).copy_(value)  # in the parameter's memory layout
            state[parameter] = entry


def _parameters(algorithm: Algorithm) -> dict[str, dict[str, torch.nn.Parameter]]:
    """The parameters of each optimizer by name, in the optimizer's order."""
    named = {
        name: dict(algorithm.modules[name].named_parameters()) for name in algorithm.optimizers if name != "temperature"
    }
    if "temperature" in algorithm.optimizers:
        named["temperature"] = {"log_temperature": algorithm.log_temperature}
    return named
