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


def is_causal(*, bidirectional: bool, **others: Any) -> bool:
    """Whether a recurrent head with these options looks at earlier frames only."""
    return not bidirectional


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
    ]
