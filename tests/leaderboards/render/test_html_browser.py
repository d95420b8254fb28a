"""The page in a browser: opened without a network, sorted by a click, filtered by words, printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderboards.comparison import TableQuery, boards, published_tables
from leaderboards.published import rows as rows_of
from leaderboards.render.html import to_html
from leaderboards.tables import leaderboard
from tests.support.browser import browser_of, needs_browser
from tests.support.made_up import HOSTILE, real, run

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from browser_of(tmp_path_factory.mktemp("profile"))


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Runs, one with a hostile name and one that is made up, among the published results of ABAW10."""
    records = [real("ours", 0.6), real(HOSTILE, 0.3), run("demo", 0.9)]
    tables = boards(records, TableQuery("abaw10", "va", "val"), {("abaw10", "va", "val"): (76,)})
    yield open_(browser, tmp_path, to_html(tables))
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def open_(browser: Any, folder: Path, text: str) -> Any:
    (folder / "page.html").write_text(text, encoding="utf-8")
    browser.get((folder / "page.html").as_uri())
    return browser


def find(page: Any, selector: str) -> list[Any]:
    return page.find_elements("css selector", selector)


def column(page: Any, name: str, section: int = 0) -> list[str]:
    """What is seen in a column of a table, from top to bottom."""
    table = find(page, "section table")[section]
    cells = table.find_elements("css selector", f"tbody tr:not([hidden]) td.{name}")
    return [cell.text.strip() for cell in cells if cell.is_displayed()]


def click(page: Any, head: str, section: int = 0) -> str | None:
    """Click the head of a column; how it is sorted then."""
    (found,) = find(page, "section table")[section].find_elements("css selector", f"th.{head}")
    found.find_element("css selector", "button").click()
    return found.get_attribute("aria-sort")


def filter_(page: Any, words: str) -> None:
    (box,) = find(page, "#filter")
    box.clear()
    box.send_keys(words)


def test_a_click_sorts_and_another_turns_the_order(page: Any) -> None:
    before = [float(text) for text in column(page, "score")]
    assert before == sorted(before, reverse=True)
    assert click(page, "score") == "descending"
    assert [float(text) for text in column(page, "score")] == before
    assert click(page, "score") == "ascending"
    assert [float(text) for text in column(page, "score")] == before[::-1]
    assert click(page, "system") == "ascending"
    names = column(page, "system")
    assert names[0].startswith("<script>")
    assert names[1:] == sorted(names[1:], key=str.lower)
    assert len(find(page, "section th[aria-sort]")) == 1
    assert column(page, "score", section=1) == ["0.900"]


def test_empty_cells_stay_last_whichever_way_it_is_sorted(page: Any) -> None:
    for way in ("descending", "ascending"):
        assert click(page, "ccc-v") == way
        given = column(page, "ccc-v")
        figures = [float(text) for text in given if text]
        assert figures == sorted(figures, reverse=way == "descending")
        assert 0 < len(figures) < len(given)
        assert not any(given[len(figures) :])


def test_the_filter_takes_all_words_and_dims_the_plot(page: Any) -> None:
    rows, marks = len(find(page, "tbody tr")), len(find(page, "[data-row]"))
    assert rows - marks == 1  # the demo run stands alone, which is no plot
    filter_(page, "RAS mamba")
    assert column(page, "system") == ["RAS", "RAS"]
    assert len(find(page, "[data-row].dim")) == marks - 2
    assert find(page, "#count")[0].text == f"2 of {rows} rows"
    assert not find(page, "section")[1].is_displayed()
    filter_(page, "no such words")
    assert column(page, "system") == []
    assert find(page, "#nothing")[0].text == "No row has these words."
    filter_(page, "poster, github")  # words of a source, which a table shows by number
    assert len(column(page, "system")) == sum("poster, github" in r.source for r in rows_of("abaw10", "va", "val"))
    assert not find(page, "#nothing")[0].is_displayed()
    filter_(page, "run")
    assert "ours" in column(page, "system")


def test_the_plot_is_to_scale_and_points_at_its_rows(page: Any) -> None:
    def x(name: str) -> float:
        row = next(r for r in find(page, "tbody tr") if r.find_element("css selector", "td.system").text == name)
        (mark,) = find(page, f'[data-row="{row.get_attribute("id")}"]')
        circle = mark if mark.tag_name == "circle" else mark.find_element("css selector", "circle")
        return float(circle.get_attribute("cx"))

    scores = dict(zip(column(page, "system"), map(float, column(page, "score")), strict=True))
    zero, ours, hostile = x("baseline"), x("ours"), next(n for n in scores if n.startswith("<script>"))
    share = (x(hostile) - zero) / (ours - zero)
    assert share == pytest.approx(
        (scores[hostile] - scores["baseline"]) / (scores["ours"] - scores["baseline"]), abs=0.005
    )
    (svg,) = find(page, "svg.plot")
    assert svg.rect["width"] > 800
    assert [e.text for e in find(page, "svg text.mark")] == ["highest published 0.6576", "baseline 0.22"]


def test_a_hostile_name_is_text(page: Any) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    with pytest.raises(NoAlertPresentException):
        page.switch_to.alert  # noqa: B018
    shown = [text for text in column(page, "system") if "alert" in text]
    assert shown == [HOSTILE]
    assert len(find(page, "script")) == 1


def test_more_columns_and_one_row_a_system(page: Any) -> None:
    assert column(page, "pearson-valence") == []
    find(page, "#closer")[0].click()
    assert [text for text in column(page, "pearson-valence") if text] == ["0.600", "0.300"]
    assert column(page, "system").count("RAS") == sum(r.team == "RAS" for r in rows_of("abaw10", "va", "val"))
    find(page, "#leading")[0].click()
    assert column(page, "system").count("RAS") == 1
    assert column(page, "score")[0] == "0.6576"


def test_it_fits_a_laptop(browser: Any, tmp_path: Path) -> None:
    open_(browser, tmp_path, to_html([*published_tables(), *leaderboard([run("a", 0.5), run("b", 0.4)])]))
    wide, seen = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= seen
    cut = "return Array.from(document.querySelectorAll('.wide')).filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert browser.execute_script(cut) == 0
    assert len(find(browser, "nav a")) == len(published_tables()) + 1


def test_nothing_is_fetched(browser: Any, tmp_path: Path) -> None:
    open_(browser, tmp_path, to_html(published_tables(TableQuery("abaw2"))))
    asked = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert browser.execute_script(asked) == []
