"""Text that a run prints at its beginning and at its end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.data.index.index import Index
from harness.evaluation.looks import said
from harness.runs.job import Job
from harness.runs.remarks import (
    LABELS,
    choice_lines,
    fold_lines,
    gain_lines,
    optimism_lines,
    parts_line,
    present_lines,
    reference_lines,
    steepness_lines,
    teacher_lines,
)
from harness.runs.run import Outcome
from harness.runtime.terminal import tabulate
from leaderboards.blocks import Result, ScoreBlock, SubmissionBlock
from zoo.model.lora import layers_of
from zoo.registry.augmentations import augmentation_texts
from zoo.text import visible

RATE = 85.0  # frames/s: training a ResNet-18 end to end at 112 x 112 on two cores, measured (see README)


def announce(job: Job, hindrance: str = "") -> None:
    """Print what will be done, and what the user should know before. ``hindrance``: why no submission is possible."""
    plan, index = job.plan, job.index
    splits = ", ".join(f"{len(index.split(s))} {s}" for s in ("train", "val", "test"))
    groups = ", ".join(str(len({video.group for video in index.split(s)})) for s in ("train", "val", "test"))
    folder = job.data_name if job.config.data_dir is None else index.root.resolve().name
    name = f"{job.edition.name} {job.track.name}"
    print(f"{name} on {visible(folder)}: {splits} videos ({groups} groups){_shared(index)}", flush=True)
    if job.config.folds and job.config.fold < 0:
        k = job.config.folds
        of = " and ".join(job.config.folds_of)
        print(f"{k} folds of the {of} videos by group: one scored, the next chooses the epoch, {k - 2} train")
    for stage in job.stages:
        other = "the other videos by all folds" if set(stage.config.folds_of) == {"train"} else "test by all folds"
        what = f"the predictions of {visible(stage.record.name)}, every video by the fold that has not seen it, {other}"
        print(f"branch {stage.branch} reads {what}")
    if job.origin is not None:
        chosen = f"{job.origin.epochs} epochs, as {visible(job.origin.run)} chose"
        print(f"trained on train and val for {chosen}; nothing is scored")
    if job.config.zero_shot:
        print(f"zero-shot: {visible(job.config.encoders)} is scored with its own predictions; nothing is trained")
    if job.config.trees:
        print("boosted trees on frozen features, frame by frame; fusion, head, loss and training settings are not used")
    if job.synthetic:
        print(
            "This is the synthetic demo set: drawn figures with computed labels. Its scores say nothing about people."
        )
    for note in (*index.notes, *([f"no submission will be written: {hindrance}"] if hindrance else [])):
        print(visible(f"note: {note}"))
    for slot in plan.slots:
        if slot.stream.name in job.track.forbidden_streams:
            who = f"{job.edition.name} {job.track.name}"
            print(f"warning: {who} forbids the stream {slot.stream.name!r}: {job.track.rules}")
        if not slot.frozen:
            why = "from its weights (--finetune)" if slot.passport else "from random weights"
            if slot.lora is not None:
                why = f"by adapters of its weights ({slot.lora}): {layers_of(slot, slot.lora)}"
            frames = sum(video.n_frames for video in index.split("train"))
            cost = _cost(frames) if slot.stream.kind == "frames" else ""
            print(f"slot {slot.name}: {slot.encoder.name} is trained {why}{cost}")
    unseen = set() if job.config.features.views else {slot.name for slot in plan.slots if slot.frozen}
    for text in augmentation_texts({name: chain for name, chain in plan.augment.items() if name not in unseen}):
        print(f"augmented in training: {text}")
    if job.config.tta.used:
        print(said(job.config))
    if job.teacher is not None:
        distill = job.config.distill
        print(
            f"taught by {visible(job.teacher.run)}: {distill.weight:g} of the loss, temperature {distill.temperature:g}"
        )
    print(end="", flush=True)


def _shared(index: Index) -> str:
    """Return the number of files if videos show two people, each of whom counts as one video; otherwise ""."""
    files = {video.video for video in index.videos if video.video}
    people = sum(video.video is not None for video in index.videos)
    return f" (one for each person; {len(files)} files)" if len(files) < people else ""


def _cost(frames: int) -> str:
    """Return the estimated time of an epoch; "" if it is under a minute.

    The speed is that of a ResNet-18: a network such as a plugin's was not measured.
    """
    minutes = frames / RATE / 60
    return f": an epoch takes about {minutes:.0f} min at the speed of a ResNet-18 on two cores" if minutes >= 1 else ""


def summary(outcome: Outcome, job: Job, files: Sequence[Path], problems: Sequence[Any]) -> str:
    """Format scores with intervals and numbers of videos, the paths of the files, and what was verified."""
    result = outcome.record.result
    lines = ["", f"{result['edition']} {result['track']}: {result['metric']} on {result['split']}"]
    unscored = "train and val were trained on" if result.get("fit") else "no validation labels"
    lines.append(_scores(result["scores"]) if result["scores"] else f"{unscored}: nothing is scored")
    lines += present_lines(result) + reference_lines(result) + steepness_lines(result)
    lines += map(visible, _ceiling(job, result) + fold_lines(result) + optimism_lines(result))
    lines += map(visible, gain_lines(result) + choice_lines(result) + teacher_lines(result))
    folder = outcome.folder
    rows = [
        ("run", folder),
        ("record", folder / "record.json"),
        ("weights", folder / "weights.safetensors"),
        ("predictions", folder / "predictions"),
    ]
    rows += [("leaderboard", path) for path in files]
    if submission := result.get("submission"):
        rows.append(("submission", folder / "submission" / submission["file"]))
    lines += ["", tabulate([(name, str(path)) for name, path in rows if path.exists()], tablefmt="plain")]
    if submission:
        lines.append(_submission(submission))
    lines += map(visible, outcome.notes)
    lines += [visible(f"left out of the leaderboard: {problem}") for problem in problems]
    if job.synthetic:
        lines.append("Synthetic demo set: these scores say nothing about people.")
    return "\n".join(lines)


def _scores(scores: Mapping[str, ScoreBlock]) -> str:
    table = []
    for kind, block in scores.items():
        spread = f" ± {block['spread']:.4f} over {len(block['seeds'])} seeds" if "spread" in block else ""
        parts = parts_line(block["parts"])
        interval = "-" if block["low"] is None else f"[{block['low']:.4f}, {block['high']:.4f}]"
        counts = [block["videos"], len(block.get("groups") or ()), block["frames"]]
        table.append([LABELS.get(kind, kind), f"{block['main']:.4f}{spread}", interval, *counts, parts])
    heads = ["", "score", "95 % interval", "videos", "groups", "frames", "parts"]
    return tabulate(table, heads, disable_numparse=True)


def _ceiling(job: Job, result: Result) -> list[str]:
    """Return the score on the demo set as a share of an oracle's score, which knows the generator's equations."""
    truth = job.index.root / "truth.json"
    if not truth.is_file() or "raw" not in result["scores"] or result["split"] != "val" or "ensemble" in result:
        return []
    ceilings = json.loads(truth.read_text()).get(job.track.name, {})
    streams = {slot.stream.name for slot in job.plan.slots}
    slots = "+".join(name for name in ("face", "context", "body", "audio") if name in streams)
    if slots not in ceilings or streams - set(slots.split("+")):  # the information in a plugin's stream is not known
        return []
    share = result["scores"]["raw"]["main"] / ceilings[slots]
    return [
        f"an oracle that knows the generator's equations reaches {ceilings[slots]:.4f} with {slots}: "
        f"the raw score is {share:.0%} of that"
    ]


def _submission(submission: SubmissionBlock) -> str:
    official = "rows and order of the official list" if submission["official"] else "not the rows of an official list"
    return f"submission: {submission['rows']} rows, {official}, verified: header, rows, order, ranges, no NaN"
