"""The catalogue of losses: one light spec each; the modules lie beside it."""

from __future__ import annotations

from zoo import api

_WEIGHTS = ("none", "sqrt", "balanced")


@api.hookimpl
def losses() -> list[api.LossSpec]:
    """The built-in losses."""
    return [
        api.LossSpec(
            "ccc",
            "plugins.losses.ccc:Ccc",
            "1 - mean concordance correlation of the answers over the batch's labelled frames.",
            {
                "activation": api.Option(
                    "tanh", "how raw outputs become values in range: tanh, or linear and clipped when decoded",
                    choices=("tanh", "clamp"),
                )
            },
            paper="Lin 1989, doi:10.2307/2532051",
            kinds=("value",),
            default=True,
        ),
        api.LossSpec(
            "ce",
            "plugins.losses.ce:CrossEntropy",
            "Cross-entropy with class weights from the training counts.",
            {
                "weights": api.Option(
                    "balanced", "class weights: none, inverse frequency (balanced) or its square root",
                    choices=_WEIGHTS,
                )
            },
            paper="King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868 (the weights)",
            kinds=("class",),
            default=True,
        ),
        api.LossSpec(
            "bce",
            "plugins.losses.bce:BinaryCrossEntropy",
            "Binary cross-entropy of each answer with positives weighted from the training counts.",
            {
                "weights": api.Option(
                    "balanced", "weight of positives: none, negatives a positive (balanced) or its square root",
                    choices=_WEIGHTS,
                ),
                "cap": api.Option(10.0, "the largest weight of a positive"),
            },
            kinds=("binary",),
            default=True,
        ),
    ]  # fmt: skip
