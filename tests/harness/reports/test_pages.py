"""Reports of all kinds of runs, whole, damaged and hostile: a page that holds together, or one line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from harness.reports.making import MOST, leave_report, leave_sweep_report, report, report_several
from harness.reports.rendering import script_json
from leaderboards.record import Record
from tests.support.made_up import HOSTILE
from tests.support.paths import TESTS
from tests.support.refusals import refused
from tests.support.report_runs import make_run, track_of, videos_of
from zoo.api import Answer, TrackSpec

RECORDS = sorted((TESTS / "leaderboards" / "records" / "schema-1").glob("*.json"))
VIDEOS = ("a_left", "a_right", "b", "c")
VOID = {"meta", "input", "br", "link"}
DRAWN = {"circle", "line", "path", "rect", "i", "u"}


class Page(HTMLParser):
    """A page whose elements all end; its texts, addresses and scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.addresses: list[str] = []
        self.scripts: list[dict[str, str | None]] = []
        self.data = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []
        assert not [a for a in self.addresses if re.match(r"\w+:", a)], "a page fetches nothing"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append(dict(attrs))
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID | DRAWN

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"]:
            self.data = self.data or data
        elif self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    @property
    def content(self) -> Any:
        return json.loads(self.data)


@pytest.mark.parametrize("name", ["va", "expr", "au", "mtl"])
def test_a_run_of_each_track(name: str, tmp_path: Path) -> None:
    track = track_of(name)
    edition = "abaw11" if name == "mtl" else "abaw10"
    page = Page(report(make_run(tmp_path / "run", track, videos_of(track, VIDEOS), edition=edition)))
    content = page.content
    assert [a["name"] for a in content["timelines"]["answers"]] == [a.name for a in track.answers]
    assert {video["name"] for video in content["timelines"]["videos"]} == set(VIDEOS)
    scores = [video["score"] for video in content["timelines"]["videos"]]
    assert scores == sorted(scores)
    assert set(content["timelines"]["videos"][0]["present"]) == {"face", "audio"}
    assert [chart["title"] for chart in content["curves"]] == ["Loss", "Score on validation", "Learning rate"]
    assert page.source.count('class="confusion"') == sum(a.kind == "class" for a in track.answers)
    assert page.source.count("average precision") == sum(a.kind == "binary" for a in track.answers)
    assert "a-host-nobody-should-see" not in page.source
    assert str(tmp_path) not in page.source
    assert len(page.scripts) == 2


def test_what_is_missing_is_a_note(tmp_path: Path) -> None:
    va = track_of("va")
    unlabelled = Page(report(make_run(tmp_path / "unlabelled", va, videos_of(va, ["t"], labelled=False), history=None)))
    assert "There are no scores" in unlabelled.text
    assert unlabelled.content["curves"] == []
    assert list(unlabelled.content["timelines"]["videos"][0]["lines"]["valence"]) == ["raw"]
    one = Page(report(make_run(tmp_path / "one", va, videos_of(va, ["only"], n=1))))
    assert len(one.content["timelines"]["videos"]) == 1
    moved = make_run(tmp_path / "moved", va, videos_of(va, VIDEOS))
    (moved / "predictions").rename(tmp_path / "elsewhere")
    page = Page(report(moved))
    assert "There are no predictions in the run's folder" in page.text
    assert page.content["timelines"]["videos"] == []
    (tmp_path / "elsewhere").rename(moved / "predictions")
    other = make_run(tmp_path / "other", va, videos_of(va, ["x", "y"]))
    (other / "predictions" / "val.parquet").replace(moved / "predictions" / "val.parquet")
    assert "No predictions are shown" in Page(report(moved)).text


def test_one_class_and_a_track_that_no_edition_has(tmp_path: Path) -> None:
    single = TrackSpec("odd", (Answer("mood", "class", -1, ("calm",)),), "macro_f1", (0, 1), (), (), "", "")
    page = Page(report(make_run(tmp_path / "run", single, videos_of(single, VIDEOS), edition="strangers")))
    assert page.content["timelines"]["answers"][0]["classes"] == ["calm"]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_of_the_first_schema_alone(path: Path, tmp_path: Path) -> None:
    folder = tmp_path / path.stem
    folder.mkdir()
    (folder / "record.json").write_bytes(path.read_bytes())
    page = Page(report(folder))
    status = json.loads(path.read_text())["status"]
    assert status in page.text


def test_names_of_strangers_are_text(tmp_path: Path) -> None:
    names = (HOSTILE, "</script><script>alert(2)</script>", "a\u2028b\u202e\x1b[31m")
    bad = TrackSpec(
        "va", (Answer(HOSTILE, "class", -1, (HOSTILE, "</style>", "{{ 7*7 }}")),), "macro_f1", (0, 1), (), (), "", ""
    )
    folder = make_run(
        tmp_path / "run", bad, videos_of(bad, names), edition=HOSTILE, history=f'"</script>{HOSTILE}",epoch,loss\n1,1,1\n',
        config={HOSTILE: HOSTILE}, plugins=[HOSTILE],
    )  # fmt: skip
    record = json.loads((folder / "record.json").read_text())
    Record(HOSTILE, "failed", HOSTILE, record["result"], record["circumstances"]).write(folder / "record.json")
    page = Page(report(folder))
    assert len(page.scripts) == 2
    assert "<script>alert" not in page.source
    assert "49" not in re.findall(r"\{\{.*?\}\}|^49$", page.text)
    assert "\x1b" not in page.source
    assert "\u202e" not in page.source
    assert {video["name"] for video in page.content["timelines"]["videos"]} >= {HOSTILE}
    several = Page(report_several([folder, folder], tmp_path / "both.html", HOSTILE))
    assert len(several.scripts) == 2


def test_data_cannot_end_their_script() -> None:
    text = script_json({"</script>": ["<!--", "&amp;", "\u2028\u2029", float("nan"), 1.5]})
    assert not set(text) & set("<>&\u2028\u2029")
    assert list(json.loads(text).values()) == [["<!--", "&amp;", "\\u2028\\u2029", None, 1.5]]


def test_several_runs_side_by_side_and_no_more_than_a_page_holds(tmp_path: Path) -> None:
    va, expr = track_of("va"), track_of("expr")
    runs = [make_run(tmp_path / f"run {i}", va, videos_of(va, VIDEOS[i:])) for i in range(3)]
    runs.append(make_run(tmp_path / "other", expr, videos_of(expr, VIDEOS)))
    report(runs[1])
    page = Page(report_several(runs, tmp_path / "page.html", "Side by side"))
    assert page.addresses == ["run%201/report.html"]
    assert page.source.count("<section>") == 2
    assert page.content["curves"][0]["title"] == "abaw10 va: Loss"
    assert len(page.content["curves"][0]["series"]) == 3
    with refused("report-too-many", count=5000, most=MOST):
        report_several([runs[0]] * 5000, tmp_path / "page.html", "")


def test_a_folder_that_is_no_run_and_a_record_of_another_shape(tmp_path: Path) -> None:
    with refused("report-no-record"):
        report(tmp_path)
    odd: Any = {"scores": {"raw": {"main": "high"}}, "track": 3}
    Record("odd", "done", None, odd).write(tmp_path / "record.json")
    with refused("report-other-shape"):
        report(tmp_path)
    (tmp_path / "record.json").write_text("{")
    with refused("record-invalid"):
        report(tmp_path)


def test_a_report_that_fails_is_a_warning_that_says_how_to_make_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert leave_report(tmp_path) is None
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("warning: no report was made (")
    assert said[0].endswith(f"`harness report {tmp_path}`")
    va = track_of("va")
    run = make_run(tmp_path / "run", va, videos_of(va, VIDEOS))
    assert leave_sweep_report([run], tmp_path) == tmp_path / "sweep.html"
    assert (run / "report.html").is_file()
    assert Page(tmp_path / "sweep.html").addresses == ["run/report.html"]


def test_no_torch_is_loaded_for_a_report(tmp_path: Path) -> None:
    va = track_of("va")
    run = make_run(tmp_path / "run", va, videos_of(va, VIDEOS))
    code = f"import sys; from harness.reports.making import report; from pathlib import Path; report(Path({str(run)!r})); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
