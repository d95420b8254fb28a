"""Catalogue of the built-in augmentations: one light spec each; the code is in the other modules of this package."""

from __future__ import annotations

from zoo import api

HERE = "plugins.augmentations"


@api.hookimpl
def augmentations() -> list[api.AugmentationSpec]:
    """Return the specs of the built-in augmentations."""
    return [*_geometry(), *_colour(), *_quality(), *_sound()]


def _geometry() -> list[api.AugmentationSpec]:
    """Return those that move the content of pictures."""
    return [
        api.AugmentationSpec(
            "flip",
            f"{HERE}.flip:flip",
            "Mirrors pictures left to right.",
            points=True,
            default=True,
        ),
        api.AugmentationSpec(
            "crop",
            f"{HERE}.crop:Crop",
            "Cuts a random part out of pictures and resizes it to their size.",
            {
                "low": api.Option(0.7, "smallest share of the area"),
                "high": api.Option(1.0, "largest share of the area"),
                "ratio": api.Option(1.15, "largest ratio of the sides of the part, at least 1"),
            },
            paper="Szegedy et al. 2015, arXiv:1409.4842",
            points=True,
        ),
        api.AugmentationSpec(
            "affine",
            f"{HERE}.affine:Affine",
            "Rotates, scales and shifts pictures a little; what comes in from outside is black.",
            {
                "degrees": api.Option(10.0, "largest rotation, to either side"),
                "scale": api.Option(0.1, "largest change of size: 0.1 is from 0.9 to 1.1 times"),
                "shift": api.Option(0.05, "largest shift along each axis, as a share of the picture"),
                "shear": api.Option(0.0, "largest shear in degrees, to either side"),
            },
            points=True,
            default=True,
        ),
        api.AugmentationSpec(
            "randaugment",
            f"{HERE}.randaugment:randaugment",
            "Applies random operations out of a list of fourteen, all with one magnitude.",
            {
                "operations": api.Option(2, "number of operations"),
                "magnitude": api.Option(9, "magnitude of all operations, 0 to 30"),
            },
            paper="Cubuk et al. 2020, arXiv:1909.13719",
        ),
    ]


def _colour() -> list[api.AugmentationSpec]:
    """Return those that change the colours of pictures."""
    return [
        api.AugmentationSpec(
            "colour",
            f"{HERE}.colour:colour",
            "Changes brightness, contrast, saturation and hue of pictures, in random order.",
            {
                "brightness": api.Option(0.2, "largest change of brightness, as a share"),
                "contrast": api.Option(0.2, "largest change of contrast, as a share"),
                "saturation": api.Option(0.2, "largest change of saturation, as a share"),
                "hue": api.Option(0.0, "largest change of hue, as a share of the colour circle, to 0.5; slow if not 0"),
            },
            default=True,
        ),
        api.AugmentationSpec("grey", f"{HERE}.grey:grey", "Takes the colour out of pictures.", p=0.1),
    ]


def _quality() -> list[api.AugmentationSpec]:
    """Return those that lower the quality of pictures or cover a part."""
    return [
        api.AugmentationSpec(
            "blur",
            f"{HERE}.blur:Blur",
            "Blurs pictures with a Gaussian of random width.",
            {
                "low": api.Option(0.1, "smallest standard deviation in pixels"),
                "high": api.Option(2.0, "largest standard deviation in pixels"),
            },
            p=0.2,
        ),
        api.AugmentationSpec(
            "jpeg",
            f"{HERE}.jpeg:Jpeg",
            "Compresses pictures as JPEG with a random quality; it works on the processor.",
            {
                "low": api.Option(30, "lowest quality, 1 to 100"),
                "high": api.Option(90, "highest quality, 1 to 100"),
            },
            p=0.2,
        ),
        api.AugmentationSpec(
            "noise",
            f"{HERE}.noise:Noise",
            "Adds Gaussian noise to pictures, independent for every pixel and frame.",
            {
                "low": api.Option(0.0, "smallest standard deviation, as a share of white"),
                "high": api.Option(0.05, "largest standard deviation, as a share of white"),
            },
            p=0.2,
            coherent=False,
        ),
        api.AugmentationSpec(
            "erase",
            f"{HERE}.erase:erase",
            "Covers a random rectangle of pictures with black.",
            {
                "low": api.Option(0.02, "smallest share of the area"),
                "high": api.Option(0.2, "largest share of the area"),
            },
            paper="Zhong et al. 2020, arXiv:1708.04896",
            p=0.25,
            default=True,
        ),
    ]


def _sound() -> list[api.AugmentationSpec]:
    """Return those that change sound."""
    return [
        api.AugmentationSpec(
            "gain",
            f"{HERE}.gain:Gain",
            "Makes sound louder or softer; samples are clipped at full scale.",
            {"decibels": api.Option(6.0, "largest change, up or down")},
            kind="sound",
            p=0.3,
        ),
        api.AugmentationSpec(
            "sound_noise",
            f"{HERE}.sound_noise:SoundNoise",
            "Adds white noise at a random signal-to-noise ratio.",
            {
                "low": api.Option(8.0, "lowest ratio in decibels, the most noise"),
                "high": api.Option(25.0, "highest ratio in decibels"),
            },
            kind="sound",
            p=0.6,
        ),
        api.AugmentationSpec(
            "specaugment",
            f"{HERE}.specaugment:SpecAugment",
            "Silences random bands of frequencies and spans of time in the short-time spectrum of sound.",
            {
                "bands": api.Option(2, "number of masks over frequency"),
                "band": api.Option(8, "largest width of such a mask, in 64 mel bands"),
                "spans": api.Option(2, "number of masks over time"),
                "span": api.Option(0.2, "largest length of such a mask, in seconds"),
            },
            paper="Park et al. 2019, arXiv:1904.08779",
            kind="sound",
        ),
    ]
