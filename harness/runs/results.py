"""Steps after prediction: scores, fitted post-processing, tables of predictions, a submission."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.evaluation.postprocessing import Chain, apply_folds, fit_folds, labelled, optimism
from harness.evaluation.prediction_tables import write_predictions
from harness.evaluation.scoring import score_block
from harness.runs.finished import read_own
from harness.runs.job import Job
from harness.submissions.submission import submission_obstacle, submit_videos
from leaderboards.blocks import PostBlock, ScoreBlock, SubmissionBlock
from zoo.api import VideoAnswers
from zoo.registry.tracks import all_editions


@dataclass
class Scored:
    """Scores of a run and its fitted post-processing.

    ``scores``: blocks of the record; ``post``: values that the post-processors fitted; ``chain``: the post-processors,
    for test videos.
    """

    chain: Chain
    scores: dict[str, ScoreBlock] = field(default_factory=dict)
    post: PostBlock = field(default_factory=PostBlock)


def score_split(
    job: Job,
    videos: Sequence[VideoAnswers],
    folder: Path,
    *,
    by_fold: Mapping[int, Sequence[VideoAnswers]] | None = None,
) -> Scored:
    """Score the predictions for the reported videos, raw and processed, and write them to ``folder``/predictions.

    Processed predictions are cross-fitted: each group's values are fitted on other groups. ``post["optimism"]``: by how
    much values fitted and scored on the same frames would flatter the score. ``by_fold``: see
    harness.evaluation.postprocessing.fit_folds. Without labels there are no scores, and nothing is written.
    """
    track, scored = job.track, Scored(Chain(job.plan.post, job.track))
    if not videos or not labelled(videos):
        return scored
    chains = fit_folds(job.plan.post, track, videos, by_fold)
    folds, whole = [chain.state() for chain in chains.values()], scored.chain.fit(videos).state()
    scored.post = {"folds": folds, "all": whole, "fitted_on": f"other groups of {job.split}"}
    if scored.chain.gains:
        gains = scored.chain.gains
        scored.post["gains"] = {name: gain if np.isfinite(gain) else None for name, gain in gains.items()}
    # After all fitting, because the processed predictions take as much memory as the raw ones.
    processed = apply_folds(chains, videos)
    blocks = {
        "raw": score_block(track, videos),
        "post": score_block(track, processed),
        "raw_with_face": score_block(track, videos, with_face=True),
        "post_with_face": score_block(track, processed, with_face=True),
    }
    scored.scores = {name: block for name, block in blocks.items() if block}
    if blocks["post"]:
        scored.post |= optimism(scored.chain, videos, blocks["post"]["main"])
    write_predictions(folder / "predictions" / f"{job.split}.parquet", track, videos)
    write_predictions(folder / "predictions" / f"{job.split}.post.parquet", track, processed)
    return scored


def postprocessors_of_source(job: Job) -> Scored:
    """Fit post-processors for a run on train and val, on the predictions of the run that chose its epochs.

    That run was not trained on those videos.
    """
    scored = Scored(Chain(job.plan.post, job.track))
    if job.origin is not None and job.origin.answers is not None:
        known = read_own(job.origin.answers, job.track)
        if labelled(known):
            scored.post = {"all": scored.chain.fit(known).state(), "fitted_on": job.origin.run}
    return scored


def answer_test(
    job: Job, videos: Sequence[VideoAnswers], chain: Chain, folder: Path
) -> tuple[SubmissionBlock | None, list[str]]:
    """Write the raw and processed predictions for the test videos, and the submission.

    Return the submission's part of the record, and notes. A fold by itself makes no submission; the folds together do.
    """
    if not videos:
        return None, _unsubmitted(job)
    final = [chain.apply(video) for video in videos]
    write_predictions(folder / "predictions" / "test.parquet", job.track, videos, labels=False)
    if job.config.fold < 0:
        return submit_final(job, final, folder)
    write_predictions(folder / "predictions" / "test.post.parquet", job.track, final, labels=False)
    return None, []


def submit_final(job: Job, final: Sequence[VideoAnswers], folder: Path) -> tuple[SubmissionBlock | None, list[str]]:
    """Write processed predictions for the test videos and, if possible, their submission.

    A list in the data folder that cannot be answered is not a reason to lose the run.
    """
    write_predictions(folder / "predictions" / "test.post.parquet", job.track, final, labels=False)
    if notes := _unsubmitted(job):
        return None, notes
    return submit_videos(
        job.track, final, job.index.test_list, folder / "submission", edition=job.edition.name, run=folder.name
    )


def _unsubmitted(job: Job) -> list[str]:
    """Return the note that no submission is made, with the reason; [] if one can be made."""
    reason = submission_obstacle(job.index, all_editions(job.registry))
    return [f"no submission: {reason}"] if reason else []
