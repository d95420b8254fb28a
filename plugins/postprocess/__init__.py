"""Catalogue of the built-in post-processors: one light spec each; the code is in the other modules of this package."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def postprocessors() -> list[api.PostSpec]:
    """Return the specs of the built-in post-processors."""
    return [
        api.PostSpec(
            "interpolate",
            "plugins.postprocess.interpolate:Interpolate",
            "Interpolates predictions at frames without any slot, linearly in time between the nearest other frames.",
        ),
        api.PostSpec(
            "confidence_gate",
            "plugins.postprocess.confidence_gate:ConfidenceGate",
            "Uses one slot's own prediction at frames at which its confidence exceeds a threshold. Put before smooth.",
            {
                "slot": api.Option(None, "slot whose prediction is used; none: the first that has one", type=str),
                "threshold": api.Option(
                    None, "lower bound of its greatest probability; none: chosen on validation videos", type=float
                ),
            },
            paper="Savchenko 2024, arXiv:2403.11590 (in the notebooks of its code)",
            kinds=("class",),
            per_slot=True,
        ),
        api.PostSpec(
            "smooth",
            "plugins.postprocess.smooth:Smooth",
            "Mean, median or Gaussian filter over time; its width is chosen on validation videos.",
            {
                "method": api.Option("mean", "filter", choices=("mean", "median", "gaussian")),
                "width": api.Option(
                    None,
                    "width of the window in seconds, 0: no smoothing; none: chosen for each kind of answer",
                    type=float,
                ),
                **{
                    f"width_{kind}": api.Option(
                        None, f"width for {what} in seconds; none: the value of width", type=float
                    )
                    for kind, what in (("value", "values"), ("class", "classes"), ("binary", "action units"))
                },
                "each": api.Option(False, "choose a width for each answer, not one for each kind of answer"),
            },
            paper="Savchenko 2024, arXiv:2407.13184",
        ),
        api.PostSpec(
            "threshold",
            "plugins.postprocess.threshold:Threshold",
            "Shifts each action unit's probabilities so that 0.5 is its best threshold by F1 on validation videos.",
            {
                "threshold": api.Option(
                    None,
                    "one threshold for all; none: the best by F1 for each",
                    type=float,
                ),
                "method": api.Option(
                    "best",
                    "best: the greatest F1; plateau: the greatest mean F1 of neighbouring thresholds",
                    choices=("best", "plateau"),
                ),
            },
            paper="Savchenko 2024, arXiv:2403.11590 (in the notebooks of its code)",
            kinds=("binary",),
        ),
        api.PostSpec(
            "class_bias",
            "plugins.postprocess.class_bias:ClassBias",
            "Adds a bias to each class's log-probability, by macro F1 on validation videos. Put after smooth.",
            {
                "form": api.Option(
                    "classes",
                    "classes: one bias for each class; prior: one number times the logarithm of the classes' shares",
                    choices=("classes", "prior"),
                ),
            },
            paper="Menon et al. 2021, arXiv:2007.07314",
            kinds=("class",),
            needs_gain=True,
        ),
        api.PostSpec(
            "encoder_gate",
            "plugins.postprocess.encoder_gate:EncoderGate",
            "Uses a frozen encoder's own class prediction at frames at which it is confident. Put after class_bias.",
            {
                "slot": api.Option(None, "slot of the encoder; none: the first that has classes", type=str),
                "threshold": api.Option(
                    None, "lower bound of its greatest probability; none: chosen on validation videos", type=float
                ),
                "width": api.Option(
                    None, "seconds over which its probabilities are averaged; none: chosen as well", type=float
                ),
            },
            paper="Savchenko 2025 (in the notebooks of EmotiEffLib, ABAW 8)",
            kinds=("class",),
            own_classes=True,
            needs_gain=True,
        ),
        api.PostSpec(
            "moments",
            "plugins.postprocess.moments:Moments",
            "Gives values the mean and the spread of the validation videos' labels. Put after smooth, before clip.",
            {"share": api.Option(1.0, "part of the way from the prediction to the mapped one, 0 to 1")},
            paper="CPRL, ABAW 11 (in its code)",
            kinds=("value",),
            needs_gain=True,
        ),
        api.PostSpec(
            "clip",
            "plugins.postprocess.clip:Clip",
            "Clips values to their range and probabilities to [0, 1]; class probabilities sum to 1.",
        ),
    ]
