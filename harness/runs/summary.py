"""What a run says at its beginning and at its end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.index.index import Index
from harness.runs.job import Job
from harness.runs.run import Outcome
from harness.runtime.terminal import tabulate
from harness.training.forecast import STEEP
from leaderboards.blocks import Result, ScoreBlock, SubmissionBlock
from zoo.text import visible

LABELS = {
    "raw": "raw",
    "post": "post-processed (cross-fitted)",
    "raw_with_face": "raw, frames with a face",
    "post_with_face": "post-processed, frames with a face",
}
RATE = 85.0  # frames/s: training a ResNet-18 end to end at 112 x 112 on two cores, measured (see README)


def announce(job: Job, hindrance: str = "") -> None:
    """Say what will be done, and whatever the user should know before it is. ``hindrance``: to a submission."""
    plan, index = job.plan, job.index
    splits = ", ".join(f"{len(index.split(s))} {s}" for s in ("train", "val", "test"))
    groups = ", ".join(str(len({video.group for video in index.split(s)})) for s in ("train", "val", "test"))
    folder = job.data_name if job.config.data_dir is None else index.root.resolve().name
    name = f"{job.edition.name} {job.track.name}"
    print(f"{name} on {visible(folder)}: {splits} videos ({groups} groups){_shared(index)}", flush=True)
    if job.config.folds and job.config.fold < 0:
        k = job.config.folds
        print(f"{k} folds of the train and val videos by group: one scored, the next chooses the epoch, {k - 2} train")
    if job.origin is not None:
        chosen = f"{job.origin.epochs} epochs, as {visible(job.origin.run)} chose"
        print(f"trained on train and val for {chosen}; nothing is scored")
    if job.config.zero_shot:
        print(f"zero-shot: what {visible(job.config.encoders)} predicts by itself is scored, and nothing is trained")
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
            frames = sum(video.n_frames for video in index.split("train"))
            cost = _cost(frames) if slot.stream.kind == "frames" else ""
            print(f"slot {slot.name}: {slot.encoder.name} is trained {why}{cost}")
    print(end="", flush=True)


def _shared(index: Index) -> str:
    """Where videos show two people, each of whom counts as one: how many files there are."""
    files = {video.video for video in index.videos if video.video}
    people = sum(video.video is not None for video in index.videos)
    return f" (one for each person; {len(files)} files)" if len(files) < people else ""


def _cost(frames: int) -> str:
    """How long an epoch takes; "" where it is no time to speak of. Of a network nobody has measured, such as a
    plugin's, only what it is compared with is known."""
    minutes = frames / RATE / 60
    return (
        f": an epoch takes about {minutes:.0f} min if it is as slow as a ResNet-18 on two cores" if minutes >= 1 else ""
    )


def summary(outcome: Outcome, job: Job, files: Sequence[Path], problems: Sequence[Any]) -> str:
    """Scores with interval and number of videos, where the files are, what was verified."""
    result = outcome.record.result
    lines = ["", f"{result['edition']} {result['track']}: {result['metric']} on {result['split']}"]
    unscored = "train and val were trained on" if result.get("fit") else "no validation labels"
    lines.append(_scores(result["scores"]) if result["scores"] else f"{unscored}: nothing is scored")
    lines += _present(result) + _reference(result) + _steepness(result)
    lines += map(visible, _ceiling(job, result) + _folds(result) + _optimism(result) + _chosen(result))
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
        parts = _parts(block["parts"])
        interval = "-" if block["low"] is None else f"[{block['low']:.4f}, {block['high']:.4f}]"
        counts = [block["videos"], len(block.get("groups") or ()), block["frames"]]
        table.append([LABELS.get(kind, kind), f"{block['main']:.4f}{spread}", interval, *counts, parts])
    heads = ["", "score", "95 % interval", "videos", "groups", "frames", "parts"]
    return tabulate(table, heads, disable_numparse=True)


def _folds(result: Result) -> list[str]:
    """Of several folds: their mean score and spread, which are other figures than that of all answers together."""
    lines = []
    for kind, block in result["scores"].items():
        if block.get("fold_mean") is not None and kind in ("raw", "post"):
            each = ", ".join("-" if score is None else f"{score:.4f}" for score in block["folds"])
            spread = "" if block["fold_spread"] is None else f" ± {block['fold_spread']:.4f}"
            lines.append(f"{LABELS[kind]}, mean of the folds: {block['fold_mean']:.4f}{spread} ({each})")
    if "folds" in result:
        lines.append(f"epochs chosen: {', '.join(map(str, result['best_epochs']))}; mean {result['epoch']}")
    return lines


def _present(result: Result) -> list[str]:
    """The scores over the classes that the labels show, where some are absent: they count as 0 in the competition's."""
    lines = []
    for kind, block in result["scores"].items():
        over, absent = block.get("over_present"), block.get("absent") or ()
        if kind in ("raw", "post") and over is not None and abs(over - block["main"]) > 1e-9:
            lines.append(
                f"{LABELS[kind]}: {over:.4f} with F1 over what the labels show; {', '.join(absent)} "
                f"{'is' if len(absent) == 1 else 'are'} absent, which the competition's score counts as 0"
            )
    return lines


def _reference(result: Result) -> list[str]:
    """What a linear model of the same frozen features scores, and plainly whether this run is worse."""
    reference, raw = result.get("reference"), result["scores"].get("raw")
    if not reference or not raw:
        return []
    fold_mean = raw.get("fold_mean")
    where = "mean of the folds' raw scores" if fold_mean is not None else "raw score"
    own = raw["main"] if fold_mean is None else fold_mean
    lines = [
        f"plain reference, a linear model a frame of the frozen features ({', '.join(reference['slots'])}): "
        f"{reference['main']:.4f}; the {where} is {own:.4f}"
    ]
    if own < reference["main"]:
        lines.append(
            "warning: this run loses to the plain reference; give it more steps (train.min_steps), another learning "
            "rate (train.lr) or a smaller model"
        )
    return lines


def _steepness(result: Result) -> list[str]:
    """A warning where the training was too short."""
    fall = result.get("late_fall")
    if fall is None or fall < STEEP:
        return []
    return [
        f"warning: the training loss was still falling steeply at the end: {fall:.0%} of its fall came in the last "
        "quarter of the learning; train longer (--epochs, or train.min_steps on a small set) or at a higher train.lr"
    ]


def _optimism(result: Result) -> list[str]:
    """What the usual, flattering ways of choosing the epoch and the values of post-processing do to the score."""
    post, epoch, lines = result.get("post") or {}, result.get("epoch_choice"), []
    if epoch and result.get("selected_on_reported") and "fold_mean" not in result["scores"].get("raw", {}):
        lines.append(
            f"with the epoch chosen on other groups than are scored with it the raw score would be "
            f"{epoch['nested']:.4f}: an optimism of {epoch['optimism']:+.4f}, which is in it"
        )
    if post.get("optimism") is None or not post.get("all"):
        return lines
    return [
        *lines,
        f"with post-processing fitted on the scored frames themselves it would be {post['fitted_on_itself']:.4f}: "
        f"an optimism of {post['optimism']:+.4f}, which is not counted",
    ]


def _chosen(result: Result) -> list[str]:
    """On what the epoch was chosen, and which scored videos the starting weights knew."""
    lines = []
    n, split = result.get("n_selections"), result.get("selection_split")
    if search := result.get("search"):
        sight = "are scored here too, which flatters it" if search["reported"] else "are not scored here"
        lines.append(
            f"{', '.join(search['keys'])}: chosen among {search['trials']} trials on {search['on']}, which {sight}"
        )
        split = None if split == search["on"] else split
    if split == "val":
        lines.append(f"{_decided(result)} by {n} scores on the same validation videos, which flatters it")
    elif split and split.startswith("other groups"):
        lines.append(f"its members' weights were fitted on {split}, which are not scored with them")
    elif split:
        lines.append(f"{_decided(result)} by at most {n} scores on the {split}, which is not scored with it")
        if result.get("selected_on_reported"):
            lines.append("but the weights that it began with were chosen on videos that are scored, which flatters it")
    if seen := result.get("seen"):
        more = ", ..." if len(seen) > 5 else ""
        lines.append(
            f"{len(seen)} of the scored videos were in the training of the weights that it began with: "
            f"{', '.join(seen[:5])}{more}"
        )
    return lines


def _decided(result: Result) -> str:
    """What validation scores decided; records of before this was noted knew the epoch alone."""
    whose = "its members' " if "ensemble" in result else "the "
    deeds = {"epoch": "epoch was chosen", "learning rate": "learning rate was lowered"}
    return whose + " and the ".join(deeds[what] for what in result.get("selected") or ["epoch"])


def _parts(parts: Mapping[str, float]) -> str:
    """What a score is made of, on one line: its terms, or the range of its classes."""
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


def _ceiling(job: Job, result: Result) -> list[str]:
    """On the demo set: the score as a share of what an oracle reaches that knows the generator's equations."""
    truth = job.index.root / "truth.json"
    if not truth.is_file() or "raw" not in result["scores"] or result["split"] != "val" or "ensemble" in result:
        return []
    ceilings = json.loads(truth.read_text()).get(job.track.name, {})
    streams = {slot.stream.name for slot in job.plan.slots}
    slots = "+".join(name for name in ("face", "context", "body", "audio") if name in streams)
    if slots not in ceilings or streams - set(slots.split("+")):  # what a plugin's stream tells is not known
        return []
    share = result["scores"]["raw"]["main"] / ceilings[slots]
    return [
        f"an oracle that knows the generator's equations reaches {ceilings[slots]:.4f} with {slots}: "
        f"the raw score is {share:.0%} of that"
    ]


def _submission(submission: SubmissionBlock) -> str:
    official = "rows and order of the official list" if submission["official"] else "not an official row set"
    return f"submission: {submission['rows']} rows, {official}, verified: header, rows, order, ranges, no NaN"
