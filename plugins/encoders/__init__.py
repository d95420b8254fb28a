"""The catalogue of encoders: one light spec each; the networks lie beside it."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def encoders() -> list[api.EncoderSpec]:
    """The built-in encoders."""
    return [
        api.EncoderSpec(
            "lite0",
            "plugins.encoders.lite0:Lite0",
            "EfficientNet-Lite0, ImageNet weights from an installed package: needs no download.",
            {"size": api.Option(112, "side of the picture in pixels (the weights saw 224)")},
            paper="Tan & Le 2019, arXiv:1905.11946",
            license="Apache-2.0",
            passport="plugins.encoders.lite0:passport",
        ),
        api.EncoderSpec(
            "timm",
            "plugins.encoders.timm_models:TimmEncoder",
            "Any image model of timm with its published weights, its classifier left out.",
            {
                "size": api.Option(
                    None,
                    "side of the picture in pixels; none: 112, or a fixed-size model's own (224 for those over 256)",
                    type=int,
                )
            },
            paper="Wightman 2019, doi:10.5281/zenodo.4414861",
            license="Apache-2.0",
            passport="plugins.encoders.timm_models:passport",
            argument="name of a timm model, with or without its weights' tag: resnet18, resnet18.tv_in1k",
        ),
        api.EncoderSpec(
            "melcnn",
            "plugins.encoders.melcnn:MelCnn",
            "Log-mel spectrogram and a small CNN, read at each frame's time; trained in place.",
            {
                "channels": api.Option(16, "filters of the first layer; the second has twice as many"),
                "dim": api.Option(64, "features a frame"),
            },
            paper="Hershey et al. 2017, arXiv:1609.09430 (the family: CNNs on log-mel)",
            streams=("audio",),
        ),
    ]
