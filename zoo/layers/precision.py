"""Floating-point formats that a device supports."""

from __future__ import annotations

import torch


def computes_bfloat16(device: torch.device) -> bool:
    """Return True if a device computes in bfloat16 natively.

    A CPU without native bfloat16 is slower in it than in float32, up to some 30 times.

    Args:
        device: A CUDA device or the CPU.

    Returns:
        True if bfloat16 is not emulated.

    Examples:
        >>> import torch
        >>> from zoo.layers.precision import computes_bfloat16
        >>> dtype = torch.bfloat16 if computes_bfloat16(torch.device("cpu")) else torch.float32
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
