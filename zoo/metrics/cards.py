"""Descriptions of the metrics, shown by ``harness info`` and in the documentation. No NumPy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MetricCard:
    """The description of one metric.

    Attributes:
        name: The metric's name.
        formula: Its formula.
        kinds: The kinds of answers it needs.
        population: The frames it is computed on.
        masks: The frames among them that count.
        aggregation: How several numbers become one.
        degenerate: The result for constant predictions and absent classes.
        source: The competitions that use it.
    """

    name: str
    formula: str
    kinds: tuple[str, ...]
    population: str
    masks: str
    aggregation: str
    degenerate: str
    source: str


_MASKS = {
    "value": "valence and arousal: a frame counts where neither is -5",
    "class": "expression: a frame counts where it is not -1",
    "binary": "units: each counts at the frames where it is not -1",
}
_DEGENERATE = {
    "value": "a constant prediction, or labels that never change, give 0 and stay in the mean",
    "class": "a class of the edition that neither occurs nor is predicted gives 0 and stays in the mean",
    "binary": "a unit without a positive label gives 0 and stays in the mean",
}
_POOLED = "as in the code of all teams that was read, the organisers' own was not found"
_FRAMES = f"all labelled frames of all videos of the split, pooled, with or without a face ({_POOLED})"
_ROWS = f"all labelled rows of the split, pooled: frames with or without a face, images or videos ({_POOLED})"
_VIDEOS = "all labelled videos of the split, a row each"
_IMAGES = "all listed images, pooled, each answer where it is labelled"
_CCC = "CCC = 2 cov / (var + var + (mean - mean)^2) with population variances"
_F1 = "F1 = 2 TP / (2 TP + FP + FN)"


def _card(
    name: str,
    kinds: str,
    formula: str,
    aggregation: str,
    source: str,
    population: str = _FRAMES,
    masks: str = "",
    degenerate: str = "",
) -> MetricCard:
    wanted = tuple(kinds.split())
    usual = ("; ".join(text[kind] for kind in wanted) for text in (_MASKS, _DEGENERATE))
    masks, degenerate = (given or text for given, text in zip((masks, degenerate), usual, strict=True))
    degenerate += "; without any label there is no score (NaN)"
    return MetricCard(name, formula, wanted, population, masks, aggregation, degenerate, source)


_CARDS = (
    _card(
        "mean_ccc",
        "value",
        f"mean of CCC(valence) and CCC(arousal); {_CCC}",
        "mean over the values",
        "ABAW 1-10, VA; Lin 1989",
    ),
    _card(
        "mean_pearson",
        "value",
        "mean over the values of Pearson's rho = cov / sqrt(var var)",
        "mean over the values",
        "ABAW 5, ERI; ABAW 6, 8, 10, EMI",
        _VIDEOS,
        "each value at the videos that have it",
    ),
    _card(
        "macro_f1",
        "class",
        f"mean F1 over the edition's classes; {_F1}",
        "mean over the classes",
        "ABAW 3-10, EXPR; ABAW 6-9, CE; ABAW 4, LSD; ABAW 9-10, VD; ABAW 10-11, AH (a row a video)",
        _ROWS,
        "a row counts where it has a class; expression: where it is not -1",
    ),
    _card(
        "weighted_f1",
        "class",
        f"mean F1 over the classes, each weighted by its share of the labels; {_F1}",
        "mean over the classes, weighted",
        "ABAW 8, AH",
        masks="each labelled frame",
        degenerate="a class without a label has weight 0, even where it is predicted",
    ),
    _card(
        "mean_f1",
        "binary",
        f"mean over the units of the F1 of 1, decided at 0.5; {_F1}",
        "mean over the units",
        "ABAW 3-10, AU",
    ),
    _card(
        "f1_accuracy",
        "class",
        f"0.67 macro F1 + 0.33 accuracy; {_F1}",
        "F1: mean over the classes; accuracy: over the frames",
        "ABAW 1-2, EXPR",
    ),
    _card(
        "au_f1_accuracy",
        "binary",
        f"0.5 mean F1 of 1 + 0.5 accuracy, decided at 0.5; {_F1}",
        "F1: mean over the units; accuracy: over all labelled pairs of frame and unit",
        "ABAW 1-2, AU",
    ),
    _card(
        "mtl_sum",
        "value class binary",
        f"mean CCC + macro F1 of expression + mean F1 of units; {_CCC}; {_F1}",
        "sum of the three means",
        "ABAW 3, 4, 7, 11, MTL",
        _IMAGES,
    ),
)
METRICS: dict[str, MetricCard] = {c.name: c for c in _CARDS}


def card(metric: str) -> MetricCard:
    """Return the description of a metric.

    Raises:
        ValueError: The metric is unknown; the message lists the known names.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}; known: {', '.join(METRICS)}")
    return METRICS[metric]
