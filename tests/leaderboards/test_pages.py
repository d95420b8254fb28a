"""The pages of published results that lie in the checkout: complete, and told when they are stale."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboards import published
from leaderboards.published_pages import pages, stale, write_pages


@pytest.fixture
def texts() -> dict[str, str]:
    return pages({"abaw2": "ICCV 2021"})


def test_there_is_a_page_for_every_edition_and_each_has_its_rows(texts: dict[str, str]) -> None:
    assert set(texts) == {"README.md", *(f"abaw{n}.md" for n in range(1, 12))}
    assert texts["abaw2.md"].splitlines()[2] == "# abaw2, ICCV 2021: published results"
    for row in published.read():
        for n in range(1, 12):
            if row.belongs(f"abaw{n}"):
                assert row.team.replace("|", "&#124;") in texts[f"abaw{n}.md"], row


def test_the_index_leads_to_every_table(texts: dict[str, str]) -> None:
    links = re.findall(r"\]\((abaw\d+\.md)#([^)]+)\)", texts["README.md"])
    anchors = {
        (name, re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-"))
        for name, text in texts.items()
        for head in re.findall(r"^## (.*)$", text, re.MULTILINE)
    }
    assert set(links) == {pair for pair in anchors if pair[0] != "README.md"}
    assert "| 0.49315 | NISL-2021 | 0.195 |" in texts["README.md"]


def test_tables_are_whole(texts: dict[str, str]) -> None:
    for text in texts.values():
        for grid in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({line.count("|") for line in grid.splitlines()}) == 1


def test_what_was_written_is_not_stale_and_any_change_is(tmp_path: Path, texts: dict[str, str]) -> None:
    assert len(stale(tmp_path, texts)) == len(texts)
    write_pages(tmp_path, texts)
    (tmp_path / "notes.md").write_text("mine")
    assert stale(tmp_path, texts) == []
    page = tmp_path / "abaw2.md"
    page.write_text(texts["abaw2.md"].replace("0.41615", "0.51615"))
    (tmp_path / "abaw9.md").unlink()
    (tmp_path / "abaw99.md").write_text(texts["abaw2.md"])
    (tmp_path / "abaw-mine.md").write_text("mine")
    lines = stale(tmp_path, texts)
    assert len(lines) == 3
    assert re.fullmatch(r".*abaw2\.md: is stale from line \d+ on", next(line for line in lines if "abaw2.md" in line))
    assert any(line.endswith("abaw9.md: is missing") for line in lines)
    assert any("abaw99.md: nothing is published" in line for line in lines)
    write_pages(tmp_path, texts)
    assert stale(tmp_path, texts) == []
    assert (tmp_path / "abaw-mine.md").read_text() == "mine"


def test_another_published_row_makes_them_stale(
    tmp_path: Path, texts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pages(tmp_path, texts)
    rows = published.read()
    monkeypatch.setattr(published, "read", lambda: rows[1:])
    lines = stale(tmp_path, pages({"abaw2": "ICCV 2021"}))
    assert [Path(line.split(":")[0]).name for line in lines] == ["README.md", "abaw1.md"]
