"""`harness reproduce`: repeat a finished run from its record, and compare the scores."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from harness.config.schema import RunConfig, validate
from harness.runs.finished import check_groups, data_place
from harness.runs.folder import new_folder, saved_config
from harness.runs.identity import identity
from harness.runs.job import Job, make_job
from harness.runs.multi_run import write_config
from harness.runs.recorded_plugins import plugin_names, trusted_plugins
from harness.runs.recording import host
from harness.runs.remarks import LABELS
from harness.runs.start import check_ready, finish, read, run_job
from harness.runs.summary import announce
from harness.runtime.device import pick_device
from harness.runtime.terminal import tabulate
from leaderboards.blocks import Interval
from leaderboards.intervals import SAME
from leaderboards.record import Record, digest
from zoo.errors import UserError
from zoo.files import file_sha256
from zoo.model.model import build_encoder
from zoo.registry.plan import SlotPlan
from zoo.text import visible
from zoo.weights.cards import find

NOTHING = Interval(main=None, low=None, high=None)
SHOWN = 12  # differences named
MACHINE = ("platform", "python", "threads", "device", "commit")
"""Circumstances that may change a result's last digits."""


@dataclass(frozen=True)
class Paths:
    """Current places of files, which a record does not state and a config.toml may state wrongly; None: as there."""

    data: Path | None = None
    list_file: Path | None = None
    plugins: tuple[Path, ...] = ()
    epochs_from: Path | None = None
    device: str | None = None
    distill: Path | None = None


def reproduce(path: Path, out: Path, paths: Paths) -> int:
    """Repeat a record's run in a new folder in ``out``.

    Return 0 if the new scores lie inside the old intervals (if nothing was scored: if the result is the same), else 1.
    Raise UserError if it cannot be the same run.
    """
    record, beside = _record(path)
    config = _config(path, record, beside, paths)
    job = make_job(config, averaged_later="run" in (record.result.get("tta") or {}))
    _check_same_task(job, record)
    check_ready(job)
    differing = [*_differences(job, record), *_machine(job, record)]
    announce(job)
    print(f"reproducing {visible(record.name)}: {_counted(len(differing), record)}")
    for line in differing:
        print(f"  {visible(line)}", flush=True)
    folder = new_folder(out, None, re.sub(r"[^A-Za-z0-9_.+-]+", "+", record.name).lstrip(".")[:120] or "run")
    write_config(job.config, folder)
    outcome = run_job(job, folder, len(record.result.get("seeds") or ()))
    finish(outcome, job, out)
    return _judge(record, outcome.record, bool(differing))


def _counted(differing: int, record: Record) -> str:
    if differing:
        return "one thing differs" if differing == 1 else f"{differing} things differ"
    same = "data, plugins, weights and package versions are the same"
    return f"{same}; so is the machine" if record.circumstances else same


# --- from the record to a configuration -------------------------------------------------------------------------------


def _record(path: Path) -> tuple[Record, Path | None]:
    """Return the record, and the run folder that contains it, or None."""
    folder = path if path.is_dir() else path.parent
    record = read(path / "record.json" if path.is_dir() else path)
    if record.status != "done":
        why = f": {record.reason}" if record.reason else ""
        raise UserError("reproduce-not-finished", file=path, status=record.status, why=why)
    if "ensemble" in record.result:
        raise UserError("reproduce-ensemble", file=path, value=(record.result["ensemble"] or {}).get("method"))
    return record, folder if (folder / "config.toml").is_file() else None


def _config(path: Path, record: Record, beside: Path | None, paths: Paths) -> RunConfig:
    """Return the record's settings, with paths from the command line, else from the config.toml next to the record."""
    given = record.result.get("config")
    if not isinstance(given, dict):
        raise UserError("reproduce-no-config", file=path)
    there = saved_config(beside) if beside else RunConfig()
    files = trusted_plugins(beside or path, there.plugin or plugin_names(record), record, paths.plugins)
    place = paths.data
    if place is None and beside and there.data_dir:
        place = data_place(beside, record, there.data_dir)
    known = {
        "data_dir": str(place) if place else None,
        "plugin": [str(p) for p in files],
        "epochs_from": str(paths.epochs_from) if paths.epochs_from else there.epochs_from,
        "device": paths.device or there.device,
    }
    tree = {**given, **known}
    if taught := record.result.get("distillation"):
        teacher = str(paths.distill) if paths.distill else there.distill.run
        if teacher is None:
            raise UserError("reproduce-no-teacher", file=path, teacher=taught["run"])
        tree["distill"] = {**(given.get("distill") or {}), "run": teacher}
    if paths.list_file:
        tree["data"] = {**(given.get("data") or {}), "list": str(paths.list_file)}
    synthetic = (record.result.get("data") or {}).get("synthetic")
    if known["data_dir"] is None and not synthetic:
        raise UserError("reproduce-no-data-path", file=path)
    if given.get("fit") and known["epochs_from"] is None:
        origin = (record.result.get("epochs_from") or {}).get("run")
        raise UserError("reproduce-no-epochs-run", file=path, origin=origin)
    try:
        return validate({key: value for key, value in tree.items() if value is not None}, str(path))
    except UserError as error:
        raise UserError("reproduce-program-changed", error=error, maker=_maker(record)) from None


def _maker(record: Record) -> str:
    """Return the version that made a record."""
    version, commit = (record.result.get("versions") or {}).get("abaw-zoo"), record.circumstances.get("commit")
    return f"abaw-zoo {version}" + (f", commit {commit}" if commit else "")


# --- comparison with the record ---------------------------------------------------------------------------------------


def _check_same_task(job: Job, record: Record) -> None:
    """Raise UserError if the scores would not be comparable: other data or groups, or another version of the track."""
    now, then = identity(job), record.result
    here_now, there_then = cast(Mapping[str, object], now), cast(Mapping[str, object], then)
    for key in ("edition", "track", "track_version", "metric", "split"):
        if here_now[key] != there_then.get(key):
            words = key.replace("_", " ")
            raise UserError(
                "reproduce-version-changed",
                name=record.name,
                words=words,
                value=there_then.get(key),
                part=here_now[key],
                maker=_maker(record),
            )
    data, here = then.get("data") or {}, now["data"]
    if data.get("fingerprint") != here["fingerprint"]:
        both = {"videos": (data.get("videos"), here["videos"]), "frames": (data.get("frames"), here["frames"])}
        counts = [
            f"{what} of {split}: {(were or {}).get(split)}, here {count}"
            for what, (were, are) in both.items()
            for split, count in are.items()
            if (were or {}).get(split) != count
        ]
        said = "; ".join(counts) or "the counts are the same, names or labels are not"
        raise UserError(
            "reproduce-other-data",
            root=job.index.root,
            name=record.name,
            part=str(data.get("fingerprint"))[:8],
            part2=here["fingerprint"][:8],
            said=said,
        )
    check_groups(job.index, record, Path(record.name))


def _differences(job: Job, record: Record) -> Iterator[str]:
    """Yield package versions, plugins, weights and the runs that it depends on, if they differ from the record."""
    now, then = identity(job), record.result
    versions = then.get("versions") or {}
    for name, version in now["versions"].items():
        if versions.get(name) != version:
            yield f"{name} {versions.get(name)} then, {version} now"
    had, has = set(then.get("plugins") or ()), set(now["plugins"])
    yield from (f"plugin then, not now: {name}" for name in sorted(had - has))
    yield from (f"plugin now, not then: {name}" for name in sorted(has - had))
    recorded = {p.get("slot"): p for p in then.get("passports") or () if p.get("sha256")}
    for slot in job.plan.slots:
        was = recorded.get(slot.name, {}).get("sha256")
        sha256 = _weights_sha256(slot, described=was is not None)
        if sha256 != was:
            yield f"weights of {slot.name}: sha256 {str(was)[:12]} then, {str(sha256)[:12]} now"
    if job.origin is not None and (then.get("epochs_from") or {}).get("sha256") != job.origin.sha256:
        yield f"the run that chose the epochs, {job.origin.run}, has another result now"
    read_then = {stage["branch"]: stage["sha256"] for stage in then.get("stages") or ()}
    for stage in job.stages:
        if read_then.get(stage.branch) != stage.record.result_sha256:
            yield f"the run that branch {stage.branch} reads, {stage.record.name}, has another result now"
    if job.teacher is not None and (then.get("distillation") or {}).get("sha256") != job.teacher.sha256:
        yield f"the run that taught, {job.teacher.run}, has another result now"


def _weights_sha256(slot: SlotPlan, *, described: bool) -> str | None:
    """Return the digest of a branch's weights; if it has none and is ``described``, the one that its encoder names."""
    if slot.passport is not None:
        return file_sha256(find(slot.passport))
    say = getattr(build_encoder(slot), "describe", None) if described else None
    return cast(str | None, say().get("sha256")) if callable(say) else None


def _machine(job: Job, record: Record) -> Iterator[str]:
    now: Mapping[str, object] = {**host(), "device": str(pick_device(job.config.device))}
    then = cast(Mapping[str, object], record.circumstances)
    for key in MACHINE:
        if key in then and then[key] != now[key]:
            yield f"{key} {then[key]} then, {now[key]} now"
    if str(now["commit"]).endswith("+") and then.get("commit") == now["commit"]:
        yield f"commit {now['commit']} then and now, with changes on top of it that may not be the same"


# --- verdict ----------------------------------------------------------------------------------------------------------


def _judge(old: Record, new: Record, differed: bool) -> int:
    """Print the new scores next to the old intervals, and whether the results are the same to the last digit."""
    a, b = _of_one_run(old.result), _of_one_run(new.result)
    same = digest(a) == digest(b)
    inside = {kind: _inside(block, new.scores.get(kind, NOTHING)) for kind, block in old.scores.items()}
    main = [inside[kind] for kind in ("raw", "post") if kind in inside]
    rows = [
        [
            LABELS.get(kind, kind),
            *(_number(block[key]) for key in ("main", "low", "high")),
            _number(new.scores.get(kind, NOTHING)["main"]),
            "inside" if inside[kind] else "OUTSIDE",
        ]
        for kind, block in old.scores.items()
    ]
    print()
    if rows:
        headers = ["", "record", "low", "high", "reproduced", "the record's interval"]
        print(tabulate(rows, headers, disable_numparse=True))
    else:
        print("nothing was scored: only the equality of the results can be checked")
    but = " but for the name of the run that was averaged" if same and old.result_sha256 != new.result_sha256 else ""
    print(f"result_sha256: {'the same' if same else 'different'}{but} ({new.result_sha256[:12]})")
    if not same:
        _explain(a, b, differed)
    reproduced = all(main) if main else same
    print(f"{'reproduced' if reproduced else 'NOT reproduced'}: {_because(main, same, old)}")
    return 0 if reproduced else 1


def _of_one_run(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a result as if its test-time augmentation had been a setting of its training.

    `harness evaluate --tta` names the run that it averaged; the repeated run is trained and averaged in one.
    """
    if not (averaged := result.get("tta")):
        return result
    alone = {key: value for key, value in averaged.items() if key not in ("run", "sha256")}
    return {**{key: value for key, value in result.items() if key != "epoch_choice"}, "tta": alone}


def _inside(block: Interval, new: Interval) -> bool:
    main, low, high = new["main"], block["low"], block["high"]
    return main is not None and low is not None and high is not None and low - SAME <= main <= high + SAME


def _because(main: list[bool], same: bool, old: Record) -> str:
    if same:
        return "the result is the same to the last digit"
    if not main:
        return "the result is different"
    groups = len((old.result["scores"].get("raw") or {}).get("groups") or ())
    where = "inside the record's 95 % interval" if all(main) else "not inside the record's 95 % interval"
    return f"the new score is {where}, which is over {groups} groups of videos"


def _explain(old: Mapping[str, Any], new: Mapping[str, Any], differed: bool) -> None:
    """Print the differences of two results."""
    a, b = _flat(old), _flat(new)
    keys = [key for key in {**a, **b} if a.get(key, ...) != b.get(key, ...)]
    for key in keys[:SHOWN]:
        print(visible(f"  {key}: {a.get(key, 'not there')} then, {b.get(key, 'not there')} now"))
    if len(keys) > SHOWN:
        print(f"  and {len(keys) - SHOWN} more")
    if not differed:
        print(
            "warning: no difference was found that should change a result; the same machine should give the same result"
        )


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Return every plain value of a tree by its dotted path."""
    if isinstance(tree, Mapping | list):
        items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
        return {k: v for key, value in items for k, v in _flat(value, f"{prefix}{key}.").items()}
    return {prefix.rstrip("."): tree}


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.6f}"
