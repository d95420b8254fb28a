"""The catalogue of fusions: one light spec each; the networks lie beside it."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def fusions() -> list[api.FusionSpec]:
    """The built-in fusions."""
    return [
        api.FusionSpec(
            "late",
            "plugins.fusions.late:Late",
            "A predictor a slot; their raw answers are averaged over the slots that are present.",
            {
                "weights": api.Option(
                    "learned", "weights of the slots: one learned for each answer and slot, or all equal",
                    choices=("learned", "equal"),
                )
            },
            paper="Kittler et al. 1998, doi:10.1109/34.667881",
        ),
        api.FusionSpec(
            "concat",
            "plugins.fusions.concat:Concat",
            "The slots' features side by side, then one predictor.",
            paper="Atrey et al. 2010, doi:10.1007/s00530-010-0182-0 (feature-level fusion)",
        ),
    ]  # fmt: skip
