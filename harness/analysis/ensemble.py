"""An ensemble of finished runs: a run of its own, with answers, scores, a submission and a record naming its members.

Nothing is trained. Members answered the same frames of the same split of the same data; a run of several seeds stands
for its seeds. ``weights`` are cross-fitted over the same five folds of groups as post-processors are: each video's
members are weighed, and the result post-processed, with values from other folds alone. Weights fitted on all scored
videos serve only the test file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.ensemble_weights import PerKind, by_fold, fit_weights
from harness.evaluation.merging import merge
from harness.evaluation.postprocessing import Chain
from harness.evaluation.scoring import main_score
from harness.io.locks import run_lock
from harness.runs.finished import digests_of, place_of, read_own
from harness.runs.identity import identity
from harness.runs.job import Job
from harness.runs.multi_run import read
from harness.runs.recording import record_run
from harness.runs.results import Scored, answer_test, score_split, submit_final
from harness.runs.run import Outcome
from harness.submissions.submission import link_record
from leaderboards.blocks import Circumstances, EnsembleBlock, Result, ScoreBlock, SubmissionBlock
from leaderboards.record import Record
from leaderboards.statistics import paired
from zoo.api import TrackSpec, VideoAnswers
from zoo.errors import UserError

METHODS = {
    "mean": "values and probabilities averaged",
    "vote": "classes and units by majority, ties by the average probability; values averaged",
    "ccc": "values brought to a common mean and spread by their agreement; probabilities averaged",
    "weights": "averaged with the weights that score best on other folds of groups",
}
ALIKE = ("track", "edition", "track_version", "split")
SAME_SCORE = 1e-4  # predictions answered again on another device score so much differently at most


@dataclass(frozen=True)
class Member:
    """A finished run that answered. ``scored``: its raw answers to the reported split; ``test``: to the test videos;
    ``final``: these processed."""

    name: str
    folder: Path
    record: Record
    scored: list[VideoAnswers]
    test: list[VideoAnswers]
    final: list[VideoAnswers]


def expand(folders: Sequence[Path]) -> dict[str, Path]:
    """Name -> folder of every member; several seeds of one run are as many members. UserError for fewer than two."""
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
    """The members' records; UserError where one is not done, or they are not of the same task, data and split."""
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
    """The members with their answers; UserError where these are missing or not those of their record."""
    first = next(iter(records.values()))
    if _fingerprint(first) != (job.whole or job.index).fingerprint():
        raise UserError("ensemble-other-data", root=job.index.root)
    members = []
    for name, folder in folders.items():
        raw = (records[name].result.get("scores") or {}).get("raw") or {}
        scored = read_own(folder / "predictions" / f"{job.split}.parquet", job.track) if raw else []
        if raw and abs((now := main_score(job.track, scored)) - raw["main"]) > SAME_SCORE:
            raise UserError("predictions-not-the-runs-own", folder=folder, now=now, first=raw["main"])
        test, final = (_optional(folder / "predictions" / f, job.track) for f in ("test.parquet", "test.post.parquet"))
        members.append(Member(name, folder, records[name], scored, test, final))
    return members


def _optional(path: Path, track: TrackSpec) -> list[VideoAnswers]:
    return read_own(path, track) if path.is_file() else []


def run_ensemble(job: Job, members: Sequence[Member], method: str, folder: Path) -> Outcome:
    """Merge, score, submit and record into ``folder`` (made by the caller)."""
    circumstances: Circumstances = {"data": place_of(job.index.root, folder)}
    record = Record(folder.name, "running", result=_result(job, members, method), circumstances=circumstances)
    with run_lock(folder), record_run(record, folder):
        names = [member.name for member in members]
        notes: list[str] = []
        weights: PerKind | None = None
        facts: EnsembleBlock = {}
        scored = Scored(Chain(job.plan.post, job.track))
        if all(member.scored for member in members):
            merged, folds, weights, facts = _merge_scored(job, members, method)
            scored = score_split(job, merged, folder, by_fold=folds)
            notes += _compared(members, scored.scores["raw"])
        elif method == "weights":
            raise UserError("ensemble-no-labels", split=job.split)
        submission, more = _answer_test(job, members, method, weights, scored, folder)
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
        if weights and not record.result["selection_split"]:  # its own choice is marked where its members made none
            record.result |= {"selection_split": facts["fitted_on"], "n_selections": len(facts["weights_by_fold"])}
        record.status = "done"
        record.circumstances["files"] = digests_of(folder)
        link_record(folder / "submission", record.result_sha256)
    weighed = [f"weights of {kind} answers: {_shown(names, each)}" for kind, each in (weights or {}).items()]
    return Outcome(folder, record, [*notes, *weighed, *more])


def _merge_scored(
    job: Job, members: Sequence[Member], method: str
) -> tuple[list[VideoAnswers], dict[int, list[VideoAnswers]] | None, PerKind | None, EnsembleBlock]:
    """Answers to the scored videos; fold -> all of them as weights fitted without the fold make them; the weights
    fitted on all; and what the record says of these."""
    track, answers, names = job.track, [member.scored for member in members], [member.name for member in members]
    if method != "weights":
        return merge(answers, track, method=method, names=names), None, None, {}
    merge(answers, track, names=names)  # what differs is said before anything is fitted
    fitted, fold = by_fold(answers, track)
    folds = {f: merge(answers, track, weights=own) for f, own in fitted.items()}
    place = {video.video: i for i, video in enumerate(members[0].scored)}
    merged = [folds[fold[v.group]][place[v.video]] for v in members[0].scored]
    weights = fit_weights(answers, track)
    itself = main_score(track, merge(answers, track, weights=weights))
    facts: EnsembleBlock = {
        "fitted_on": f"other groups of {job.split}",
        "weights_by_fold": list(fitted.values()),
        "weights": weights,
        "fitted_on_itself": itself,
        "optimism": itself - main_score(track, merged),
    }
    return merged, folds, weights, facts


def _answer_test(
    job: Job, members: Sequence[Member], method: str, weights: PerKind | None, scored: Scored, folder: Path
) -> tuple[SubmissionBlock | None, list[str]]:
    """The test file; of runs that have no scored split (trained on train and val) the processed answers are merged."""
    way = "mean" if method == "weights" else method
    without = [member.name for member in members if not (member.test if scored.scores else member.final)]
    if without:
        some = len(without) < len(members)
        return None, [f"no submission: {', '.join(without)} answered no test videos"] if some else []
    answers = [member.test if scored.scores else member.final for member in members]
    merged = merge(answers, job.track, method=way, weights=weights, names=[member.name for member in members])
    if scored.scores:
        return answer_test(job, merged, scored.chain, folder)
    return submit_final(job, merged, folder)


# --- the record -------------------------------------------------------------------------------------------------------


def _result(job: Job, members: Sequence[Member], method: str) -> Result:
    """What the ensemble is, known before anything is merged. Choices are its members': the most that any of their
    epochs was chosen among, whatever any of them saw."""
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
    """Whether a run chose by what it reports; records from before this was noted say it by the split's name."""
    return bool(result.get("selected_on_reported", result.get("selection_split") == result.get("split")))


def post_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The post-processors' part of a run's options."""
    return {key: value for key, value in options.items() if key.startswith("post.")}


def _main(member: Member) -> float | None:
    main: float | None = ((member.record.result.get("scores") or {}).get("raw") or {}).get("main")
    return main


def _compared(members: Sequence[Member], block: ScoreBlock) -> list[str]:
    """Each member's score, and how far the ensemble's is from the highest of them."""
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


def _shown(names: Sequence[str], weights: Sequence[float]) -> str:
    return ", ".join(f"{name} {weight:.3f}" for name, weight in zip(names, weights, strict=True))
