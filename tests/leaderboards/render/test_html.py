"""The page as text: whole, with nothing to fetch, and with every name shown as a name."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from leaderboards.comparison import TableQuery, boards, published_table, published_tables
from leaderboards.record import Record
from leaderboards.render.html import to_html
from leaderboards.render.plot import plot
from leaderboards.rows import Key, Row, Table
from leaderboards.tables import leaderboard
from tests.support.made_up import AFFWILD2, HOSTILE, real, result, run

VOID = {"meta", "input", "wbr", "br"}
NETWORK = re.compile(
    r"\s(src|srcset|data|poster|action)=|<link|<iframe|<img|@import|url\(|fetch\(|XMLHttp", re.IGNORECASE
)


class Page(HTMLParser):
    """Tags in the order of the text, each closed where it must be; text by the tag it stands in."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def of(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [a for name, a in self.tags if name == tag and all(a.get(k) == v for k, v in wanted.items())]


@pytest.fixture(scope="module")
def tables() -> list[Table]:
    records = [real("ours", 0.6), real(HOSTILE, 0.3), Record("cut", "failed", HOSTILE, {**result(0), "scores": {}})]
    return boards(records, TableQuery("abaw10", "va", "val"), {("abaw10", "va", "val"): (76,)})


def test_it_is_one_page_with_nothing_to_fetch(tables: list[Table]) -> None:
    text = to_html([*tables, *published_tables()])
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert not NETWORK.search(re.sub(r' data-[a-z]+="', "", text))
    links = [a["href"] for a in page.of("a")]
    assert links
    assert all(re.match(r"#|https://(arxiv\.org|github\.com)/", link or "") for link in links)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {(link or "")[1:] for link in links if (link or "").startswith("#")} <= set(ids)


def test_only_its_own_style_and_script_may_run() -> None:
    text = to_html([])
    (policy,) = [a["content"] for a in Page(text).of("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in (policy or "")
    assert (policy or "").startswith("default-src 'none'; ")


def test_hostile_names_are_shown_as_names() -> None:
    bad = AFFWILD2 | {"name": HOSTILE, "fingerprint": HOSTILE}
    changes = {
        "data": bad,
        "split": HOSTILE,
        "edition": HOSTILE,
        "track": HOSTILE,
        "metric": HOSTILE,
        "passports": [{"name": HOSTILE, "seen_affwild2": True}],
        "seen": [HOSTILE],
        "combination": {"encoders": HOSTILE, "fusion": HOSTILE, "head": HOSTILE},
    }
    records = [run(HOSTILE, 0.5, **changes), run("other", 0.4, **changes), run("third", 0.4, edition="x")]
    records[0].result["scores"]["raw"]["parts"] = {HOSTILE: 0.5}
    text = to_html(leaderboard(records), [HOSTILE])
    page = Page(text)
    assert [name for name, _ in page.tags].count("script") == 1
    assert not any(key.startswith("on") for _, a in page.tags for key in a)
    assert "<script>alert" not in text
    shown = "".join(data for tag, data in page.texts if tag not in ("script", "style"))
    assert shown.count("<script>alert(1)</script>") > 8


def test_a_row_says_what_it_is(tables: list[Table]) -> None:
    page = Page(to_html(tables))
    rows = [a["class"] for a in page.of("tr") if "id" in a]
    assert rows == [row.kind for table in tables for row in table.rows]
    assert rows.count("run") == 3
    assert ("span", "run") in page.texts
    assert ("span", "published") in page.texts


def test_each_metric_has_a_column_that_sorts_by_the_full_figure(tables: list[Table]) -> None:
    heads = [data for tag, data in Page(to_html(tables[:1])).texts if tag == "button"]
    assert {"system", "score", "95 % interval", "CCC-V", "CCC-A", "post-processed", "pearson valence"} <= set(heads)
    (table,) = leaderboard([real("third", 1 / 3)])
    assert f'data-number="{1 / 3!r}"' in to_html([table])


def test_a_failed_run_has_its_reason_and_no_figures(tables: list[Table]) -> None:
    failed = list(Page(to_html(tables[1:])).of("td", **{"class": "number score"}))
    assert len(failed) == 1
    assert "data-number" not in failed[0]


def test_the_plot_has_a_mark_for_every_score_and_an_interval_for_every_run(tables: list[Table]) -> None:
    page = Page(to_html(tables[:1]))
    scored = [row for row in tables[0].rows if row.stands]
    assert len([a for _, a in page.tags if "data-row" in a]) == len(scored)
    assert len(page.of("g", **{"class": "run"})) == 2
    assert len(page.of("circle", **{"class": "published"})) == len(scored) - 2
    titles = [data for tag, data in page.texts if tag == "title"]
    assert "ours: 0.6 [0.550, 0.650]" in titles


def test_the_plot_is_drawn_to_scale() -> None:
    rows = tuple(Row(f"r{i}", "done", score=s, low=s - 0.1, high=s + 0.1) for i, s in enumerate((0.9, 0.5, 0.4)))
    page = Page(plot(Table(Key("", "", "", "", ""), "", (), rows), ["a", "b", "c"]))
    a, b, c = (float(x["cx"] or 0) for x in page.of("circle"))
    assert (a - b) / (b - c) == pytest.approx(4, abs=0.01)
    shown = [float(data) for tag, data in page.texts if tag == "text" and not data.startswith("r")]
    places = [float(x["x"] or 0) for x in page.of("text", **{"class": "tick"})]
    for tick, x in zip(shown, places, strict=True):
        assert x == pytest.approx(b + (tick - 0.5) * (a - b) / 0.4, abs=0.2)
    assert plot(Table(Key("", "", "", "", ""), "", (), rows[:1]), ["a"]) == ""


def test_rings_do_not_cover_each_other() -> None:
    table = published_table("abaw2", "va", "test")
    rings = [
        (float(a["cx"] or 0), float(a["cy"] or 0))
        for a in Page(plot(table, [row.run for row in table.rows])).of("circle")
    ]
    near = [(p, q) for i, p in enumerate(rings) for q in rings[:i] if abs(p[0] - q[0]) < 8.9 and abs(p[1] - q[1]) < 8.9]
    assert len(rings) == 46
    assert near == []


def test_equal_scores_and_thousands_of_runs_can_be_drawn() -> None:
    flat = tuple(Row(f"r{i}", "done", score=0.5) for i in range(1000))
    text = plot(Table(Key("", "", "", "", ""), "", (), flat), [str(i) for i in range(1000)])
    assert len(Page(text).of("g")) == 20
    assert "and 980 runs more in the table" in text


def test_no_runs_are_no_error() -> None:
    assert "There are no runs yet." in to_html([])
    assert "a &lt;b&gt;" in to_html([], ["a <b>"])


def test_a_run_whose_report_is_known_links_it() -> None:
    tables = leaderboard([run("ours", 0.6), run(HOSTILE, 0.3)])
    page = to_html(tables, reports={"ours": "runs/ours/report.html", HOSTILE: 'x" onclick="alert(1)'})
    assert '<a href="runs/ours/report.html">ours</a>' in page
    assert 'onclick="alert' not in page
    assert "<a href" not in to_html(tables)
