"""Training exposure: the videos that chose a run's settings and trained its starting weights.

The record states both, so that a score is not taken for more than it is. ``weights.safetensors`` states in its
metadata, key ``saw``, on which groups of videos it was trained, on which its epoch was chosen, and the same for the
trainings of its starting weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import cast

from harness.runs.exposure import TrainingExposure, read_exposure
from harness.runs.job import Job
from harness.training.epoch_choice import selected_by_score
from leaderboards.blocks import Choices, SearchBlock, WeightsBlock

__all__ = ["NEXT_FOLD", "TrainingExposure", "annotate_weights", "metadata", "read_exposure", "selection_facts"]

NEXT_FOLD = "next fold"


def selection_facts(job: Job, selections: int, exposures: Sequence[TrainingExposure]) -> Choices:
    """Return the record's entries about selection.

    ``selection_split``: the split whose scores chose the epoch or lowered the learning rate (val, next fold, or None).
    ``n_selections``: the number of such scores. ``selected``: what they decided (epoch, learning rate).
    ``selected_on_reported``: whether those scores, or those of the starting weights, were of videos that are reported.
    ``seen``: reported videos that the starting weights were trained on. If no split decided anything, the first two
    describe the search for settings, if there was one (``search``: see harness.config.schema.Chosen). Post-processors
    are always fitted on other groups than those that they are applied to (harness.evaluation.postprocessing.fit_folds).
    """
    split = NEXT_FOLD if job.config.fold >= 0 else "val"
    chosen = {group for saw in _same_kind(job, exposures) for group in saw.select}
    trained = {group for saw in _same_kind(job, exposures) for group in saw.train}
    reported, search = job.index.split("test" if job.config.fit else "val"), job.config.chosen
    own = bool(selections and split == "val") or search.reported
    found: Choices = {
        "selection_split": split if selections else search.on or None,
        "n_selections": selections or search.trials,
        "selected": list(selected_by_score(job.config.train)) if selections else [],
        "selected_on_reported": own or any(v.group in chosen for v in reported),
        "seen": sorted(video.name for video in reported if video.group in trained),
    }
    if search.trials:
        found["search"] = cast(SearchBlock, search.model_dump(mode="json"))
    return found


def _same_kind(job: Job, exposures: Iterable[TrainingExposure]) -> list[TrainingExposure]:
    """Return trainings on the same kind of data: synthetic and real videos may share a name by chance."""
    return [saw for saw in exposures if saw.synthetic == job.synthetic]


def metadata(job: Job, selections: int, before: Sequence[TrainingExposure]) -> dict[str, str]:
    """Return the metadata for a run's weights. ``before``: exposures of the starting weights."""
    groups = {split: tuple(sorted({v.group for v in job.index.split(split)})) for split in ("train", "val", "select")}
    select = (groups["select"] or groups["val"]) if selections else ()
    if job.config.chosen.reported:
        select = tuple(sorted({*select, *groups["val"], *groups["select"]}))
    data = job.data_name if job.synthetic else job.track.data
    own = TrainingExposure(job.edition.name, job.track.name, data, job.synthetic, groups["train"], select)
    return {"saw": json.dumps([asdict(saw) for saw in dict.fromkeys((own, *before))])}


def annotate_weights(passport: WeightsBlock, exposures: Sequence[TrainingExposure], job: Job) -> WeightsBlock:
    """Add to the record of a slot's weights what this project knows of their training.

    ``saw``: the trainings. If some were on another track of the same kind of data: ``other_tracks``, and
    ``seen_affwild2`` if the data are Aff-Wild2's.
    """
    if not exposures:
        return passport
    others = [saw for saw in exposures if saw.track != job.track.name and saw.synthetic == job.synthetic]
    trainings = list(dict.fromkeys([*passport.get("saw", ()), *map(str, exposures)]))
    forbidden = any(not saw.synthetic and saw.data in ("Aff-Wild2", "s-Aff-Wild2") for saw in others)
    return {
        **passport,
        "saw": trainings,
        "other_tracks": list(dict.fromkeys(f"{s.edition} {s.track}" for s in others)),
        "seen_affwild2": True if forbidden else passport.get("seen_affwild2"),
    }
