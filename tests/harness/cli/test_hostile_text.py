"""Text that somebody else made reaches the screen and the tables of every command, and does nothing there."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from harness.evaluation.prediction_tables import to_frame, write_plain
from harness.features.cache.used import read_used, write_used
from harness.runtime.terminal import Shown, tabulate
from harness.submissions import ledger
from harness.submissions.writer import read_table
from harness.training.history import write_history
from harness.training.state import EpochRow
from leaderboards.record import Record
from tests.support.hostile import HOSTILE, acting, texts
from tests.support.made_up import result, run
from tests.support.paths import ROOT
from tests.support.program import Answer
from zoo.api import Answer as Target
from zoo.api import TrackSpec, VideoAnswers
from zoo.text import inert

Harness = Callable[..., Answer]
NASTY = "".join(HOSTILE[:-1])  # half a surrogate pair is in no JSON
PLUGIN = """
from zoo import api
@api.hookimpl
def encoders():
    text = {text!r}
    def card(stream, argument):
        return api.ModelCard(name=text, url="https://example.org/w.pt", sha256=None, source=text, license=text, saw=(text,), citation=text)
    return [api.EncoderSpec("odd", object, summary=text, passport=card)]
"""


def shown(answer: Answer) -> str:
    """All that a command wrote, in which nothing acts."""
    for text in (answer.out, answer.err):
        assert not acting(text.replace("\n", "").replace("\t", "")), text
    return answer.out + answer.err


def hostile_runs(folder: Path) -> Path:
    """Two finished runs and a failed one whose records are of somebody else."""
    facts = {"data": {"name": NASTY, "fingerprint": NASTY}, "seen": [NASTY], "selection_split": NASTY}
    for name in ("a", "b"):
        record = run(NASTY + name, 0.5, **facts)
        record.result["scores"]["raw"]["groups"][0] = NASTY
        record.write(folder / name / "record.json")
    Record(NASTY, "failed", NASTY, {**result(0), "scores": {}}).write(folder / "c" / "record.json")
    (folder / "\x1b[2Jd").mkdir()
    (folder / "\x1b[2Jd" / "config.toml").touch()
    return folder


@pytest.mark.parametrize("form", [(), ("--format", "csv"), ("--format", "latex"), ("--format", "html")])
def test_leaderboards(harness: Harness, form: tuple[str, ...]) -> None:
    runs = hostile_runs(Path("runs"))
    answer = harness("leaderboard", runs, *form)
    assert answer.code == 0
    assert r"\x1b[2J" in shown(answer) or form == ("--format", "latex")
    for file in runs.glob("leaderboard.*"):
        assert not acting(file.read_text().replace("\n", ""))


def test_comparisons(harness: Harness) -> None:
    runs = hostile_runs(Path("runs"))
    text = shown(harness("compare", runs / "a", runs / "b"))
    assert sum(line.startswith("raw") for line in text.splitlines()) >= 1
    assert not any(line == "b" for line in text.splitlines())


def test_the_ledger(harness: Harness) -> None:
    Path("runs").mkdir()
    entry = dict.fromkeys(("edition", "track", "sha256", "time", "run", "path", "list"), NASTY)
    ledger.note(Path("runs"), entry | {"rows": 3, "limit": 5})
    assert not acting((Path("runs") / ledger.NAME).read_text().replace("\n", ""))
    assert ledger.entries(Path("runs"))[0][0]["run"] == NASTY
    assert len([line for line in shown(harness("submissions", "runs")).splitlines() if line]) == 4


def test_plugins_and_model_cards(harness: Harness) -> None:
    Path("odd.py").write_text(PLUGIN.format(text=NASTY))
    for command in (("list",), ("list", "encoders"), ("info", "odd"), ("weights", "list"), ("weights", "show", "odd")):
        answer = harness(*command, "--plugin", "odd.py")
        assert answer.code == 0, answer
        assert r"\x1b[2J" in shown(answer)


def test_warnings_and_errors_of_libraries(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> list[str]:
        warnings.warn(NASTY, stacklevel=1)
        raise OSError(28, NASTY, NASTY)

    monkeypatch.setattr("harness.cli.commands.leaderboard.load_runs", fail)
    Path("runs").mkdir()
    answer = harness("leaderboard", "runs")
    assert len(answer.err.splitlines()) == 2
    shown(answer)


def test_arguments(harness: Harness) -> None:
    for option in ("\x1b[2J", "--\x1b[2J", "--n=\u202ex"):
        shown(harness("leaderboard", option))


def test_a_program_of_its_own_shows_a_traceback_safely(tmp_path: Path) -> None:
    code = "from harness.runtime.terminal import open_streams\nopen_streams()\nraise ValueError('\\x1b[2J')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert not acting(done.stderr.replace("\n", ""))
    assert r"ValueError: \x1b[2J" in done.stderr


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bars_of_progress_move_the_cursor_and_names_do_not() -> None:
    stream = Terminal()
    guard = cast(TextIO, Shown(stream))
    for text in ("\r 50%|█", "\x1b[A\x1b[A", "\x1b[Aa\rb", "\x1b[2J"):
        assert guard.write(text) == len(text)
    assert stream.getvalue() == "\r 50%|█" + "\x1b[A\x1b[A" + r"\x1b[Aa\rb" + r"\x1b[2J"


@given(texts())
def test_a_table_has_a_line_a_row(text: str) -> None:
    table = tabulate([[text, 1], ["b", 2]], [text, "n"], disable_numparse=True)
    assert len(table.split("\n")) == 4
    assert not acting(table.replace("\n", ""))


TRACK = TrackSpec(
    name="odd",
    answers=(Target("=sum", "class", -1, ("@a", "=b", "\u202ec")), Target("-v", "value", -5)),
    metric="accuracy",
    score_range=(0, 1),
    folders=(),
    headers=(),
    submission="per_video",
    submission_header="",
)


@given(texts().filter(lambda text: text and "\\" not in text and "\ud800" not in text and "\x00" not in text))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_tables_of_predictions(tmp_path: Path, name: str) -> None:
    """What `predict` writes is inert, has a row a frame, and `evaluate --predictions` reads the names that were meant."""
    values = {"=sum": np.eye(3)[[0, 2]], "-v": np.array([-0.5, 0.25])}
    video = VideoAnswers(name.encode("utf-8", "replace").decode(), "g", values, {}, {}, np.arange(2.0))
    file = tmp_path / "t.csv"
    write_plain(file, to_frame(TRACK.answers, [video], labels=False))
    text = file.read_text()
    assert not acting(text.replace("\n", ""))
    head, *rows = csv.reader(io.StringIO(text))
    assert len(rows) == 2 == len(text.splitlines()) - 1
    assert not any(cell.startswith(("=", "+", "@")) for cell in head + rows[0] + rows[1])
    assert not any(name.startswith("-") for name in head)
    assert float(rows[0][head.index("'-v")]) == -0.5
    found = read_table(file, TRACK)
    assert found.names == (video.video,)
    assert list(found.values["-v"]) == [-0.5, 0.25]


@given(texts())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_lists_of_a_run(tmp_path: Path, name: str) -> None:
    write_history(tmp_path / "h.csv", [cast(EpochRow, {"epoch": 1, "loss": -0.5, "parts": {name: -1.0}})])
    write_used(tmp_path / "f.csv", {("face", name or "v"): "k" * 64, ("face", "w"): "l" * 64})
    for file, lines in (("h.csv", 2), ("f.csv", 4)):
        text = (tmp_path / file).read_text()
        assert not acting(text.replace("\n", "").replace("\r", ""))
        assert len(list(csv.reader(io.StringIO(text)))) == lines
    assert next(csv.reader((tmp_path / "h.csv").open()))[-1] == inert(f"val_{name}")
    assert read_used(tmp_path / "f.csv") == {"k" * 64, "l" * 64}


def test_records_of_runs_say_in_json_what_they_mean(tmp_path: Path) -> None:
    Record(NASTY, "failed", NASTY).write(tmp_path / "record.json")
    assert not acting((tmp_path / "record.json").read_text().replace("\n", ""))
    assert json.loads((tmp_path / "record.json").read_text())["name"] == NASTY
