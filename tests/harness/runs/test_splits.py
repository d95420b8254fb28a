"""k-fold over train and val by group: who trains, chooses and is scored, and what a run of folds leaves behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from harness.config.schema import RunConfig
from harness.data.index.index import Index, Video
from harness.runs.finished import check_groups, check_index
from harness.runs.multi_run import fold_result
from harness.runs.splits import assign_splits, check_kind, fold_of_group, split_name
from leaderboards.record import Record
from plugins.editions import abaw10
from tests.support.refusals import Part, Refusal, refused

Read = Callable[[Path], dict[str, Any]]
SHORT = (
    "--epochs",
    3,
    "--folds",
    3,
    "--encoders",
    "face",
    "--set",
    "train.select=best",
    "--set",
    "train.validate_every=1",
)


def index_of(groups: dict[str, list[str]]) -> Index:
    """An index whose videos of a split have these groups."""
    videos = []
    for split, names in groups.items():
        for i, group in enumerate(names):
            nothing = np.zeros(3, bool)
            labels = np.zeros((3, 2), np.float32)
            videos.append(Video(f"{split}{i}", group, split, 3, None, None, nothing, labels, nothing))  # type: ignore[arg-type]
    return Index(Path("data"), abaw10.EDITION, abaw10.EDITION.tracks[0], "", tuple(videos), None, ())


# --- who does what ----------------------------------------------------------------------------------------------------

NAMES = st.lists(st.sampled_from([f"g{i}" for i in range(9)]), min_size=3, max_size=12)


@settings(max_examples=60, deadline=None)
@given(train=NAMES, val=NAMES, folds=st.integers(3, 6))
def test_every_video_is_scored_once_and_groups_stay_together(train: list[str], val: list[str], folds: int) -> None:
    index = index_of({"train": train, "val": val, "test": ["g0", "t1"]})
    groups = set(train) | set(val)
    if len(groups) < folds:
        with refused("folds-too-many", count=len(groups), folds=folds):
            assign_splits(index, RunConfig(folds=folds))
        return
    scored: list[str] = []
    chosen: list[set[str]] = []
    for f in range(folds):
        parts = assign_splits(index, RunConfig(folds=folds, fold=f))
        mine = {split: parts.split(split) for split in ("train", "val", "select", "test")}  # type: ignore[arg-type]
        assert [v.name for v in mine["test"]] == ["test0", "test1"]
        roles = [{v.group for v in mine[split]} for split in ("train", "val", "select")]
        assert all(roles)
        assert not roles[0] & roles[1] | roles[0] & roles[2] | roles[1] & roles[2]
        assert sum(len(mine[split]) for split in ("train", "val", "select")) == len(train) + len(val)
        scored += [v.name for v in mine["val"]]
        chosen.append(roles[2])
    assert sorted(scored) == sorted(v.name for v in index.videos if v.split != "test")
    reported = [{g for g, fold in fold_of_group(index, folds).items() if fold == f} for f in range(folds)]
    assert chosen == [reported[(f + 1) % folds] for f in range(folds)]
    sizes = [len(groups) for groups in reported]
    assert max(sizes) - min(sizes) <= 1


def test_names_of_what_is_scored() -> None:
    assert [split_name(c) for c in (RunConfig(), RunConfig(folds=6), RunConfig(folds=6, fold=2))] == [
        "val",
        "cv6",
        "cv6-2",
    ]


@pytest.mark.parametrize(
    ("settings", "seeds", "refusal"),
    [
        ({"folds": 2}, 1, refused("folds-too-few")),
        ({"folds": 6}, 2, refused("folds-with-seeds")),
        ({"folds": 6, "fit": ("train", "val"), "epochs_from": "x"}, 1, refused("folds-with-fit")),
        ({"folds": 3, "fold": 3}, 1, refused("fold-invalid", there=Part("folds 0 to 2"))),
        ({"fold": 0}, 1, refused("fold-invalid", there=Part("no folds"))),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, Any], seeds: int, refusal: Refusal) -> None:
    with refusal:
        check_kind(RunConfig(**settings), seeds)


def test_a_fold_without_labels_is_left_out_of_the_mean() -> None:
    each = [0.25, None, 0.75]
    members = [
        Record(
            f"fold-{i}",
            "done",
            None,
            {
                "scores": {} if score is None else {"raw": {"main": score}},
                "epoch": 2 * i + 1,
                "epochs": 9,
                "steps": 5,
                "n_selections": 9 - i,
                "selection_split": "next fold",
                "selected_on_reported": False,
                "seen": [f"v{i}"],
                "passports": [],
                "parameters": {},
            },
        )
        for i, score in enumerate(each)
    ]
    scores: dict[str, Any] = {"raw": {"main": 0.6}}
    result = fold_result(members, scores)
    assert scores["raw"] == {"main": 0.6, "folds": each, "fold_mean": 0.5, "fold_spread": pytest.approx(0.125**0.5)}
    assert result["epoch"] == 3
    assert result["n_selections"] == 9
    assert result["seen"] == ["v0", "v1", "v2"]


def test_other_groups_than_those_of_the_folds_are_refused() -> None:
    index = index_of({"train": ["a", "b", "c"], "val": ["d"], "test": ["e"]})
    videos = [replace(video, group="a") if video.name == "val0" else video for video in index.videos]
    tests = [replace(video, group="a") if video.split == "test" else video for video in index.videos]
    changed = replace(index, videos=tuple(videos))
    assert changed.fingerprint() == index.fingerprint()
    result: Any = {"data": {"fingerprint": index.fingerprint()}, "config": {"folds": 3}}
    record = Record("cv", "done", result=result, circumstances={"groups": index.groups_digest()})
    for same in (index, replace(index, videos=tuple(tests)), replace(index, videos=index.videos[::-1])):
        check_groups(same, record, Path("cv"))
    check_index(changed, Record("older", "done", result=result), Path("older"))
    with refused("run-groups-changed", folder=Path("cv"), file=Path("data/groups.csv")):
        check_index(changed, record, Path("cv"))
    plain = replace(record, result=result | {"config": {"folds": 0}})
    check_index(changed, plain, Path("plain"))  # its splits are those of the lists
    with refused("run-groups-changed", folder=Path("plain")):
        check_groups(changed, plain, Path("plain"), by_groups=True)


# --- whole runs -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("folds")
    program.run(out, "cv", *SHORT)
    return out


def mean_ccc(table: pd.DataFrame) -> float:
    rows = table.dropna(subset=["valence_true", "arousal_true"])
    figures = []
    for name in ("valence", "arousal"):
        x, y = rows[name].to_numpy(), rows[f"{name}_true"].to_numpy()
        figures.append(2 * np.cov(x, y, bias=True)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))
    return float(np.mean(figures))


def test_the_record_holds_all_folds_together(program, runs: Path, record: Read) -> None:
    result = record(runs / "cv")["result"]
    members = [record(runs / "cv" / f"fold-{f}") for f in range(3)]
    assert (result["split"], result["selection_split"], result["selected_on_reported"]) == ("cv3", "next fold", False)
    assert [m["result"]["split"] for m in members] == ["cv3-0", "cv3-1", "cv3-2"]
    assert result["members"] == [m["result_sha256"] for m in members]
    for kind, ending in (("raw", ""), ("post", ".post")):
        table = pd.read_parquet(runs / "cv" / "predictions" / f"cv3{ending}.parquet")
        block = result["scores"][kind]
        assert block["main"] == pytest.approx(mean_ccc(table), abs=1e-9)
        assert block["groups"] == sorted(set(table["group"]))
        assert len(table) == sum(result["data"]["frames"][split] for split in ("train", "val"))
        assert not table[["video", "frame"]].duplicated().any()
        each = [m["result"]["scores"][kind]["main"] for m in members]
        assert block["folds"] == each
        assert block["fold_mean"] == pytest.approx(np.mean(each), abs=1e-12)
        assert block["fold_spread"] == pytest.approx(np.std(each, ddof=1), abs=1e-12)
    best = [m["result"]["epoch"] for m in members]
    assert result["best_epochs"] == best
    assert result["epoch"] == int(np.mean(best) + 0.5)
    assert result["n_selections"] == 3


def test_answers_come_from_the_fold_that_did_not_train_on_them(runs: Path) -> None:
    own = [pd.read_parquet(runs / "cv" / f"fold-{f}" / "predictions" / f"cv3-{f}.parquet") for f in range(3)]
    together = pd.read_parquet(runs / "cv" / "predictions" / "cv3.parquet")
    columns = ["video", "frame", "valence", "arousal"]
    wanted = pd.concat(own)[columns].sort_values(["video", "frame"], ignore_index=True)
    got = together[columns].sort_values(["video", "frame"], ignore_index=True)
    pd.testing.assert_frame_equal(got, wanted, check_dtype=False, check_exact=True)


def test_test_answers_are_the_mean_of_the_folds(runs: Path) -> None:
    own = [pd.read_parquet(runs / "cv" / f"fold-{f}" / "predictions" / "test.parquet") for f in range(3)]
    merged = pd.read_parquet(runs / "cv" / "predictions" / "test.parquet")
    for name in ("valence", "arousal"):
        np.testing.assert_allclose(merged[name], np.mean([t[name] for t in own], 0), atol=1e-12)
    assert (runs / "cv" / "submission" / "predictions.txt").is_file()
    assert not (runs / "cv" / "fold-0" / "submission").exists()


def test_folds_never_stand_in_a_table_of_val(program, runs: Path) -> None:
    program.run(runs, "single", "--epochs", 1, "--encoders", "face")
    table = pd.read_csv(runs / "leaderboard.csv").set_index("run")
    assert table.loc[["cv", "single"], "split"].tolist() == ["cv3", "val"]
    assert table.loc["cv", "selection_split"] == "next fold"
    assert table.loc["cv", "data"] == table.loc["single", "data"]
    shown = program("leaderboard", runs)
    assert ": cv3 of demo" in shown.out


def test_a_run_of_folds_is_no_single_model(program, runs: Path) -> None:
    answer = program("evaluate", runs / "cv")
    answer.refused("run-has-folds", folder=runs / "cv")


def test_a_run_of_folds_is_not_used_with_other_groups(program, runs: Path, record: Read, tmp_path: Path) -> None:
    data = Path(shutil.copytree(program.demo, tmp_path / "data", symlinks=True))
    names = sorted(record(runs / "cv" / "fold-0")["result"]["scores"]["raw"]["per_video"])
    (data / "groups.csv").write_text("".join(f"{name},together\n" for name in names))
    assert "groups" not in record(runs / "cv")["result"]
    for command in (["evaluate", runs / "cv" / "fold-0"], ["reproduce", runs / "cv", "--out", tmp_path / "again"]):
        answer = program(*command, "--data", data)
        answer.refused("run-groups-changed")


def test_what_is_scored_plays_no_part_in_training(
    program, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all labels of the scored fold turned round, the fold's weights stay bit for bit the same; with those of the
    fold that chooses, its epochs are scored otherwise."""
    from harness.runs import job as job_module

    build = job_module.build_index

    def turned(role: str) -> Callable[..., Index]:
        def made(*args: Any, **options: Any) -> Index:
            index = build(*args, **options)
            names = {v.name for v in assign_splits(index, RunConfig(folds=3, fold=1)).split(role)}  # type: ignore[arg-type]
            return replace(
                index, videos=tuple(replace(v, labels=-v.labels) if v.name in names else v for v in index.videos)
            )

        return made

    for role in ("val", "select"):
        monkeypatch.setattr(job_module, "build_index", turned(role))
        program.run(tmp_path, role, *SHORT, "--set", "fold=1")
    wanted = load_file(runs / "cv" / "fold-1" / "weights.safetensors")
    found = load_file(tmp_path / "val" / "weights.safetensors")
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.items())
    before, same, other = (
        pd.read_csv(path / "history.csv") for path in (runs / "cv" / "fold-1", tmp_path / "val", tmp_path / "select")
    )
    pd.testing.assert_frame_equal(before, same)
    assert before["loss"].tolist() == other["loss"].tolist()
    assert before["val"].tolist() != other["val"].tolist()


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_was(
    program, runs: Path, tmp_path: Path, record: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.runs import multi_run

    begun: list[str] = []

    def stopping(job: Any, folder: Path, **more: Any) -> Any:
        begun.append(folder.name)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return run(job, folder, **more)

    run = multi_run.run
    monkeypatch.setattr(multi_run, "run", stopping)
    answer = program("run", "--data", program.demo, "--out", tmp_path, "--name", "cv", *SHORT)
    assert answer.code == 130
    assert record(tmp_path / "cv")["status"] == "interrupted"
    answer = program("run", "--resume", tmp_path / "cv")
    assert answer.code == 0, answer.err
    assert begun == ["fold-0", "fold-1", "fold-1", "fold-2"]
    assert record(tmp_path / "cv")["result"] == record(runs / "cv")["result"]
    assert record(tmp_path / "cv")["result_sha256"] == record(runs / "cv")["result_sha256"]


@pytest.mark.slow
def test_the_same_command_gives_the_same_result(program, runs: Path, record: Read) -> None:
    program.run(runs, "again", *SHORT)
    program.run(runs, "by-config", "--recipe", runs / "cv" / "config.toml")
    for name in ("again", "by-config"):
        assert record(runs / name)["result_sha256"] == record(runs / "cv")["result_sha256"]
