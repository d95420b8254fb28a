"""Prefetch the batches of an epoch in threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from harness.batching.clips import ClipData
from harness.batching.windows import Window
from harness.runtime.distributed import World
from harness.runtime.machine import cores
from zoo.model.model import Batch

PER_GPU = 8  # decoding threads for one GPU, at most


def prefetch_batches(
    data: ClipData, windows: Sequence[Sequence[Window]], length: int, world: World
) -> Generator[Batch, None, None]:
    """Yield the batches in order, on the device, with this process's share of each.

    Threads are enough, because decoding releases the interpreter lock.
    """
    threads = readers(world.device)
    pool = ThreadPoolExecutor(threads, "loader")
    ahead: deque[Future[Batch]] = deque()

    def read(batch: Sequence[Window]) -> Batch:
        share = world.share(len(batch))
        return data.batch(batch, length, share.rows if share else None).to(world.device)

    # Keep a batch per thread in the making and one ready. More would only fill memory: the step takes one at a time.
    try:
        for batch in windows:
            ahead.append(pool.submit(read, batch))
            if len(ahead) > threads + 1:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def readers(device: torch.device) -> int:
    """Return the number of reader threads: one if the CPU also trains, more if it only feeds a GPU."""
    if device.type == "cpu":
        return 1
    return max(1, min(PER_GPU, cores() // max(1, torch.cuda.device_count())))
