"""The catalogue of post-processors: one light spec each; the code lies beside it."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def postprocessors() -> list[api.PostSpec]:
    """The built-in post-processors."""
    return [
        api.PostSpec(
            "interpolate",
            "plugins.postprocess.interpolate:Interpolate",
            "Answers at frames that no slot saw, linearly in time between the nearest seen frames.",
        ),
        api.PostSpec(
            "confidence_gate",
            "plugins.postprocess.confidence_gate:ConfidenceGate",
            "A slot's own answer instead, at frames where it is surer than a threshold. Before smooth.",
            {
                "slot": api.Option(None, "the slot whose answer it is; none: the first that has answers", type=str),
                "threshold": api.Option(
                    None, "its greatest probability must exceed this; none: chosen on validation videos", type=float
                ),
            },
            paper="Savchenko 2024, arXiv:2403.11590 (in the notebooks of its code)",
            kinds=("class",),
            per_slot=True,
        ),
        api.PostSpec(
            "smooth",
            "plugins.postprocess.smooth:Smooth",
            "Mean, median or Gaussian mean over a window of time around each frame, its width chosen on validation.",
            {
                "method": api.Option("mean", "what is taken of the window", choices=("mean", "median", "gaussian")),
                "width": api.Option(
                    None,
                    "width of the window in seconds, 0 for none; none: chosen, for each kind of answer",
                    type=float,
                ),
                **{
                    f"width_{kind}": api.Option(
                        None, f"the width for {what} in seconds; none: as width says", type=float
                    )
                    for kind, what in (("value", "values"), ("class", "classes"), ("binary", "action units"))
                },
            },
            paper="Savchenko 2024, arXiv:2407.13184",
        ),
        api.PostSpec(
            "threshold",
            "plugins.postprocess.threshold:Threshold",
            "Probabilities of each action unit moved so that 0.5 is its best threshold by F1 on validation videos.",
            {
                "threshold": api.Option(
                    None,
                    "one threshold for all; none: for each the best by F1, of all that make a difference",
                    type=float,
                )
            },
            paper="Savchenko 2024, arXiv:2403.11590 (in the notebooks of its code)",
            kinds=("binary",),
        ),
        api.PostSpec(
            "clip",
            "plugins.postprocess.clip:Clip",
            "Values brought into their range, probabilities into [0, 1] with sum 1.",
        ),
    ]
