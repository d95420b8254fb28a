"""Reports in a browser: timelines are chosen, zoomed and read, tables sort, nothing is fetched, nothing overflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.reports.making import report
from tests.support.browser import browser_of, needs_browser
from tests.support.made_up import HOSTILE
from tests.support.report_runs import make_run, track_of, videos_of

pytestmark = [needs_browser, pytest.mark.slow]
NAMES = ("a_left", "a_right", HOSTILE)
SCREENS = {"wide": (1400, 900), "narrow": (390, 800)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from browser_of(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place, made = tmp_path_factory.mktemp("runs"), {}
    for name in ("va", "expr", "au", "mtl"):
        track, edition = track_of(name), "abaw11" if name == "mtl" else "abaw10"
        made[name] = report(make_run(place / name, track, videos_of(track, NAMES, n=4000), edition=edition))
    return made


def find(page: Any, selector: str) -> list[Any]:
    return page.find_elements("css selector", selector)


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["va", "expr", "au", "mtl"])
def test_it_opens_whole_on_every_screen(
    browser: Any, pages: dict[str, Path], name: str, scheme: str, screen: str
) -> None:
    width, height = SCREENS[screen]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(pages[name].as_uri())
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert len(find(browser, "#curves canvas")) == 3
    answers = {"va": 2, "expr": 1, "au": 1, "mtl": 4}[name]
    assert len(find(browser, "#timeline .uplot")) == answers
    dark = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (dark != "rgb(255, 255, 255)") == (scheme == "dark")


def test_a_timeline_is_chosen_zoomed_and_made_whole_again(browser: Any, pages: dict[str, Path]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.get(pages["va"].as_uri())
    shown = "return document.getElementById('video').selectedOptions[0].text"
    first = browser.execute_script(shown)
    find(browser, "#next")[0].click()
    assert browser.execute_script(shown) != first
    find(browser, "#back")[0].click()
    assert browser.execute_script(shown) == first
    button = find(browser, "[data-video]")[-1]
    button.click()
    assert browser.execute_script(shown).startswith(button.text)
    (over, other) = find(browser, "#timeline .u-over")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", over)
    axis = "return Array.from(document.querySelectorAll('#timeline .uplot')).map(e => e.textContent)"
    ActionChains(browser).move_to_element(over).perform()
    assert all("-" not in text.split("label")[0] for text in browser.execute_script(axis)), "hover reads both panels"
    before = browser.execute_script("return document.getElementById('presence').toDataURL()")
    ActionChains(browser).move_to_element_with_offset(over, -200, 0).click_and_hold().move_by_offset(
        150, 0
    ).release().perform()
    closer = browser.execute_script("return document.getElementById('presence').toDataURL()")
    assert closer != before
    find(browser, "#whole")[0].click()
    assert browser.execute_script("return document.getElementById('presence').toDataURL()") == before
    assert other is not None
    assert browser.get_log("browser") == []


def test_tables_sort_and_units_are_chosen(browser: Any, pages: dict[str, Path]) -> None:
    browser.get(pages["au"].as_uri())
    table = find(browser, "#predictions table.sortable")[0]
    heads = table.find_elements("css selector", "th button")
    read = "return Array.from(arguments[0].tBodies[0].rows).map(row => Number(row.cells[3].dataset.number))"
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", table)
    heads[3].click()
    found = browser.execute_script(read, table)
    assert found == sorted(found, reverse=True)
    heads[3].click()
    assert browser.execute_script(read, table) == found[::-1]
    browser.execute_script(
        "const u = document.getElementById('unit'); u.selectedIndex = 3; u.dispatchEvent(new Event('change'))"
    )
    assert find(browser, "#timeline .chart-title")[0].text == track_of("au").answers[3].name
