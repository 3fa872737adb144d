# SPDX-License-Identifier: Apache-2.0
"""A policy by what a user calls it: the folder of a checkpoint, or KIND:ADDRESS of an external one."""

from __future__ import annotations

from collections.abc import Callable

from ptr_models.common.assets import is_external
from ptr_models.common.registry import Registry
from ptr_models.inference.acting import ServedPolicy

POLICIES: Registry[Callable[[str], ServedPolicy]] = Registry(
    "kind of policy", "ptr.policies", {"openpi": "ptr_models.inference.openpi:open_policy"}
)
"""Each opens a policy at an address, the text behind KIND and its colon."""


def load_policy(reference: str, device: str = "cpu") -> ServedPolicy:
    """Load the policy of a checkpoint, or open an external one.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or has no trained policy.
        UnknownNameError: no such kind is installed; the message lists those that are.
        PtrError: the external policy can't be reached, or does not fit.
    """
    if is_external(reference):
        kind, _, address = reference.partition(":")
        return POLICIES[kind](address)
    from ptr_models.inference.policy import Policy

    return Policy.load(reference, device)
