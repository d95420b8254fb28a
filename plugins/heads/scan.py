"""The recurrence of selective state spaces in plain PyTorch: sequential over frames, with its own backward pass.

Gu & Dao 2023, arXiv:2312.00752, algorithm 2, recurrent form. A parallel scan in log T sweeps would keep every sweep for
the backward pass. One fused multiply-add per frame, forward and backward, keeps only the states, and it rounds like the
formula.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 128  # frames whose states are computed at once: bounds the memory of a long video, does not change the result


def selective_scan(u: Tensor, step: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Compute a selective scan, in float32 or higher precision.

    In each channel, y_t = c_t . h_t with h_t = exp(step_t a) h_(t-1) + step_t b_t u_t, and h is 0 before the first
    frame. Shapes: u and step (B, T, D), a (D, N) and negative, b and c (B, T, N); the result y is (B, T, D).
    """
    dtype = torch.promote_types(u.dtype, torch.float32)
    u, step, b, c = (x.to(dtype).transpose(0, 1) for x in (u, step, b, c))  # frames first: one block of memory each
    state = u.new_zeros(*u.shape[1:], a.shape[1])  # (B, D, N)
    out = []
    for first in range(0, len(u), CHUNK):
        part = slice(first, first + CHUNK)
        decay = (step[part].unsqueeze(-1) * a.to(dtype)).exp()  # (t, B, D, N)
        inputs = (step[part] * u[part]).unsqueeze(-1) * b[part].unsqueeze(-2)
        states = recurrence(decay, inputs, state)
        out.append((states * c[part].unsqueeze(-2)).sum(-1))
        state = states[-1]
    return torch.cat(out).transpose(0, 1)


def recurrence(decay: Tensor, inputs: Tensor, first: Tensor) -> Tensor:
    """Compute h_t = decay_t h_(t-1) + inputs_t along dimension 0, with h_(-1) = ``first``.

    Shapes: decay and inputs (T, ...), first (...); the result is (T, ...).
    """
    out: Tensor = _Recurrence.apply(decay, inputs, first)
    return out


class _Recurrence(torch.autograd.Function):
    """The recurrence as one autograd node. Autograd's graph of the loop would have two nodes per frame and copies."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, inputs: Tensor, first: Tensor) -> Tensor:
        states = torch.empty_like(inputs, memory_format=torch.contiguous_format)
        for t in range(len(inputs)):
            torch.addcmul(inputs[t], decay[t], states[t - 1] if t else first, out=states[t])
        ctx.save_for_backward(decay, states, first)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the recurrence backwards: the gradient of inputs_t is g_t = dy_t + decay_(t+1) g_(t+1)."""
        decay, states, first = ctx.saved_tensors
        of_inputs = grads[0].clone(memory_format=torch.contiguous_format)
        for t in range(len(states) - 2, -1, -1):
            of_inputs[t].addcmul_(decay[t + 1], of_inputs[t + 1])
        of_decay = of_inputs * torch.cat([first.unsqueeze(0), states[:-1]])
        return of_decay, of_inputs, of_inputs[0] * decay[0]
