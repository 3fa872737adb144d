# SPDX-License-Identifier: Apache-2.0
"""Load a policy by reference: the folder of a checkpoint, or KIND:ADDRESS of an external policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from ptr_models.common.assets import is_external
from ptr_models.common.registry import Registry
from ptr_models.inference.acting import ServedPolicy

POLICIES: Registry[Callable[[str, str], ServedPolicy]] = Registry(
    "kind of policy",
    "ptr.policies",
    {
        "openpi": "ptr_models.inference.openpi:open_policy",
        "lerobot": "ptr_models.inference.lerobot_policy:open_policy",
    },
)
"""Each opens a policy at an address (the text after `KIND:`) on a device (cpu, cuda or cuda:NUMBER)."""

_ADDRESS, _LONGEST = re.compile(r"[A-Za-z_]\w*:\S.*"), 4096


def load_policy(reference: str, device: str = "cpu") -> ServedPolicy:
    """Load the policy of a checkpoint, or open an external one.

    Args:
        reference: a folder, KIND:ADDRESS, or a file that contains only KIND:ADDRESS.
    Raises:
        CheckpointError: the checkpoint is missing or damaged, or has no trained policy.
        UnknownNameError: this kind is not installed; the message lists the installed ones.
        PtrError: the external policy can't be reached, or does not fit.
    """
    reference = _addressed(reference)
    if is_external(reference):
        kind, _, address = reference.partition(":")
        return POLICIES[kind](address, device)
    from ptr_models.inference.policy import Policy

    return Policy.load(reference, device)


def _addressed(reference: str) -> str:
    """The content of a file with the address of an external policy; otherwise the reference itself."""
    path = Path(reference)
    if path.is_file() and path.stat().st_size <= _LONGEST:
        text = path.read_text("utf-8", "replace").strip()
        if _ADDRESS.fullmatch(text):
            return text
    return reference
