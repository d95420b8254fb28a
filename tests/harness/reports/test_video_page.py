"""Pages of predicted videos: key frames and addresses, hostile names, and in a browser a timeline that moves the video."""

from __future__ import annotations

import base64
import errno
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from harness.data.decoding.video import probe
from harness.reports import video_page
from harness.reports.key_frames import MOST, key_frames, pictures_of
from harness.reports.video_page import address_of, write_video_page
from tests.support.browser import browser_of, needs_browser
from tests.support.media import shade, write_click_video
from tests.support.refusals import refused
from tests.support.report_runs import track_of, videos_of
from zoo.api import VideoAnswers

HOSTILE = "<img src=x onerror=alert(1)> \"d\" 'q' &amp; #1?%41.mp4"
VA, EXPR, AU, MTL = (track_of(name) for name in ("va", "expr", "au", "mtl"))


def about_of(answers: Any, people: int = 1, frames: int = 60) -> dict[str, Any]:
    summary = {
        "table": "a.csv", "frames": frames, "seconds": 2.4,
        "people": [{"person": k + 1, "without_face": 0.25} for k in range(people)],
    }  # fmt: skip
    return {
        "model": "my_run", "kind": "run", "digest": "ab" * 32, "edition": "abaw10", "track": "va",
        "versions": {"torch": "2.15.0"}, "warnings": ("be <b>careful</b>",), "answers": answers, "summary": summary, "mark": "made by",
    }  # fmt: skip


def people_of(track: Any, video: Path, count: int = 1) -> list[VideoAnswers]:
    times = probe(video).times
    made = videos_of(track, [f"v{k}" for k in range(count)], n=len(times), labelled=False)
    return [VideoAnswers(v.video, v.group, v.values, v.targets, v.present, times) for v in made]


def page_of(folder: Path, track: Any, name: str = "a.mp4", people: int = 1, **video: Any) -> Path:
    folder.mkdir(exist_ok=True)
    write_click_video(folder / name, click_frame=None, **video)
    found = people_of(track, folder / name, people)
    path = folder / "pages" / "page.html"
    write_video_page(path, probe(folder / name), found, about_of(track.answers, people))
    return path


def test_key_frames_are_the_strongest_of_what_is_seen() -> None:
    (person,) = videos_of(MTL, ["a"], n=50)
    p = np.full((50, 8), 0.05)
    p[:, 2] = 0.3
    p[40, 2] = 0.6
    p[12, 5] = 0.9
    p[0, 2], p[0, 6] = 0.1, 0.99  # at a frame where nothing is seen
    values = {**person.values, "expression": p, "valence": np.linspace(1, -1, 50)}
    seen = {"face": np.arange(50) > 0, "audio": np.zeros(50, bool)}
    one = VideoAnswers("a", "a", values, person.targets, seen, np.arange(50) / 25)
    found = {key.says: key for key in key_frames(MTL.answers, one)}
    classes = next(a.classes for a in MTL.answers if a.kind == "class")
    assert [name for name in classes if name in found] == [classes[2], classes[5]]
    assert (found[classes[2]].frame, found[classes[2]].value) == (40, 0.6)
    assert found[classes[5]].seconds == 12 / 25
    assert (found["highest valence"].frame, found["lowest valence"].frame) == (1, 49)
    assert found["lowest valence"].value == -1
    assert len(found) <= MOST
    nothing = VideoAnswers("a", "a", values, person.targets, {"face": np.zeros(50, bool)}, one.times)
    assert key_frames(MTL.answers, nothing) == []


@pytest.mark.parametrize("rotation", [0, 90])
def test_pictures_are_small_and_of_their_frames(tmp_path: Path, rotation: int) -> None:
    write_click_video(tmp_path / "a.mp4", n_frames=30, click_frame=None, size=(640, 320), rotation=rotation)
    found = pictures_of(probe(tmp_path / "a.mp4"), [3, 17])
    assert list(found) == [3, 17]
    for frame, address in found.items():
        data = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture.shape == ((256, 128, 3) if rotation else (128, 256, 3))
        assert abs(float(picture.mean()) - shade(frame)) < 6


def test_an_address_leads_from_the_page_to_the_video(tmp_path: Path) -> None:
    video = tmp_path / "videos" / HOSTILE
    address = address_of(video, tmp_path / "pages")
    assert (tmp_path / "pages" / unquote(address)).resolve() == video
    assert not set("<>\"'#?& ") & set(address)
    assert address_of(tmp_path / "http:x.mp4", tmp_path).startswith("./http")


def test_the_page_names_the_video_and_holds_no_copy(tmp_path: Path) -> None:
    path = page_of(tmp_path / "v", MTL, HOSTILE)
    page = path.read_text(encoding="utf-8")
    assert html.escape(HOSTILE) in page.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")
    assert "<img src=x" not in page
    assert "be <b>careful" not in page
    assert "data:video" not in page
    for said in ("my_run", "ab" * 32, "plays the video from its place"):
        assert said in page
    (source,) = re.findall(r"<video[^>]* src=\"([^\"]+)\"", page)
    assert (path.parent / unquote(html.unescape(source))).resolve() == tmp_path / "v" / HOSTILE
    assert len(page) < 600_000


def test_no_frames_and_a_full_disk_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_click_video(tmp_path / "a.mp4", click_frame=None)
    info = probe(tmp_path / "a.mp4")
    with refused("report-no-frames", file=info.path):
        write_video_page(tmp_path / "out" / "a.html", info, [], about_of(VA.answers, 0))
    assert not (tmp_path / "out").exists()

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(video_page.Path, "write_text", full)
    with refused("file-not-written"):
        write_video_page(tmp_path / "out" / "a.html", info, people_of(VA, info.path), about_of(VA.answers))
    assert not list((tmp_path / "out").iterdir())


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from browser_of(tmp_path_factory.mktemp("profile"))


def opened(browser: Any, page: Path) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(page.as_uri())
    ready = "const p = document.getElementById('player'); return p.readyState > 0 || p.error !== null"
    WebDriverWait(browser, 20).until(lambda b: b.execute_script(ready))


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [(1400, 900), (390, 800)])
@pytest.mark.parametrize("name", ["va", "expr", "au", "mtl"])
def test_it_opens_whole_on_every_screen(
    browser: Any, tmp_path: Path, name: str, screen: tuple[int, int], scheme: str
) -> None:
    page = page_of(tmp_path / "v", track_of(name), HOSTILE, people=2)
    metrics = {"width": screen[0], "height": screen[1], "deviceScaleFactor": 1, "mobile": screen[0] < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    opened(browser, page)
    assert browser.get_log("browser") == []
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert all(address.startswith("file:") for address in fetched)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= screen[0]
    assert browser.execute_script("return document.getElementById('player').error") is None
    assert browser.execute_script("return document.images.length && [...document.images].every(i => i.naturalWidth)")
    assert (
        browser.execute_script("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    ) == (scheme == "dark")
    assert not browser.find_elements("css selector", "#unplayable:not([hidden])")


@needs_browser
@pytest.mark.slow
def test_a_click_moves_the_video_and_the_line_follows(browser: Any, tmp_path: Path) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.support.wait import WebDriverWait

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    opened(browser, page_of(tmp_path / "v", VA, n_frames=100))
    time = "return document.getElementById('player').currentTime"
    head = "return parseFloat(document.querySelector('.playhead').style.left)"
    (first, *_) = browser.find_elements("css selector", "#timeline .u-over")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", first)
    assert browser.execute_script(time) == 0
    before = browser.execute_script(head)
    wide = first.size["width"]
    ActionChains(browser).move_to_element_with_offset(first, round(wide / 4), 0).click().perform()
    WebDriverWait(browser, 10).until(lambda b: b.execute_script("return !document.getElementById('player').seeking"))
    length = 99 / 25
    assert browser.execute_script(time) == pytest.approx(0.75 * length, abs=0.05)
    assert browser.execute_script(head) - before == pytest.approx(0.75 * wide, abs=6)
    said = browser.find_element("css selector", "#now").text
    assert said.startswith(f"{browser.execute_script(time):.2f} s: valence ")
    ActionChains(browser).move_to_element_with_offset(first, -round(wide / 4), 0).click_and_hold().move_by_offset(
        90, 0
    ).release().perform()
    assert browser.execute_script(time) == pytest.approx(0.75 * length, abs=0.05), (
        "a drag looks closer and seeks nothing"
    )
    key = browser.find_elements("css selector", "[data-seconds]")[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", key)
    key.click()
    assert browser.execute_script(time) == pytest.approx(float(key.get_attribute("data-seconds")), abs=0.01)
    browser.execute_script(
        "const p = document.getElementById('player'); p.muted = true; p.currentTime = 0;"
        "document.getElementById('whole').click(); p.play()"
    )
    WebDriverWait(browser, 10).until(lambda b: b.execute_script(time) > 0.3)
    assert browser.execute_script(head) > before + 10
    assert browser.get_log("browser") == []


@needs_browser
@pytest.mark.slow
def test_a_video_that_is_gone_is_said_and_the_page_stays(browser: Any, tmp_path: Path) -> None:
    page = page_of(tmp_path / "v", EXPR)
    (tmp_path / "v" / "a.mp4").unlink()
    opened(browser, page)
    assert browser.find_elements("css selector", "#unplayable:not([hidden])")
    assert browser.find_elements("css selector", "#timeline .uplot")
