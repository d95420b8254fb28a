"""Base classes and masked helpers for networks. A plugin author needs this package and zoo/api.py only.

Shapes: B clips, T frames, D features, K raw outputs. ``valid`` (B, T) is always a prefix: padding is at the end.

Weight decay applies to weights that multiply features. Biases, norms and vectors are excluded automatically. A module
with other parameters to exclude (tables, rates, tokens) names them: ``def no_weight_decay(self) -> set[str]``.
"""

from __future__ import annotations

from zoo.layers.masked import gather, masked_mean, recur, scatter
from zoo.modules.encoders import Encoder, FrameEncoder, OwnClassifier
from zoo.modules.fusions import Build, DecisionFusion, FeatureFusion, Features, FusionOut, Masks, Predictor
from zoo.modules.losses import Loss, LossBuilder, weighted_mean

__all__ = [
    "Build",
    "DecisionFusion",
    "Encoder",
    "FeatureFusion",
    "Features",
    "FrameEncoder",
    "FusionOut",
    "Loss",
    "LossBuilder",
    "Masks",
    "OwnClassifier",
    "Predictor",
    "gather",
    "masked_mean",
    "recur",
    "scatter",
    "weighted_mean",
]
