"""`harness sweep`: every combination is a run with a record, failures are rows, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.launch import Failure
from harness.sweep.grid import configurations, grid
from harness.sweep.run import Progress
from harness.sweep.work import Done
from zoo.errors import UserError

Read = Callable[[Path], dict[str, Any]]


def test_the_grammar() -> None:
    found = grid("face; face,context;face", "late,concat", "gru")
    assert found == [
        {"encoders": encoders, "fusion": fusion, "head": "gru"}
        for encoders in ("face", "face,context") for fusion in ("late", "concat")
    ]  # fmt: skip
    assert len(grid("face;face,context;face,context,audio", "late,concat,gated", "gru,tcn")) == 18
    assert grid(None, None, "gru,tcn") == [{"head": "gru"}, {"head": "tcn"}]
    assert grid(None, None, None) == [{}]
    first, second = configurations("demo", {"seed": 3}, ["train.epochs=2"], grid("face", "late,gated", None))
    assert (first.fusion, second.fusion, first.head, second.train.epochs, first.seed) == ("late", "gated", "gru", 2, 3)


@pytest.mark.parametrize(
    ("given", "option"), [(("face;", None, None), "--encoders"), ((None, "late,,gated", None), "--fusion")]
)
def test_an_empty_part_of_a_list(given: tuple[Any, ...], option: str) -> None:
    with pytest.raises(UserError, match=f"{option} .*wanted a list as"):
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
    """A head that does not exist and a fusion that breaks in training, each beside one that works."""
    out = tmp_path_factory.mktemp("swept")
    plugin = out / "broken.py"
    plugin.write_text(BROKEN)
    more = ("--data", program.demo, "--fusion", "concat,broken", "--head", "gru,gur", "--plugin", plugin)
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
        "va-face-broken-gru-s0": "failed", "va-face-broken-gur-s0": "failed",
        "va-face-concat-gru-s0": "done", "va-face-concat-gur-s0": "failed",
    }  # fmt: skip
    assert "unknown head 'gur'" in runs["va-face-concat-gur-s0"]["reason"]
    assert "this fusion never works" in runs["va-face-broken-gru-s0"]["reason"]
    combinations = [tuple(run["result"]["combination"].values()) for run in runs.values()]
    assert sorted(combinations) == [("face", f, h) for f in ("broken", "concat") for h in ("gru", "gur")]
    table = (out / "runs" / "leaderboard.md").read_text()
    assert table.count("## ") == 1, "failures stand in the table of their data"
    assert table.count("| failed: ") == 3


def test_the_record_is_that_of_a_single_run(swept: tuple[Path, Any], program, tmp_path: Path, record: Read) -> None:
    more = ("--fusion", "concat", "--head", "gru", "--epochs", 2, "--post", "clip", "--encoders", "face")
    alone = program.run(tmp_path, "alone", *more, "--plugin", swept[0] / "broken.py")
    same = swept[0] / "runs" / "va-face-concat-gru-s0"
    assert record(alone)["result_sha256"] == record(same)["result_sha256"]


def test_what_is_there_is_known_by_its_settings(swept: tuple[Path, Any], program, tmp_path: Path) -> None:
    out, data = swept[0] / "runs", ("--data", program.demo, "--fusion", "concat")
    plugin = ("--plugin", swept[0] / "broken.py")
    before = (out / "va-face-concat-gru-s0" / "record.json").stat().st_mtime_ns
    answer = program(*options(out, *data, *plugin, "--head", "gru,gur", "--dry-run"))
    assert answer.code == 0, answer.err
    assert "2 combinations: 1 finished, 1 cannot be built" in answer.out
    assert "unknown head 'gur'" in answer.out
    assert "features wanted, in one pass over the videos: none" in answer.out
    answer = program(*options(out, *data, *plugin, "--head", "gru", "--set", "train.lr=0.5", "--dry-run"))
    assert "1 combinations: 0 finished" in answer.out
    assert "features wanted, in one pass over the videos: face" in answer.out
    moved = out / "va-face-concat-gru-s0"
    moved.rename(out / "another-name")
    try:
        answer = program(*options(out, *data, *plugin, "--head", "gru"))
        assert "1 combinations: 1 finished" in answer.out
        assert "| va-face-concat-gru-s0 " in answer.out
        assert (out / "another-name" / "record.json").stat().st_mtime_ns == before
    finally:
        (out / "another-name").rename(moved)


def test_nothing_that_can_be_built(program, tmp_path: Path) -> None:
    answer = program(*options(tmp_path / "runs", "--data", program.demo, "--fusion", "nope", "--head", "gru,tcn"))
    assert answer.code == 2
    assert "none of the 2 combinations can be built: unknown fusion 'nope'" in answer.err
    assert not (tmp_path / "runs").exists()


# --- the long ones ----------------------------------------------------------------------------------------------------


def launch(program, *args: object) -> subprocess.Popen[bytes]:
    env = {**os.environ, "ABAW_ZOO_CACHE": str(program.cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "harness.cli", *map(str, args)]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c)


def heed_ctrl_c() -> None:
    """A suite that runs in the background of a shell ignores SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def long(program, out: Path, *more: object) -> list[object]:
    """Four combinations of two seeds, some seconds each."""
    sets = ["train.batch=2", "train.clip=16", "train.validate_every=2"]
    return ["sweep", "--data", program.demo, "--encoders", "face;face,context", "--fusion", "concat,late", "--head",
            "gru", "--epochs", 30, "--post", "clip", "--out", out, "--jobs", 2, "--seeds", 2, *more,
            *(part for text in sets for part in ("--set", text))]  # fmt: skip


def digests(out: Path, record: Read) -> dict[str, str]:
    found = {str(p.parent.relative_to(out)): record(p.parent) for p in out.rglob("record.json")}
    assert {content["status"] for content in found.values()} == {"done"}
    return {name: content["result_sha256"] for name, content in found.items()}


@pytest.fixture(scope="module")
def whole(program, tmp_path_factory: pytest.TempPathFactory, record: Read) -> dict[str, str]:
    """The records of the sweep that nobody interrupts."""
    out = tmp_path_factory.mktemp("whole")
    process = launch(program, *long(program, out))
    said, err = process.communicate(timeout=400)
    assert process.returncode == 0, err.decode()[-1000:]
    assert b"[8/8]" in said
    assert b"(sd 0." in said
    return digests(out, record)


def finished(out: Path) -> list[Path]:
    """Records of runs and seeds that are done, in a folder that is being written to."""
    records = [*out.glob("*/record.json"), *out.glob("*/seed-*/record.json")]
    return [path for path in records if '"status": "done"' in path.read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_sweep_goes_on(
    program, whole: dict[str, str], tmp_path: Path, record: Read, number: signal.Signals
) -> None:
    process = launch(program, *long(program, tmp_path))
    end = time.monotonic() + 200
    while time.monotonic() < end and process.poll() is None:
        done = finished(tmp_path)
        begun = list(tmp_path.glob("*/seed-*/history.csv"))
        if len(done) >= 2 and len(begun) > len(done):
            break
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    said, err = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130)
    if number == signal.SIGINT:
        assert b"the same command goes on" in said
    kept = {p: p.stat().st_mtime_ns for p in finished(tmp_path)}
    assert 2 <= len(kept) < 12
    time.sleep(2)  # workers leave when their parent is gone
    process = launch(program, *long(program, tmp_path))
    said, err = process.communicate(timeout=400)
    assert process.returncode == 0, err.decode()[-1000:]
    assert b"4 of 4 combinations are done" in said
    assert {p: p.stat().st_mtime_ns for p in kept} == kept, "finished runs were touched"
    assert digests(tmp_path, record) == whole


@pytest.mark.slow
def test_two_sweeps_into_one_folder_share_the_work(
    program, whole: dict[str, str], tmp_path: Path, record: Read
) -> None:
    """What the other is at is a row that says so, and no run of its is touched: together all are done, and right."""
    both = [launch(program, *long(program, tmp_path, "--jobs", 1)) for _ in range(2)]
    for process in both:
        said, err = process.communicate(timeout=500)
        assert process.returncode == 0, err.decode()[-1000:]
        assert all(b"another process is at work on this run" in line for line in said.splitlines() if b"failed" in line)
    last = launch(program, *long(program, tmp_path))
    said, _ = last.communicate(timeout=400)
    assert b"4 of 4 combinations are done" in said
    assert digests(tmp_path, record) == whole


@pytest.mark.slow
def test_ray_gives_the_same_records(program, whole: dict[str, str], tmp_path: Path, record: Read) -> None:
    pytest.importorskip("ray", reason="Ray is not installed (extra ray)")
    process = launch(program, *long(program, tmp_path, "--launcher", "ray"))
    said, err = process.communicate(timeout=500)
    assert process.returncode == 0, err.decode()[-1000:]
    assert b"raylet" not in said + err
    assert digests(tmp_path, record) == whole


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
    dead = record(tmp_path / "runs" / "va-face-broken-gru-s0")
    assert dead["status"] == "failed"
    assert "died 2 times, killed (SIGKILL)" in dead["reason"]
    assert record(tmp_path / "runs" / "va-face-concat-gru-s0")["status"] == "done"
