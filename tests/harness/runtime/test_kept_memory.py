"""Freed memory that a process keeps for itself."""

from __future__ import annotations

import ctypes
import sys

import pytest

from harness.benchmarks.measure import in_child
from harness.runtime.memory import retain_freed_memory

BLOCK, TIMES, PAGE = 64 * 2**20, 8, 4096


def pages_cleared(kept: bool) -> int:
    """Pages that the kernel had to clear for blocks that are taken and let go again and again."""
    import resource

    import torch

    if kept:
        retain_freed_memory()
    for _ in range(2 * TIMES):  # a block is first taken beside the last one, until two that are free make room
        torch.ones(BLOCK, dtype=torch.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(TIMES):
        torch.ones(BLOCK, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="not with glibc")
def test_large_blocks_are_handed_out_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")  # pages of 4 KB, to be counted
    usual, kept = (in_child(f"{__name__}:pages_cleared", keep).result for keep in (False, True))
    assert usual > TIMES * BLOCK / PAGE / 2
    assert kept < usual / 20
