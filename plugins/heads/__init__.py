"""The catalogue of heads: one light spec each; the networks lie beside it."""

from __future__ import annotations

from typing import Any

from zoo import api

_WIDTH = {
    "hidden": api.Option(64, "units a layer (and direction)"),
    "layers": api.Option(1, "layers"),
    "dropout": api.Option(0.1, "share of units dropped before each layer"),
}
_RECURRENT = {
    **_WIDTH,
    "bidirectional": api.Option(True, "look at later frames too; false: a causal head"),
}
_CAUSAL = {"causal": api.Option(False, "look at the frame and earlier ones only")}
_MAMBA = {
    **_RECURRENT,
    "layers": api.Option(2, "layers"),
    "state": api.Option(16, "numbers of memory a channel"),
    "kernel": api.Option(4, "frames of the convolution before the recurrence"),
    "expand": api.Option(2, "channels inside a layer over its units"),
}
_TRANSFORMER = {
    "hidden": api.Option(64, "width of the model, a multiple of heads"),
    "layers": api.Option(2, "layers"),
    "heads": api.Option(4, "attention heads"),
    "dropout": api.Option(0.1, "share dropped of the projected input and of what each part of a layer adds"),
    "positions": api.Option(
        "rotary",
        "how the distance of two frames is told: a turn of both, or a learned number up to 32 frames",
        choices=("rotary", "relative"),
    ),
}
_WINDOW = {"window": api.Option(0, "frames on each side that a frame attends to; 0 for the whole clip"), **_CAUSAL}
_BEFORE = {
    "tcn_layers": api.Option(3, "layers of the TCN; the dilation doubles from one to the next"),
    "tcn_kernel": api.Option(3, "frames of the TCN's convolutions, 2 or more"),
}


def is_causal(*, bidirectional: bool, **others: Any) -> bool:
    """Whether a recurrent head with these options looks at earlier frames only."""
    return not bidirectional


def is_told_causal(*, causal: bool, **others: Any) -> bool:
    """Whether a head of convolutions or attention with these options looks at earlier frames only."""
    return causal


@api.hookimpl
def heads() -> list[api.HeadSpec]:
    """The built-in heads."""
    return [
        api.HeadSpec(
            "mlp",
            "plugins.heads.mlp:Mlp",
            "A multi-layer perceptron on each frame by itself.",
            _WIDTH,
            frame_wise=True,
            full=True,
        ),
        api.HeadSpec(
            "gru",
            "plugins.heads.recurrent:Gru",
            "Gated recurrent units, in both directions unless told otherwise.",
            _RECURRENT,
            paper="Cho et al. 2014, arXiv:1406.1078",
            causal=is_causal,
            full=True,
        ),
        api.HeadSpec(
            "lstm",
            "plugins.heads.recurrent:Lstm",
            "Long short-term memory, in both directions unless told otherwise.",
            _RECURRENT,
            paper="Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735",
            causal=is_causal,
            full=True,
        ),
        api.HeadSpec(
            "tcn",
            "plugins.heads.tcn:Tcn",
            "Dilated convolutions that reach twice as far in each layer.",
            {
                **_WIDTH,
                "layers": api.Option(4, "layers, of two convolutions each; the dilation doubles from one to the next"),
                "kernel": api.Option(3, "frames of a convolution, 2 or more"),
                **_CAUSAL,
            },
            paper="Bai et al. 2018, arXiv:1803.01271",
            causal=is_told_causal,
            full=True,
        ),
        api.HeadSpec(
            "transformer",
            "plugins.heads.transformer:Transformer",
            "Every frame attends to every other; only distances count, so clips may be longer than in training.",
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
            "Attention and a convolution in every layer, between two half perceptrons.",
            {**_TRANSFORMER, "kernel": api.Option(15, "frames of the convolution, 2 or more"), **_CAUSAL},
            paper="Gulati et al. 2020, arXiv:2005.08100",
            causal=is_told_causal,
        ),
        api.HeadSpec(
            "mamba",
            "plugins.heads.mamba:Mamba",
            "Selective state spaces, in both directions; in plain torch, slower than the authors' CUDA kernel.",
            _MAMBA,
            paper="Gu & Dao 2023, arXiv:2312.00752",
            causal=is_causal,
            full=True,
        ),
        api.HeadSpec(
            "tcn_mamba",
            "plugins.heads.tcn_mamba:TcnMamba",
            "Dilated convolutions, then selective state spaces (in plain torch, slower than a CUDA kernel).",
            {**_MAMBA, **_BEFORE},
            paper="Liang et al. 2025, arXiv:2503.10104",
            causal=is_causal,
            full=True,
        ),
    ]
