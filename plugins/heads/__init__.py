"""Catalogue of the built-in heads: one light spec each; the networks are in the other modules of this package."""

from __future__ import annotations

from typing import Any

from zoo import api

_WIDTH = {
    "hidden": api.Option(64, "units per layer"),
    "layers": api.Option(1, "number of layers"),
    "dropout": api.Option(0.1, "dropout rate before each layer"),
}
_RECURRENT = {
    **_WIDTH,
    "hidden": api.Option(64, "units per layer and direction"),
    "bidirectional": api.Option(True, "read later frames too; false: a causal head"),
}
_CAUSAL = {"causal": api.Option(False, "read only the frame itself and earlier frames")}
_MAMBA = {
    **_RECURRENT,
    "layers": api.Option(2, "number of layers"),
    "state": api.Option(16, "size of each channel's state"),
    "kernel": api.Option(4, "kernel size of the convolution before the recurrence, in frames"),
    "expand": api.Option(2, "factor by which a layer's inner channels exceed its units"),
}
_TRANSFORMER = {
    "hidden": api.Option(64, "width of the model, a multiple of heads"),
    "layers": api.Option(2, "number of layers"),
    "heads": api.Option(4, "attention heads"),
    "dropout": api.Option(0.1, "dropout rate of the projected input and of each sublayer's output"),
    "positions": api.Option(
        "rotary",
        "position encoding: rotary, or relative, a learned bias for each distance up to 32 frames",
        choices=("rotary", "relative"),
    ),
}
_WINDOW = {"window": api.Option(0, "frames on each side that a frame attends to; 0: the whole clip"), **_CAUSAL}
_BEFORE = {
    "tcn_layers": api.Option(3, "layers of the TCN; the dilation doubles with each layer"),
    "tcn_kernel": api.Option(3, "kernel size of the TCN's convolutions in frames, at least 2"),
}


def is_causal(*, bidirectional: bool, **others: Any) -> bool:
    """Return True if a recurrent head with these options reads no later frames."""
    return not bidirectional


def is_told_causal(*, causal: bool, **others: Any) -> bool:
    """Return True if a convolution or attention head with these options reads no later frames."""
    return causal


@api.hookimpl
def heads() -> list[api.HeadSpec]:
    """Return the specs of the built-in heads."""
    return [
        api.HeadSpec(
            "mlp",
            "plugins.heads.mlp:Mlp",
            "A multi-layer perceptron on each frame separately.",
            _WIDTH,
            frame_wise=True,
            full=True,
        ),
        api.HeadSpec(
            "gru",
            "plugins.heads.recurrent:Gru",
            "Gated recurrent units, bidirectional by default.",
            _RECURRENT,
            paper="Cho et al. 2014, arXiv:1406.1078",
            causal=is_causal,
            full=True,
        ),
        api.HeadSpec(
            "lstm",
            "plugins.heads.recurrent:Lstm",
            "Long short-term memory, bidirectional by default.",
            _RECURRENT,
            paper="Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
            causal=is_causal,
            full=True,
        ),
        api.HeadSpec(
            "tcn",
            "plugins.heads.tcn:Tcn",
            "Dilated convolutions; the dilation doubles with each layer.",
            {
                **_WIDTH,
                "layers": api.Option(4, "layers of two convolutions each; the dilation doubles with each layer"),
                "kernel": api.Option(3, "kernel size in frames, at least 2"),
                **_CAUSAL,
            },
            paper="Bai et al. 2018, arXiv:1803.01271",
            causal=is_told_causal,
            full=True,
        ),
        api.HeadSpec(
            "transformer",
            "plugins.heads.transformer:Transformer",
            "Self-attention over frames with relative positions, so clips may be longer than in training.",
            {**_TRANSFORMER, **_WINDOW},
            paper="Vaswani et al. 2017, arXiv:1706.03762; Su et al. 2021, arXiv:2104.09864",
            causal=is_told_causal,
        ),
        api.HeadSpec(
            "tcn_transformer",
            "plugins.heads.tcn_transformer:TcnTransformer",
            "Dilated convolutions, then attention.",
            {**_TRANSFORMER, **_BEFORE, **_WINDOW},
            paper="Zhou et al. 2023, arXiv:2303.08356",
            causal=is_told_causal,
        ),
        api.HeadSpec(
            "conformer",
            "plugins.heads.conformer:Conformer",
            "Self-attention and a convolution in each layer, between two half-weighted perceptrons.",
            {**_TRANSFORMER, "kernel": api.Option(15, "kernel size in frames, at least 2"), **_CAUSAL},
            paper="Gulati et al. 2020, arXiv:2005.08100",
            causal=is_told_causal,
        ),
        api.HeadSpec(
            "mamba",
            "plugins.heads.mamba:Mamba",
            "Selective state spaces, bidirectional by default; in plain PyTorch, slower than the authors' CUDA kernel.",
            _MAMBA,
            paper="Gu & Dao 2023, arXiv:2312.00752",
            causal=is_causal,
            full=True,
        ),
        api.HeadSpec(
            "tcn_mamba",
            "plugins.heads.tcn_mamba:TcnMamba",
            "Dilated convolutions, then selective state spaces (in plain PyTorch, slower than a CUDA kernel).",
            {**_MAMBA, **_BEFORE},
            paper="Liang et al. 2025, arXiv:2503.10104",
            causal=is_causal,
            full=True,
        ),
    ]
