"""`harness sweep`: every combination is a run with a record, failures are rows, and the same command goes on."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.config.schema import load_config
from harness.io.run_lock import run_lock
from harness.runs.identity import identity
from harness.runs.job import prepare_shared
from harness.runtime.launchers import Failure
from harness.sweeps.entries import claim_runs, plan_entries
from harness.sweeps.grid import configurations, grid
from harness.sweeps.run import Progress, report_failures
from harness.sweeps.worker import Done, combine_members
from leaderboards.record import Record
from tests.support.in_turn import InTurn
from tests.support.refusals import Part, refused
from zoo.errors import UserError

Read = Callable[[Path], dict[str, Any]]


def test_the_grammar() -> None:
    found = grid("face; face,context;face", "late,concat", "gru")
    assert found == [
        {"encoders": encoders, "fusion": fusion, "head": "gru"}
        for encoders in ("face", "face,context")
        for fusion in ("late", "concat")
    ]
    assert len(grid("face;face,context;face,context,audio", "late,concat,gated", "gru,tcn")) == 18
    assert grid(None, None, "gru,tcn") == [{"head": "gru"}, {"head": "tcn"}]
    assert grid(None, None, None) == [{}]
    first, second = configurations("demo", {"seed": 3}, ["train.epochs=2"], grid("face", "late,gated", None))
    assert (first.fusion, second.fusion, first.head, second.train.epochs, first.seed) == ("late", "gated", "gru", 2, 3)


@pytest.mark.parametrize(
    ("given", "option"), [(("face;", None, None), "--encoders"), ((None, "late,,gated", None), "--fusion")]
)
def test_an_empty_part_of_a_list(given: tuple[Any, ...], option: str) -> None:
    with refused("grid-empty-item", option=option):
        grid(*given)


def test_progress_tells_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(3, started=time.monotonic() - 100)
    progress.tell("face | late | gru", Done(0.5, 12.0))
    progress.tell("face | late | tcn", Failure("it broke"))
    progress.tell("face | late | mlp", Done(None, 3.0))
    assert capsys.readouterr().out.splitlines() == [
        "[1/3] face | late | gru: 12 s, 0.5000; about 3 min left",
        "[2/3] face | late | tcn: failed: it broke; about 50 s left",
        "[3/3] face | late | mlp: 3 s",
    ]


def options(out: Path, *more: object) -> list[object]:
    return ["sweep", "--encoders", "face", "--epochs", 2, "--out", out, "--post", "clip", "--jobs", 1, *more]


@pytest.fixture(scope="module")
def swept(program, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A head that does not exist and a fusion that breaks in training, each beside one that works.

    In this process: processes of a sweep have their own tests, test_launchers.py and the slow ones here.
    """
    out = tmp_path_factory.mktemp("swept")
    plugin = out / "broken.py"
    plugin.write_text(BROKEN)
    more = ("--data", program.demo, "--fusion", "concat,broken", "--head", "gru,gur", "--plugin", plugin)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.runtime.launchers.local.Pool", InTurn)
        return out, program(*options(out / "runs", *more))


BROKEN = '''
from zoo import api
from zoo.modules import FeatureFusion


class Broken(FeatureFusion):
    """Fits on paper, and fails in training."""

    def __init__(self, dims, build):
        super().__init__(dims, build, sum(dims.values()))

    def fuse(self, features, present, valid):
        import torch

        slots = list(features)
        if features[slots[0]].device.type != "meta":
            raise RuntimeError("this fusion never works")
        return torch.cat([features[slot] for slot in slots], -1)


@api.hookimpl
def fusions():
    return [api.FusionSpec("broken", Broken, "fails in training")]
'''


def test_failures_are_rows(swept: tuple[Path, Any], record: Read) -> None:
    out, answer = swept
    assert answer.code == 0, answer.err
    assert "4 combinations: 0 finished, 2 cannot be built" in answer.out
    assert "1 of 4 combinations are done" in answer.out
    runs = {path.name: record(path) for path in (out / "runs").iterdir() if path.is_dir()}
    assert {name: run["status"] for name, run in runs.items()} == {
        "va-face+lite0-broken-gru-s0": "failed",
        "va-face+lite0-broken-gur-s0": "failed",
        "va-face+lite0-concat-gru-s0": "done",
        "va-face+lite0-concat-gur-s0": "failed",
    }
    assert "unknown head 'gur'" in runs["va-face+lite0-concat-gur-s0"]["reason"]
    assert "this fusion never works" in runs["va-face+lite0-broken-gru-s0"]["reason"]
    combinations = [tuple(run["result"]["combination"].values()) for run in runs.values()]
    assert sorted(combinations) == [("face=lite0", f, h) for f in ("broken", "concat") for h in ("gru", "gur")]
    table = (out / "runs" / "leaderboard.md").read_text()
    assert table.count("## ") == 1, "failures stand in the table of their data"
    assert table.count("| failed: ") == 3


def test_the_record_is_that_of_a_single_run(swept: tuple[Path, Any], program, tmp_path: Path, record: Read) -> None:
    more = ("--fusion", "concat", "--head", "gru", "--epochs", 2, "--post", "clip", "--encoders", "face")
    alone = program.run(tmp_path, "alone", *more, "--plugin", swept[0] / "broken.py")
    same = swept[0] / "runs" / "va-face+lite0-concat-gru-s0"
    assert record(alone)["result_sha256"] == record(same)["result_sha256"]


def test_what_is_there_is_known_by_its_settings(swept: tuple[Path, Any], program, tmp_path: Path) -> None:
    out, data = swept[0] / "runs", ("--data", program.demo, "--fusion", "concat")
    plugin = ("--plugin", swept[0] / "broken.py")
    before = (out / "va-face+lite0-concat-gru-s0" / "record.json").stat().st_mtime_ns
    answer = program(*options(out, *data, *plugin, "--head", "gru,gur", "--dry-run"))
    assert answer.code == 0, answer.err
    assert "2 combinations: 1 finished, 1 cannot be built" in answer.out
    assert "unknown head 'gur'" in answer.out
    assert "features to compute, in one pass over the videos: none" in answer.out
    answer = program(*options(out, *data, *plugin, "--head", "gru", "--set", "train.lr=0.5", "--dry-run"))
    assert "1 combinations: 0 finished" in answer.out
    assert "features to compute, in one pass over the videos: face" in answer.out
    moved = out / "va-face+lite0-concat-gru-s0"
    moved.rename(out / "another-name")
    try:
        answer = program(*options(out, *data, *plugin, "--head", "gru"))
        assert "1 combinations: 1 finished" in answer.out
        assert "| va-face+lite0-concat-gru-s0 " in answer.out
        assert (out / "another-name" / "record.json").stat().st_mtime_ns == before
    finally:
        (out / "another-name").rename(moved)


def test_nothing_that_can_be_built(program, tmp_path: Path) -> None:
    answer = program(*options(tmp_path / "runs", "--data", program.demo, "--fusion", "nope", "--head", "gru,tcn"))
    answer.refused("sweep-none-built", message=Part("none of the 2", "unknown fusion 'nope'"))
    assert not (tmp_path / "runs").exists()


def test_two_sweeps_that_plan_at_once_have_the_same_runs(program, tmp_path: Path) -> None:
    """Both find nothing, and then each makes what is missing: the second finds what the first has made."""
    ground = prepare_shared(load_config("demo", {"data_dir": str(program.demo)}, []), progress=False)
    configs = configurations("demo", {"data_dir": str(program.demo)}, [], grid("face", "concat,late", "gru"))
    one, other = (plan_entries(configs, 2, ground, tmp_path) for _ in range(2))
    assert [entry.folder for entry in one + other] == [None] * 4
    claim_runs(one, ground, tmp_path)
    claim_runs(other, ground, tmp_path)
    assert [entry.folder for entry in one] == [entry.folder for entry in other]
    assert sorted(path.name for path in tmp_path.glob("*")) == [
        "va-face+lite0-concat-gru-s0x2",
        "va-face+lite0-late-gru-s0x2",
    ]


@pytest.mark.parametrize(("status", "left"), [("running", "failed"), ("done", "done"), ("interrupted", "interrupted")])
def test_a_failure_is_put_into_a_record_that_nobody_is_at(
    program, tmp_path: Path, record: Read, status: str, left: str
) -> None:
    ground = prepare_shared(load_config("demo", {"data_dir": str(program.demo)}, []), progress=False)
    config = configurations("demo", {"data_dir": str(program.demo)}, [], grid("face", "concat", "gru"))
    (entry,) = plan_entries(config, 1, ground, tmp_path)
    claim_runs([entry], ground, tmp_path)
    Record(entry.folder.name, status, None, identity(entry.job)).write(entry.folder / "record.json")
    with run_lock(entry.folder):
        report_failures(entry.folder, entry, Failure("the process died"))
    assert record(entry.folder)["status"] == status
    assert "another process is at work on this run" in entry.reason
    report_failures(entry.folder, entry, Failure("the process died"))
    assert record(entry.folder)["status"] == left
    assert (record(entry.folder)["reason"] == "the process died") == (status == "running")


def test_members_that_another_sweep_trains_are_its_to_combine(program, tmp_path: Path, record: Read) -> None:
    ground = prepare_shared(load_config("demo", {"data_dir": str(program.demo)}, []), progress=False)
    config = configurations("demo", {"data_dir": str(program.demo)}, [], grid("face", "concat", "gru"))
    (entry,) = plan_entries(config, 2, ground, tmp_path)
    claim_runs([entry], ground, tmp_path)
    assert [folder.name for folder in entry.units()] == ["seed-0", "seed-1"]
    with run_lock(entry.folder / "seed-0"):
        with pytest.raises(UserError, match="seed-0: another process is at work on this run"):
            combine_members(entry.folder)
        report_failures(entry.folder, entry, Failure("it waits for seed-0"))
    assert "another process is at work on this run" in entry.reason
    assert not (entry.folder / "record.json").exists()
    with refused("sweep-run-failed", what="seed 0", reason="it was not finished"):
        combine_members(entry.folder)
    assert record(entry.folder)["status"] == "failed"


@pytest.mark.slow
def test_a_worker_that_is_killed_every_time_is_a_row(program, tmp_path: Path, record: Read) -> None:
    plugin = tmp_path / "deadly.py"
    plugin.write_text(
        BROKEN.replace(
            'raise RuntimeError("this fusion never works")', "__import__('os').kill(__import__('os').getpid(), 9)"
        )
    )
    more = ("--data", program.demo, "--fusion", "broken,concat", "--head", "gru", "--plugin", plugin)
    answer = program(*options(tmp_path / "runs", *more))
    assert answer.code == 0
    dead = record(tmp_path / "runs" / "va-face+lite0-broken-gru-s0")
    assert dead["status"] == "failed"
    assert "died 2 times, killed (SIGKILL)" in dead["reason"]
    assert record(tmp_path / "runs" / "va-face+lite0-concat-gru-s0")["status"] == "done"
