# SPDX-License-Identifier: Apache-2.0
"""Memory that was freed is used again without asking the kernel."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from ptr_models.training import allocator

COUNT = """
import resource, sys
import torch
from ptr_models.training.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
faults = []
for _ in range(30):  # the heap settles within about ten
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(16 << 20).fill_(0.0)  # 64 MiB
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(sum(faults[-5:]))
"""


def page_faults(rule: str) -> int:
    done = subprocess.run([sys.executable, "-c", COUNT, rule], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the options are those of glibc's malloc")
def test_a_block_of_freed_memory_is_not_cleared_by_the_kernel_again() -> None:
    assert page_faults("keep") < 20
    assert page_faults("return") > 1000


def test_another_c_library_keeps_its_own_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: object())
    assert not allocator.keep_freed_memory()
