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
            "smooth",
            "plugins.postprocess.smooth:Smooth",
            "Mean over a window of time around each frame; the width is chosen on validation videos.",
            {
                "width": api.Option(
                    None, "width of the window in seconds, 0 for none; none: chosen, for each kind of answer",
                    type=float,
                )
            },
            paper="Savchenko 2024, arXiv:2407.13184",
        ),
        api.PostSpec(
            "clip",
            "plugins.postprocess.clip:Clip",
            "Values brought into their range, probabilities into [0, 1] with sum 1.",
        ),
    ]  # fmt: skip
