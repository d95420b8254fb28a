"""`harness ensemble`: a run of its own, by the whole program on a crumb."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pytest

from harness.analysis.ensemble import check_scored_groups, expand, post_options, read_records
from harness.analysis.ensemble_run import _config
from harness.config.schema import RunConfig
from harness.runs.finished import note_files
from leaderboards.blocks import Result
from leaderboards.record import Record
from tests.harness.runs.test_splits import index_of
from tests.support.refusals import Part, refused
from zoo.api import VideoAnswers

FEW = ("--epochs", 2, "--set", "train.batch=2", "--set", "train.clip=12")
QUICK = (*FEW, "--post", "interpolate,smooth")


@pytest.fixture(scope="module")
def runs(program, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("ensemble") / "runs"
    program.run(out, "a", "--track", "va", *QUICK)
    program.run(out, "b", "--track", "va", "--head", "mlp", "--seed", 3, *QUICK)
    return out


def table(runs: Path, name: str, file: str) -> pd.DataFrame:
    return pd.read_parquet(runs / name / "predictions" / file)


@pytest.mark.slow
def test_an_ensemble_is_a_run_of_its_own(program, record, runs: Path) -> None:
    answer = program("ensemble", runs / "a", runs / "b", "--name", "both", "--out", runs)
    assert answer.code == 0, answer.err
    got = record(runs / "both")
    assert got["status"] == "done"
    assert [(m["name"], m["result_sha256"], m["weights"]) for m in got["result"]["members"]] == [
        (name, record(runs / name)["result_sha256"], None) for name in ("a", "b")
    ]
    for file in ("val.parquet", "test.parquet"):
        a, b, both = (table(runs, name, file) for name in ("a", "b", "both"))
        np.testing.assert_allclose(both["valence"], (a["valence"] + b["valence"]) / 2, atol=1e-12)
        assert both[["video", "frame"]].equals(a[["video", "frame"]])
    scores = got["result"]["scores"]
    assert scores["raw"]["low"] <= scores["raw"]["main"] <= scores["raw"]["high"]
    assert scores["post"]["frames"] == record(runs / "a")["result"]["scores"]["post"]["frames"]
    assert set(got["result"]["post"]) >= {"fitted_on_itself", "optimism", "folds", "all"}
    manifest = json.loads((runs / "both" / "submission" / "manifest.json").read_text())
    assert (manifest["run"], manifest["record_sha256"]) == ("both", got["result_sha256"])
    board = (runs / "leaderboard.csv").read_text()
    assert '"ensemble of a, b",mean' in board
    assert "from the highest of its members'" in answer.out
    assert "oracle" not in answer.out
    for command in (("evaluate",), ("predict", program.demo, "--model")):
        program(*command, runs / "both").refused(f"{command[0]}-ensemble", folder=runs / "both")
    again = program("submit", runs / "both", "--out", runs / "again")
    assert again.code == 0, again.err
    nested = program("ensemble", runs / "both", runs / "a", "--method", "ccc", "--out", runs)
    assert nested.code == 0, nested.err
    assert (runs / "va-ensemble-ccc-both-a" / "record.json").is_file()


@pytest.mark.slow
def test_weights_are_fitted_on_the_other_folds(program, record, runs: Path) -> None:
    answer = program("ensemble", runs / "a", runs / "b", "--method", "weights", "--name", "weighed", "--out", runs)
    assert answer.code == 0, answer.err
    result = record(runs / "weighed")["result"]
    own = result["ensemble"]
    assert len(own["weights_by_fold"]) == 2  # two groups of videos
    videos = sorted(result["scores"]["raw"]["groups"])
    a, b, mine = (table(runs, name, "val.parquet") for name in ("a", "b", "weighed"))
    for group, fold in zip(videos, own["weights_by_fold"], strict=True):
        rows = mine["group"] == group
        w = fold["value"]
        wanted = w[0] * a["arousal"][rows].astype(float) + w[1] * b["arousal"][rows].astype(float)
        np.testing.assert_allclose(mine["arousal"][rows], wanted, atol=1e-12)
        assert min(w) >= 0
        assert sum(w) == pytest.approx(1)
    w = own["weights"]["value"]
    assert [m["weights"]["value"] for m in result["members"]] == w
    a, b, mine = (table(runs, name, "test.parquet") for name in ("a", "b", "weighed"))
    wanted = w[0] * a["arousal"].astype(float) + w[1] * b["arousal"].astype(float)
    np.testing.assert_allclose(mine["arousal"], wanted, atol=1e-12)
    assert own["optimism"] == pytest.approx(own["fitted_on_itself"] - result["scores"]["raw"]["main"])
    assert own["fitted_on"] == "other groups of val"
    assert (result["selection_split"], result["n_selections"]) == ("other groups of val", 2)
    assert "ensemble weights were fitted on other groups of val" in answer.out
    assert "weights of value: a " in answer.out


@pytest.mark.slow
def test_seeds_and_folds_are_members_too(program, record, runs: Path) -> None:
    program.run(runs, "seeds", "--track", "va", "--seeds", 2, *QUICK)
    alone = program("ensemble", runs / "seeds", "--name", "merged", "--out", runs)
    assert alone.code == 0, alone.err
    assert [m["name"] for m in record(runs / "merged")["result"]["members"]] == ["seeds/seed-0", "seeds/seed-1"]
    assert record(runs / "merged")["result"]["seeds"] == [0, 1]
    for name, seed in (("cv-a", 0), ("cv-b", 1)):
        program.run(runs, name, "--track", "va", "--folds", 3, "--seed", seed, *QUICK)
    folds = program("ensemble", runs / "cv-a", runs / "cv-b", "--name", "cv", "--out", runs)
    assert folds.code == 0, folds.err
    result = record(runs / "cv")["result"]
    assert result["split"] == "cv3"
    assert len(table(runs, "cv", "cv3.parquet")) == len(table(runs, "cv-a", "cv3.parquet"))
    assert (runs / "cv" / "submission" / "manifest.json").is_file()
    mixed = program("ensemble", runs / "cv-a", runs / "a", "--out", runs)
    mixed.refused("ensemble-members-differ", first="cv-a", what="split", a="cv3", name="a", b="val")


@pytest.mark.slow
def test_what_is_no_ensemble_is_refused_in_one_line(program, runs: Path) -> None:
    program.run(runs, "clipped", "--track", "va", *FEW, "--post", "clip")
    program.run(runs, "units", "--track", "au", *QUICK)
    before = sorted(p.name for p in runs.iterdir())
    for members, options, refusal in (
        (["a"], [], refused("ensemble-too-few")),
        (["a", "a"], [], refused("ensemble-member-twice")),
        (["a", "units"], [], refused("ensemble-members-differ", first="a", what="track", a="va", name="units", b="au")),
        (["a", "clipped"], [], refused("ensemble-post-differs")),
        (
            ["a", "b"],
            ["--method", "median"],
            refused("ensemble-method-unknown", names=Part("mean, vote, ccc, weights")),
        ),
        (["a", "b"], ["--method", "vote"], refused("ensemble-method-kind", method="vote")),
        (["a", "nothing"], [], refused("record-invalid")),
    ):
        answer = program("ensemble", *[runs / m for m in members], *options, "--out", runs)
        assert (answer.code, answer.err.count("\n")) == (2, 1), answer.err
        refusal.check(answer.error)
    path = runs / "clipped" / "predictions" / "val.parquet"
    moved = pd.read_parquet(path)
    moved["valence"] = -moved["valence"] + 0.3
    moved.to_parquet(path)
    note_files(runs / "clipped", ["predictions/val.parquet"])  # or it would stop at bytes that are not the record's
    answer = program("ensemble", runs / "a", runs / "clipped", "--post", "clip", "--out", runs)
    answer.refused("predictions-not-the-runs-own")
    assert sorted(p.name for p in runs.iterdir()) == before


def write(folder: Path, **result: object) -> Path:
    folder.mkdir(parents=True)
    status = str(result.pop("status", "done"))
    common = {"track": "va", "edition": "abaw10", "track_version": 1, "split": "val", "data": {"fingerprint": "f"}}
    Record(folder.name, status, result=cast(Result, {**common, **result})).write(folder / "record.json")
    return folder


def test_members_must_be_of_the_same_task_and_data(tmp_path: Path) -> None:
    first = write(tmp_path / "first")
    assert list(read_records({"first": first, "other": write(tmp_path / "other")})) == ["first", "other"]
    for i, (change, refusal) in enumerate(
        (
            ({"status": "failed"}, refused("ensemble-member-not-finished", status="failed")),
            ({"split": "cv6"}, refused("ensemble-members-differ", what="split", a="val", name="x", b="cv6")),
            ({"edition": "abaw6"}, refused("ensemble-members-differ", what="edition", a="abaw10", name="x", b="abaw6")),
            ({"track_version": 2}, refused("ensemble-members-differ", what="track version", a=1)),
            ({"data": {"fingerprint": "g"}}, refused("ensemble-data-differ")),
        )
    ):
        with refusal:
            read_records({"first": first, "x": write(tmp_path / str(i), **change)})


def test_several_seeds_count_as_so_many_members(tmp_path: Path) -> None:
    seeds, one = tmp_path / "seeds", write(tmp_path / "one")
    for s in (2, 10):
        write(seeds / f"seed-{s}")
    (seeds / "seeds").write_text("2\n")
    assert list(expand([seeds, one])) == ["seeds/seed-2", "seeds/seed-10", "one"]
    other = write(tmp_path / "elsewhere" / "one")
    assert list(expand([one, other])) == ["one", str(other)]
    with refused("ensemble-member-twice"):
        expand([seeds, seeds / "seed-2"])
    with refused("ensemble-too-few"):
        expand([one])


def test_how_the_first_member_was_trained_is_left_out() -> None:
    first = RunConfig.model_validate(
        {
            "folds": 3,
            "folds_of": ["train"],
            "trees": True,
            "distill": {"run": "a", "weight": 0.3},
            "tta": {"flip": True},
            "post": ["clip"],
        }
    )
    records = {name: Record(name, "done", result=cast(Result, {"config": {"post": ["clip"]}})) for name in "ab"}
    assert _config(first, records, None) == RunConfig(post=("clip",))


def test_runs_with_folds_of_the_training_videos_are_merged(program, record, tmp_path: Path) -> None:
    run = program.kept("--encoders", "frame", "--epochs", 1, "--folds", 3, "--folds-of", "train")
    shutil.copytree(run, tmp_path / "b")
    answer = program("ensemble", run, tmp_path / "b", "--name", "both", "--out", tmp_path)
    assert answer.code == 0, answer.err
    result = record(tmp_path / "both")["result"]
    assert result["split"] == "cv3train"
    assert result["scores"]["raw"]["main"] == pytest.approx(record(run)["result"]["scores"]["raw"]["main"])


def test_members_must_be_scored_with_the_groups_of_now() -> None:
    index = index_of({"val": ["a", "b"]})
    here = [_video(video.name, video.group) for video in index.videos]
    check_scored_groups(index, here, Path("run"))
    with refused("ensemble-groups-changed", folder=Path("run"), name=here[1].video, then="other"):
        check_scored_groups(index, [here[0], _video(here[1].video, "other")], Path("run"))


def _video(name: str, group: str) -> VideoAnswers:
    return VideoAnswers(name, group, {}, {}, {}, np.zeros(0))


def test_only_the_options_of_post_processors_must_agree() -> None:
    assert post_options({"post.smooth.width": 1.0, "head.hidden": 3}) == {"post.smooth.width": 1.0}
