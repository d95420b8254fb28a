"""Ensembles: several finished runs merged into a run with predictions, scores, a submission and a record.

No network is trained. All members predicted the same frames of the same split of the same data; a run of several seeds
counts as its seeds. What is fitted, weights or a second level (``stack``), is cross-fitted over the same five folds of
groups as post-processors are: a video's members are merged, and the result post-processed, only with values from other
folds. What is fitted on all scored videos is used only for the test file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.fitted_merging import METHODS as FITTED
from harness.analysis.fitted_merging import Combiner, CrossFitted, cross_fit
from harness.data.index.group_tables import TABLE
from harness.data.index.index import Index
from harness.evaluation.merging import merge
from harness.evaluation.postprocessing import Chain
from harness.evaluation.scoring import main_score
from harness.io.run_lock import run_lock
from harness.runs.finished import check_groups, data_circumstances, digests_of, read_own
from harness.runs.identity import identity
from harness.runs.job import Job
from harness.runs.multi_run import read
from harness.runs.recording import record_run
from harness.runs.results import Scored, answer_test, score_split, submit_final
from harness.runs.run import Outcome
from harness.submissions.submission import link_record
from leaderboards.blocks import EnsembleBlock, Result, ScoreBlock, SubmissionBlock
from leaderboards.intervals import paired
from leaderboards.record import Record
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError

METHODS = {
    "mean": "values and probabilities averaged",
    "vote": "classes and units by majority, ties by the average probability; values averaged",
    "ccc": "values brought to a common mean and spread by their agreement; probabilities averaged",
    "weights": "averaged with the weights that score best on other folds of groups",
    "channels": "averaged with the weights that score best on other folds of groups, chosen for each answer apart",
    "stack": "put through linear models of all members' predictions, fitted on other folds of groups",
    "greedy": "averaged over members that are added one by one, as many as score best on other folds of groups",
}
ALIKE = ("track", "edition", "track_version", "split")
SAME_SCORE = 1e-4  # largest difference of scores if the same weights predict on another device


@dataclass(frozen=True)
class Member:
    """A finished run with predictions.

    ``scored``: its raw predictions for the reported split; ``test``: for the test videos; ``final``: ``test`` after
    post-processing.
    """

    name: str
    folder: Path
    record: Record
    scored: list[VideoAnswers]
    test: list[VideoAnswers]
    final: list[VideoAnswers]


def expand(folders: Sequence[Path]) -> dict[str, Path]:
    """Return name -> folder of every member; each seed of a run is a member. Raise UserError for fewer than two."""
    found: dict[str, Path] = {}
    for folder in folders:
        seeds = sorted(folder.glob("seed-*"), key=lambda p: (len(p.name), p.name)) if _has_seeds(folder) else []
        for path in seeds or [folder]:
            name = f"{folder.name}/{path.name}" if seeds else folder.name
            if path.resolve() in [other.resolve() for other in found.values()]:
                raise UserError("ensemble-member-twice", file=path)
            found[str(path) if name in found else name] = path
    if len(found) < 2:
        raise UserError("ensemble-too-few")
    return found


def _has_seeds(folder: Path) -> bool:
    return (folder / "seeds").is_file()


def read_records(folders: Mapping[str, Path]) -> dict[str, Record]:
    """Return the members' records; raise UserError if one is not done, or their tasks, data or splits differ."""
    records = {name: read(folder / "record.json") for name, folder in folders.items()}
    for name, record in records.items():
        if record.status != "done":
            raise UserError("ensemble-member-not-finished", part=folders[name], status=record.status)
    (first, wanted), *others = records.items()
    for name, record in others:
        for key in ALIKE:
            a, b = wanted.result.get(key), record.result.get(key)
            if a != b:
                raise UserError("ensemble-members-differ", first=first, what=key.replace("_", " "), a=a, name=name, b=b)
        if _fingerprint(wanted) != _fingerprint(record):
            raise UserError("ensemble-data-differ", first=first, name=name)
    return records


def _fingerprint(record: Record) -> Any:
    return (record.result.get("data") or {}).get("fingerprint")


def load_members(folders: Mapping[str, Path], records: Mapping[str, Record], job: Job) -> list[Member]:
    """Return the members with their predictions; raise UserError if these are missing or do not match the record."""
    first = next(iter(records.values()))
    if _fingerprint(first) != (job.whole or job.index).fingerprint():
        raise UserError("ensemble-other-data", root=job.index.root)
    members = []
    for name, folder in folders.items():
        check_groups(job.index, records[name], folder)
        raw = (records[name].result.get("scores") or {}).get("raw") or {}
        scored = read_own(folder / "predictions" / f"{job.split}.parquet", job.track) if raw else []
        if raw and abs((now := main_score(job.track, scored)) - raw["main"]) > SAME_SCORE:
            raise UserError("predictions-not-the-runs-own", folder=folder, now=now, first=raw["main"])
        check_scored_groups(job.index, scored, folder)
        test, final = (_optional(folder / "predictions" / f, job.track) for f in ("test.parquet", "test.post.parquet"))
        members.append(Member(name, folder, records[name], scored, test, final))
    return members


def check_scored_groups(index: Index, scored: Sequence[VideoAnswers], folder: Path) -> None:
    """Raise UserError if a video was scored in another group than it has now: intervals and folds are made of groups.

    A digest in the record would not do, because `harness evaluate` predicts again with the groups of now.
    """
    groups = {video.name: video.group for video in index.videos}
    for video in scored:
        if (now := groups.get(video.video, video.group)) != video.group:
            file, name = index.root / TABLE, video.video
            raise UserError("ensemble-groups-changed", file=file, folder=folder, name=name, then=video.group, now=now)


def _optional(path: Path, track: TrackSpec) -> list[VideoAnswers]:
    return read_own(path, track) if path.is_file() else []


def run_ensemble(job: Job, members: Sequence[Member], method: str, folder: Path) -> Outcome:
    """Merge, score, submit and record into ``folder`` (made by the caller)."""
    circumstances = data_circumstances(job, folder)
    record = Record(folder.name, "running", result=_result(job, members, method), circumstances=circumstances)
    with run_lock(folder), record_run(record, folder):
        names = [member.name for member in members]
        notes: list[str] = []
        fitted: CrossFitted | None = None
        scored = Scored(Chain(job.plan.post, job.track))
        if all(member.scored for member in members):
            merged, fitted = _merge_scored(job, members, method)
            scored = score_split(job, merged, folder, by_fold=fitted.by_fold if fitted else None)
            notes += _compared(members, scored.scores["raw"])
        elif method in FITTED:
            raise UserError("ensemble-no-labels", method=method, split=job.split)
        weights, facts = (fitted.weights, fitted.facts) if fitted else (None, EnsembleBlock())
        submission, more = _answer_test(job, members, method, fitted.whole if fitted else None, scored, folder)
        record.result = {
            **record.result,
            "scores": scored.scores,
            "post": scored.post,
            "submission": submission,
            "ensemble": {"method": method, **facts},
            "members": [
                {
                    "name": m.name,
                    "result_sha256": m.record.result_sha256,
                    "raw": _main(m),
                    "weights": {kind: each[i] for kind, each in weights.items()} if weights else None,
                }
                for i, m in enumerate(members)
            ],
        }
        # If the members selected nothing on a split, the choice of weights is the run's only selection.
        if fitted and not record.result["selection_split"]:
            choices = facts.get("weights_by_fold") or facts["stack_by_fold"]
            record.result |= {"selection_split": facts["fitted_on"], "n_selections": len(choices)}
        record.status = "done"
        record.circumstances["files"] = digests_of(folder)
        link_record(folder / "submission", record.result_sha256)
    weighed = [f"weights of {key}: {_shown(names, each)}" for key, each in (weights or {}).items()]
    if "stack" in facts:
        weighed.append(_stacked(facts, scored.scores["raw"]))
    return Outcome(folder, record, [*notes, *weighed, *more])


def _merge_scored(job: Job, members: Sequence[Member], method: str) -> tuple[list[VideoAnswers], CrossFitted | None]:
    """Merge the members' predictions for the scored videos; a fitted method is cross-fitted."""
    answers, names = [member.scored for member in members], [member.name for member in members]
    if method not in FITTED:
        return merge(answers, job.track, method=method, names=names), None
    merge(answers, job.track, names=names)  # raises for differing members before anything is fitted
    place = [{video.video: video for video in own} for own in answers]
    alike = [[videos[video.video] for video in answers[0]] for videos in place]  # in the first member's order
    found = cross_fit(alike, job.track, method, job.split)
    return found.merged, found


def _answer_test(
    job: Job, members: Sequence[Member], method: str, whole: Combiner | None, scored: Scored, folder: Path
) -> tuple[SubmissionBlock | None, list[str]]:
    """Write the test file; for runs without a scored split (trained on train and val) merge processed predictions."""
    way = "mean" if method in FITTED else method
    without = [member.name for member in members if not (member.test if scored.scores else member.final)]
    if without:
        some = len(without) < len(members)
        return None, [f"no submission: {', '.join(without)} predicted no test videos"] if some else []
    answers = [member.test if scored.scores else member.final for member in members]
    merged = merge(answers, job.track, method=way, names=[member.name for member in members])
    if whole is not None:
        merged = whole.merge(answers)
    if scored.scores:
        return answer_test(job, merged, scored.chain, folder)
    return submit_final(job, merged, folder)


# --- the record -------------------------------------------------------------------------------------------------------


def _result(job: Job, members: Sequence[Member], method: str) -> Result:
    """Return the part of the ensemble's record that is known before merging.

    Its choices are those of its members: the largest number of selections of any member, and the videos that any of
    them has seen.
    """
    results = [member.record.result for member in members]
    passports = {str(sorted(p.items(), key=str)): p for result in results for p in result.get("passports") or ()}
    config = {"ensemble": method, "post": list(job.config.post), "options": post_options(job.config.options)}
    return {
        **identity(job),
        "config": config,
        "combination": {
            "encoders": f"ensemble of {', '.join(member.name for member in members)}",
            "fusion": method,
            "head": "",
        },
        "seeds": sorted({seed for result in results for seed in result.get("seeds") or ()}),
        "plugins": sorted({name for result in results for name in result.get("plugins") or ()}),
        "passports": list(passports.values()),
        "selection_split": next((s for result in results if (s := result.get("selection_split"))), None),
        "n_selections": max(result.get("n_selections") or 0 for result in results),
        "selected_on_reported": any(_on_reported(result) for result in results),
        "seen": sorted({name for result in results for name in result.get("seen") or ()}),
        "parameters": {"trained": sum((r.get("parameters") or {}).get("trained") or 0 for r in results)},
    }


def _on_reported(result: Result) -> bool:
    """Return True if a run selected on the split that it reports; older records show this by the split's name."""
    return bool(result.get("selected_on_reported", result.get("selection_split") == result.get("split")))


def post_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the post-processors' part of a run's options."""
    return {key: value for key, value in options.items() if key.startswith("post.")}


def _main(member: Member) -> float | None:
    main: float | None = ((member.record.result.get("scores") or {}).get("raw") or {}).get("main")
    return main


def _compared(members: Sequence[Member], block: ScoreBlock) -> list[str]:
    """Return lines with each member's score, and the ensemble's difference from the highest of them."""
    lines = [f"members: {', '.join(f'{m.name} {_main(m):.4f}' for m in members)} (raw)"]
    best = max(members, key=lambda m: _main(m) or 0.0)
    theirs = best.record.result["scores"]["raw"]
    if theirs.get("groups") == block["groups"] and len(block["groups"]) > 1:
        low, high = best.record.result["score_range"]
        rest, usual = block["leave_one_out"], theirs["leave_one_out"]
        d = paired(block["main"], rest, theirs["main"], usual, score_range=(low, high))
        lines.append(
            f"the ensemble's raw score is {d.value:+.4f} from the highest of its members', {best.name}: 95 % interval "
            f"[{d.low:+.4f}, {d.high:+.4f}], paired over {d.groups} groups of videos"
        )
    return lines


def _stacked(facts: EnsembleBlock, block: ScoreBlock) -> str:
    """Return a line that compares the second level with the plain mean."""
    stack = facts["stack"]
    return (
        f"stacked, cross-fitted: {block['main']:.4f}; the members' plain mean: {facts['mean']:.4f} (raw); "
        f"{stack['inputs']} inputs, {stack['frames']} frames, strength {stack['strength']:g}"
    )


def _shown(names: Sequence[str], weights: Sequence[float]) -> str:
    return ", ".join(f"{name} {weight:.3f}" for name, weight in zip(names, weights, strict=True))
