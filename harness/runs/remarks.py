"""Remarks on the score of a finished run, one line each, from its record: for the terminal and for the run's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.data.index.index import Index
from harness.features.store import FeatureStore
from harness.training.forecast import STEEP
from leaderboards.blocks import Result
from zoo.registry.plan import SlotPlan

LABELS = {
    "raw": "raw",
    "post": "post-processed (cross-fitted)",
    "raw_with_face": "raw, frames with a face",
    "post_with_face": "post-processed, frames with a face",
}


def remarks(result: Result) -> list[str]:
    """Return all remarks on a scored run, in the order of the functions below."""
    said = present_lines(result) + reference_lines(result) + steepness_lines(result)
    said += fold_lines(result) + optimism_lines(result)
    return said + gain_lines(result) + choice_lines(result) + teacher_lines(result)


def fold_lines(result: Result) -> list[str]:
    """Return the folds' mean score and spread, which differ from the score of all predictions together."""
    lines = []
    for kind, block in result["scores"].items():
        if block.get("fold_mean") is not None and kind in ("raw", "post"):
            each = ", ".join("-" if score is None else f"{score:.4f}" for score in block["folds"])
            spread = "" if block["fold_spread"] is None else f" ± {block['fold_spread']:.4f}"
            lines.append(f"{LABELS[kind]}, mean of the folds: {block['fold_mean']:.4f}{spread} ({each})")
    if "folds" in result:
        lines.append(f"epochs chosen: {', '.join(map(str, result['best_epochs']))}; mean {result['epoch']}")
    return lines


def absent_lines(store: FeatureStore, slots: Sequence[SlotPlan], index: Index) -> list[str]:
    """Return, for each branch of features that were made elsewhere, its number of frames without any.

    Such frames are absent: no file, a row that is not a number, or no segment that covers them.
    """
    lines = []
    for slot in slots:
        if slot.encoder.reader is None:
            continue
        gone = [int((~store.present(slot.name, video.name)).sum()) for video in index.videos]
        if any(gone):
            total = sum(video.n_frames for video in index.videos)
            videos = f"{sum(map(bool, gone)):,} of {len(gone):,} videos"
            lines.append(
                f"branch {slot.name}: {sum(gone):,} of {total:,} frames, in {videos}, have no features: absent"
            )
    return lines


def present_lines(result: Result) -> list[str]:
    """Return scores over the classes that occur in the labels, if some classes are absent.

    The competition's score counts absent classes as 0.
    """
    lines = []
    for kind, block in result["scores"].items():
        over, absent = block.get("over_present"), block.get("absent") or ()
        if kind in ("raw", "post") and over is not None and abs(over - block["main"]) > 1e-9:
            lines.append(
                f"{LABELS[kind]}: {over:.4f} with F1 over the classes in the labels; {', '.join(absent)} "
                f"{'is absent and counts' if len(absent) == 1 else 'are absent and count'} as 0 in the competition's "
                "score"
            )
    return lines


def reference_lines(result: Result) -> list[str]:
    """Return the score of a linear model of the same frozen features, and a warning if this run is worse."""
    reference, raw = result.get("reference"), result["scores"].get("raw")
    if not reference or not raw:
        return []
    fold_mean = raw.get("fold_mean")
    where = "mean of the folds' raw scores" if fold_mean is not None else "raw score"
    own = raw["main"] if fold_mean is None else fold_mean
    lines = [
        f"plain reference, a linear model per frame of the frozen features ({', '.join(reference['slots'])}): "
        f"{reference['main']:.4f}; the {where} is {own:.4f}"
    ]
    if own < reference["main"]:
        lines.append(
            "warning: this run scores below the plain reference; train it longer (train.min_steps), or try another "
            "learning rate (train.lr) or a smaller model"
        )
    return lines


def steepness_lines(result: Result) -> list[str]:
    """Return a warning if the training was too short."""
    fall = result.get("late_fall")
    if fall is None or fall < STEEP:
        return []
    return [
        f"warning: the training loss was still falling steeply at the end: {fall:.0%} of its fall came in the last "
        "quarter of the learning (steps times learning rate); train longer (--epochs, or train.min_steps on a small "
        "set) or with a higher train.lr"
    ]


def optimism_lines(result: Result) -> list[str]:
    """Return how far flattering ways of choosing the epoch and of fitting post-processing raise the score."""
    post, epoch, lines = result.get("post") or {}, result.get("epoch_choice"), []
    if epoch and result.get("selected_on_reported") and "fold_mean" not in result["scores"].get("raw", {}):
        lines.append(
            f"with the epoch chosen on other groups than the scored ones the raw score would be "
            f"{epoch['nested']:.4f}: the reported one includes an optimism of {epoch['optimism']:+.4f}"
        )
    if post.get("optimism") is None or not post.get("all"):
        return lines
    return [
        *lines,
        f"with post-processing fitted on the scored frames themselves the processed score "
        f"would be {post['fitted_on_itself']:.4f}: an optimism of {post['optimism']:+.4f}, which the reported "
        "one does not include",
    ]


def gain_lines(result: Result) -> list[str]:
    """Return what each post-processor that needs a gain did for videos that it was not fitted on."""
    gains = (result.get("post") or {}).get("gains") or {}
    lines = []
    for name, gain in gains.items():
        if gain is None:
            lines.append(f"{name} is left out: there are too few groups of videos to see if it helps")
        elif gain > 0:
            lines.append(f"{name} raises the score of videos that it was not fitted on by {gain:.4f}")
        else:
            lines.append(f"{name} is left out: it changes the score of videos that it was not fitted on by {gain:+.4f}")
    return lines


def choice_lines(result: Result) -> list[str]:
    """Return lines on which data chose the epoch, and which scored videos the starting weights were trained on."""
    lines = []
    n, split = result.get("n_selections"), result.get("selection_split")
    if search := result.get("search"):
        sight = "are scored here too: the score is optimistic" if search["reported"] else "are not scored here"
        lines.append(
            f"{', '.join(search['keys'])}: chosen among {search['trials']} trials on {search['on']}, which {sight}"
        )
        split = None if split == search["on"] else split
    if split == "val":
        lines.append(f"{_decided(result)} by {n} scores on the same validation videos: the score is optimistic")
    elif split and split.startswith("other groups"):
        lines.append(f"its ensemble weights were fitted on {split}, never on the videos that they are scored on")
    elif split:
        lines.append(f"{_decided(result)} by at most {n} scores on the {split}, which that model is not scored on")
        if result.get("selected_on_reported"):
            lines.append("but its starting weights were chosen on videos that are scored: the score is optimistic")
    if seen := result.get("seen"):
        more = ", ..." if len(seen) > 5 else ""
        lines.append(
            f"{len(seen)} of the scored videos are training videos of its starting weights: {', '.join(seen[:5])}{more}"
        )
    return lines


def teacher_lines(result: Result) -> list[str]:
    """Return a line on the run that taught this one."""
    taught = result.get("distillation")
    if not taught:
        return []
    how = (
        "with out-of-fold predictions"
        if taught["out_of_fold"]
        else f"and was itself trained on {taught['in_sample']} of the {taught['videos']} training videos"
    )
    chosen = "; the teacher was chosen on videos that are scored here" if result.get("selected_on_reported") else ""
    return [f"taught by {taught['run']}, {how}{chosen}"]


def _decided(result: Result) -> str:
    """Name what validation scores decided; in records older than the key ``selected`` it was the epoch alone."""
    whose = "its members' " if "ensemble" in result else "the "
    deeds = {"epoch": "epoch was chosen", "learning rate": "learning rate was lowered"}
    return whose + " and the ".join(deeds[what] for what in result.get("selected") or ["epoch"])


def parts_line(parts: Mapping[str, float]) -> str:
    """Format the parts of a score on one line: its terms, or the range of its classes."""
    known = {name: value for name, value in parts.items() if value is not None and np.isfinite(value)}
    terms: list[str] = [name for name in ("mean_ccc", "macro_f1", "mean_f1") if name in known]
    if len(terms) < 2:
        terms = [name for name in known if name.startswith("ccc_") or name == "accuracy"]
    shown = [f"{name} {known[name]:.3f}" for name in terms]
    classes = sorted((value, name.removeprefix("f1_")) for name, value in known.items() if name.startswith("f1_"))
    if classes and len(terms) < 2:
        (low, worst), (high, best) = classes[0], classes[-1]
        shown.append(f"F1 from {low:.3f} ({worst}) to {high:.3f} ({best})")
    return ", ".join(shown)
