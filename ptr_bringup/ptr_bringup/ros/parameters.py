# SPDX-License-Identifier: Apache-2.0
"""Declare a node's parameters with description and range, one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    Parameter,
    ParameterDescriptor,
    ParameterType,
    ParameterValue,
)
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node

from ptr_bringup.ros.renamed_parameters import refuse_former_names


def declare(
    node: Node,
    name: str,
    default: Any,
    description: str,
    limits: tuple[float, float] | None = None,
    read_only: bool = True,
) -> Any:
    """Declare a parameter, and return its value.

    Args:
        limits: minimum and maximum of a number, inclusive.
        read_only: it can only be set at start.

    Raises:
        StartupError: it was given under its former name.
    """
    refuse_former_names(node, name)
    descriptor = ParameterDescriptor(description=description, read_only=read_only)
    if limits is not None:
        if isinstance(default, float):
            low, high = float(limits[0]), float(limits[1])
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(limits[0]), to_value=int(limits[1]))]
    return node.declare_parameter(name, default, descriptor).value


def set_texts(values: Mapping[str, str]) -> SetParameters.Request:
    """A request that sets string parameters of a running node, by name."""
    kind = ParameterType.PARAMETER_STRING
    return SetParameters.Request(
        parameters=[
            Parameter(name=name, value=ParameterValue(type=kind, string_value=text)) for name, text in values.items()
        ]
    )


def refusal(response: SetParameters.Response) -> str:
    """Why a node refused the first value that it did not accept; empty if it accepted all."""
    return next((str(result.reason) for result in response.results if not result.successful), "")
