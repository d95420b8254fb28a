"""Catalogue of the built-in losses: one light spec each; the code is in the other modules of this package."""

from __future__ import annotations

from zoo import api

_WEIGHTS = ("none", "sqrt", "balanced")
_CLASS_WEIGHTS = api.Option(
    "balanced", "class weights: none, inverse frequency (balanced) or its square root", choices=_WEIGHTS
)
_LDS = api.Option(
    "none",
    "weight rare labels more (label distribution smoothing): none, by the inverse of the smoothed histogram of the "
    "training labels (inverse), or of its square root (sqrt); :N sets the smoothing width in bins, of which there are "
    "20 (default 2)",
    choices=("none", *(f"{way}{width}" for way in ("inverse", "sqrt") for width in ("", ":1", ":2", ":3", ":5"))),
)


@api.hookimpl
def losses() -> list[api.LossSpec]:
    """Return the specs of the built-in losses."""
    return [
        api.LossSpec(
            "ccc",
            "plugins.losses.ccc:Ccc",
            "1 - mean concordance correlation of the answers over the batch's labelled frames.",
            {
                "activation": api.Option(
                    "tanh",
                    "how raw outputs are mapped to the range: tanh, or clamp, linear and clipped in decoding",
                    choices=("tanh", "clamp"),
                ),
                "lds": _LDS,
            },
            paper="Lin 1989, doi:10.2307/2532051; lds: Yang et al. 2021, arXiv:2102.09554",
            kinds=("value",),
            default=True,
        ),
        api.LossSpec(
            "ccc_mse",
            "plugins.losses.ccc_mse:CccMse",
            "1 - concordance correlation + weighted squared error.",
            {
                "weight": api.Option(1.0, "weight of the squared error, which is measured in half ranges"),
                "lds": _LDS,
            },
            paper="Lin 1989, doi:10.2307/2532051; lds: Yang et al. 2021, arXiv:2102.09554",
            kinds=("value",),
        ),
        api.LossSpec(
            "ccc_bins",
            "plugins.losses.ccc_bins:CccBins",
            "Values as the mean over bins: 1 - concordance correlation + cross-entropy with the label's bin.",
            {
                "bins": api.Option(20, "bins per answer"),
                "weight": api.Option(1.0, "weight of the cross-entropy"),
                "lds": _LDS,
            },
            paper="Deng et al. 2020, arXiv:2002.03557; lds: Yang et al. 2021, arXiv:2102.09554",
            kinds=("value",),
        ),
        api.LossSpec(
            "ccc_regions",
            "plugins.losses.ccc_regions:CccRegions",
            "1 - concordance correlation + divergence from the regions of valence and arousal near the label.",
            {
                "cells": api.Option(3, "regions per answer: three give nine of valence and arousal"),
                "weight": api.Option(0.2, "weight of the divergence"),
                "sigma": api.Option(1 / 3, "how far a label reaches, in half ranges"),
                "lds": _LDS,
            },
            paper="Kookmin 2026, arXiv:2603.13415, without its text; lds: Yang et al. 2021, arXiv:2102.09554",
            kinds=("value",),
        ),
        api.LossSpec(
            "ce",
            "plugins.losses.ce:CrossEntropy",
            "Cross-entropy with class weights from the training counts.",
            {"weights": _CLASS_WEIGHTS},
            paper="King & Zeng 2001, doi:10.1093/oxfordjournals.pan.a004868 (the weights)",
            kinds=("class",),
            default=True,
        ),
        api.LossSpec(
            "focal",
            "plugins.losses.focal:Focal",
            "Cross-entropy with less weight on frames that are already predicted well.",
            {
                "gamma": api.Option(2.0, "focusing power; the weight is (1 - probability of the class) to this power"),
                "weights": _CLASS_WEIGHTS,
            },
            paper="Lin et al. 2017, arXiv:1708.02002",
            kinds=("class",),
        ),
        api.LossSpec(
            "balanced",
            "plugins.losses.balanced:Balanced",
            "Cross-entropy weighted by the inverse of each class's effective number of frames.",
            {"beta": api.Option(0.9999, "0: equal weights; towards 1: inverse frequency, as in ce")},
            paper="Cui et al. 2019, arXiv:1901.05555",
            kinds=("class",),
        ),
        api.LossSpec(
            "label_smoothing",
            "plugins.losses.label_smoothing:LabelSmoothing",
            "Cross-entropy with smoothed labels: part of the probability is spread over the classes seen in training.",
            {"smoothing": api.Option(0.1, "the probability that is spread"), "weights": _CLASS_WEIGHTS},
            paper="Szegedy et al. 2016, arXiv:1512.00567",
            kinds=("class",),
        ),
        api.LossSpec(
            "logit_adjust",
            "plugins.losses.logit_adjust:LogitAdjust",
            "Cross-entropy of logits shifted by the log priors of the training classes; decoded without the shift.",
            {"tau": api.Option(1.0, "factor of the shift; 0: plain cross-entropy, 1: the same as Balanced Softmax")},
            paper="Menon et al. 2020, arXiv:2007.07314",
            kinds=("class",),
        ),
        api.LossSpec(
            "bce",
            "plugins.losses.bce:BinaryCrossEntropy",
            "Binary cross-entropy of each answer, with positives weighted by the training counts.",
            {
                "weights": api.Option(
                    "balanced",
                    "weight of positives: none, negatives per positive (balanced) or its square root",
                    choices=_WEIGHTS,
                ),
                "cap": api.Option(10.0, "largest weight of positives"),
            },
            kinds=("binary",),
            default=True,
        ),
        api.LossSpec(
            "focal_bce",
            "plugins.losses.focal_bce:FocalBce",
            "Binary cross-entropy with less weight on elements that are already predicted well.",
            {
                "alpha": api.Option(0.75, "weight of positives; negatives have 1 - alpha"),
                "gamma": api.Option(2.0, "focusing power; the weight is (1 - probability of the label) to this power"),
            },
            paper="Lin et al. 2017, arXiv:1708.02002",
            kinds=("binary",),
        ),
        api.LossSpec(
            "asymmetric",
            "plugins.losses.asymmetric:Asymmetric",
            "Binary cross-entropy that weights easy negatives less than positives and ignores the easiest negatives.",
            {
                "gamma_neg": api.Option(4.0, "focusing power for negatives"),
                "gamma_pos": api.Option(0.0, "focusing power for positives"),
                "clip": api.Option(0.05, "negatives with a probability below this have no loss"),
            },
            paper="Ridnik et al. 2020, arXiv:2009.14119",
            kinds=("binary",),
        ),
    ]
