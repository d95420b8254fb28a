"""Share a batch between several processes that train one model.

Every process knows the labels and masks of the whole batch and predicts some of its clips (``local_rows``). The
predictions are gathered with their gradients (``gather_rows``), and each process computes the loss of the whole batch.
Concordance, counts of labels and learned weights of losses are therefore those of a single process, however the labels
are distributed.
Dropout draws the mask of the whole batch and takes its own rows: the draw depends on the step and the clip, never on
the process. Outside ``sharing`` every function here is the identity.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist


@dataclass(frozen=True)
class Share:
    """The rows of a batch that this process computes: ``bounds[rank]`` to ``bounds[rank + 1]`` of ``bounds[-1]`` rows.

    A process without rows computes the first row anyway, so that all processes run the same network. That row counts
    nowhere.

    Attributes:
        rank: This process's rank.
        bounds: The first row of each process, and the number of rows.
        group: The process group.
    """

    rank: int
    bounds: tuple[int, ...]
    group: Any = None

    @property
    def count(self) -> int:
        """The number of rows of this process."""
        return self.bounds[self.rank + 1] - self.bounds[self.rank]

    @property
    def rows(self) -> slice:
        """The rows that this process computes, at least one."""
        start = self.bounds[self.rank] if self.count else 0
        return slice(start, start + max(1, self.count))


def split(rows: int, rank: int, size: int, group: Any = None) -> Share:
    """Return the share of one of ``size`` processes in a batch of ``rows``, as even as possible."""
    return Share(rank, tuple(rows * i // size for i in range(size + 1)), group)


def part_of(share: Share | None, rows: int, part: int, parts: int) -> Share:
    """Return one of some parts of a process's rows, for work on one part after the other.

    ``share``: the process's rows of a batch of ``rows``; None if it has all. The result has no process group: nothing
    can be gathered while a part is computed.
    """
    start, stop = (0, rows) if share is None else (share.bounds[share.rank], share.bounds[share.rank + 1])
    first, last = (start + (stop - start) * i // parts for i in (part, part + 1))
    return Share(1, (0, first, last, rows))


_shares: list[Share] = []  # a stack: of clips, and inside a frame encoder of the frames under a mask


@contextmanager
def sharing(share: Share | None) -> Iterator[None]:
    """Share batches inside the context; with None the batch belongs to this process alone."""
    if share is None:
        yield
        return
    _shares.append(share)
    try:
        yield
    finally:
        _shares.pop()


@contextmanager
def sharing_frames(mask: Tensor) -> Iterator[None]:
    """Share the gathered frames under a mask (B, T) of the whole batch inside the context (zoo.modules.gather)."""
    if not _shares:
        yield
        return
    clips = _shares[-1]
    before = [0, *mask.sum(1).cumsum(0).tolist()]
    with sharing(Share(clips.rank, tuple(int(before[clip]) for clip in clips.bounds), clips.group)):
        yield


def current_share() -> Share | None:
    """Return the share of the batch in work; None if the batch belongs to this process alone."""
    return _shares[-1] if _shares else None


def shared() -> bool:
    """Return True if several processes work on the batch."""
    return bool(_shares)


def local_rows(x: Tensor) -> Tensor:
    """Return the rows of x (rows of the whole batch, ...) that this process computes."""
    return x[_shares[-1].rows] if _shares else x


def counting_rows(mask: Tensor) -> Tensor:
    """Return the rows of a mask that this process computes, all False if the process has no rows of its own."""
    return local_rows(mask) if not _shares or _shares[-1].count else torch.zeros_like(local_rows(mask))


def gather_rows(x: Tensor) -> Tensor:
    """Gather x (rows of this process, ...) to the rows of the whole batch, with gradient. Every process must call it.

    Each process's gradient is the sum over the losses of all processes, which is the gradient of a single process times
    the number of processes. The mean over processes, taken of all parameters' gradients, undoes the factor.
    """
    if not _shares:
        return x
    # Losses such as CCC need all predictions at once, so each process computes the loss of the whole batch. Rows are
    # padded to equal lengths, as all_gather requires, and cut again afterwards.
    share = _shares[-1]
    sizes = [stop - start for start, stop in zip(share.bounds, share.bounds[1:], strict=False)]
    padded = torch.cat([x[: share.count], x.new_zeros(max(sizes) - share.count, *x.shape[1:])])
    every: Tensor = _Gather.apply(padded, share)
    return torch.cat([part[:size] for part, size in zip(every, sizes, strict=True)])


mine, whole = local_rows, gather_rows  # the names in version 0.1, which plugins may use


class _Gather(torch.autograd.Function):
    """All-gather with gradient: (rows, ...) of each process -> (processes, rows, ...)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: Share) -> Tensor:
        ctx.share = share
        parts = [torch.empty_like(x) for _ in share.bounds[1:]]
        dist.all_gather(parts, x.contiguous(), group=share.group)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total, group=ctx.share.group)
        return total[ctx.share.rank], None


def normal_like(x: Tensor) -> Tensor:
    """Draw standard normal numbers for this process's rows x (rows, ...)."""
    return torch.randn_like(x) if not _shares else _own_rows(x, torch.randn)


def dropped(x: Tensor, p: float) -> Tensor:
    """Apply dropout to this process's rows x (rows, ...), or (k x rows, ...) such as the frames of clips, in order."""
    if not _shares or not len(x) or len(x) % (_shares[-1].rows.stop - _shares[-1].rows.start):
        return nn.functional.dropout(x, p)
    return x * _own_rows(x, lambda *shape, **kind: nn.functional.dropout(torch.ones(*shape, **kind), p))


def _own_rows(x: Tensor, draw: Any) -> Tensor:
    """Draw for the whole batch as one process would, and return this process's part, in the memory layout of x."""
    share = _shares[-1]
    each = len(x) // (share.rows.stop - share.rows.start)
    strides: list[int] = list(x.stride())
    order = sorted(range(x.ndim), key=lambda dim: (-strides[dim], dim))
    shape = [each * share.bounds[-1] or len(x), *x.shape[1:]]
    drawn: Tensor = draw(*(shape[dim] for dim in order), dtype=x.dtype, device=x.device)
    drawn = drawn.permute([order.index(dim) for dim in range(x.ndim)])
    return drawn[each * share.rows.start : each * share.rows.stop]


class SharedDropout(nn.Dropout):
    """Dropout with a mask that does not depend on the process. The first dimension is clips, or clips times others."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply dropout: (rows, ...) -> (rows, ...)."""
        return dropped(input, self.p) if self.training and self.p else input


def share_dropout(module: nn.Module) -> None:
    """Make every dropout in a network independent of the process. In a single process nothing changes."""
    for part in module.modules():
        if type(part) is nn.Dropout:
            part.__class__ = SharedDropout
