"""Tables as one page for a browser, with nothing to fetch: sorted by a click, filtered by a word, with a plot each.

Style and script lie in page.html. The page names them by their digests and forbids everything else (a Content Security
Policy), so that not even a name that found a way around the escaping could run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from leaderboards.columns import Column, columns, sources, wanting
from leaderboards.render.plot import plot
from leaderboards.rows import Row, Table
from leaderboards.text import markup

__all__ = ["to_html"]

_PAGE = Path(__file__).with_name("page.html")
_BADGES = ("kind", "confidence")
_NAMES = ("run", "system")


def to_html(tables: Sequence[Table], problems: Sequence[str] = ()) -> str:
    """The page with all tables, and what could not be read."""
    page = _PAGE.read_text(encoding="utf-8")
    policy = f"default-src 'none'; style-src {_digest(page, 'style')}; script-src {_digest(page, 'script')}"
    body = [*(_section(table, i) for i, table in enumerate(tables))] or ["<p>There are no runs yet.</p>"]
    if problems:
        body.append("<section><h2>Not in the tables</h2><ul>" + _items(problems) + "</ul></section>")
    rows = [row for table in tables for row in table.rows]
    published = len({(r.run, r.score, r.place, r.detail, r.source) for r in rows if r.kind == "published"})
    filled = {
        "policy": markup(policy),
        "count": _counted(sum(row.kind == "run" for row in rows), published, len(rows), len(tables)),
        "contents": _contents(tables),
        "tables": "\n".join(body),
    }
    return re.sub(r"<!--(policy|count|contents|tables)-->|POLICY", lambda m: filled[m[1] or "policy"], page)


def _digest(page: str, tag: str) -> str:
    """The digest by which a Content Security Policy knows the page's style or script."""
    found = re.search(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    assert found is not None, f"{_PAGE} has no {tag}"
    return "'sha256-" + base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode() + "'"


def _counted(runs: int, published: int, rows: int, tables: int) -> str:
    """How many there are; with the number of rows where some stand in several tables."""
    parts = [f"{n} {name}{'' if n == 1 else 's'}" for n, name in ((runs, "run"), (published, "published result")) if n]
    where = f" in {tables} tables" if tables > 1 else ""
    several = f" ({rows} rows: some are in several tables)" if rows > runs + published else ""
    return (" and ".join(parts) or "no runs") + where + several


def _contents(tables: Sequence[Table]) -> str:
    """Links to the tables, a line an edition; nothing for a single table."""
    if len(tables) < 2:
        return ""
    topics = Counter(_topic(table) for table in tables)
    lines = []
    for edition, group in groupby(enumerate(tables), lambda pair: pair[1].key.edition):
        links = " ".join(
            f'<a href="#{_anchor(table, i)}">{markup(_short(table, topics[_topic(table)] > 1))}</a>'
            for i, table in group
        )
        lines.append(f"<li><b>{markup(edition or '-')}</b><span>{links}</span></li>")
    return f'<nav aria-label="Tables"><ul>{"".join(lines)}</ul></nav>'


def _topic(table: Table) -> tuple[str, str, str]:
    return table.key.edition, table.key.track, table.key.split


def _short(table: Table, twice: bool) -> str:
    which = f" ({table.key.data[:8] or 'published'})" if twice else ""
    return f"{table.key.track} {table.key.split}".strip() + which or "others"


def _anchor(table: Table, i: int) -> str:
    return markup(f"{table.name}-{i + 1}")


# --- one table --------------------------------------------------------------------------------------------------------


def _section(table: Table, i: int) -> str:
    shown, numbers = columns(table, page=True), sources(table)
    marks = [f"t{i}r{j}" for j in range(len(table.rows))]
    leading = {row.run: mark for row, mark in reversed(list(zip(table.rows, marks, strict=True)))}
    head = "".join(_head(column) for column in shown)
    aligned = [(column, wanting(column, table)) for column in shown]
    body = "\n".join(
        _row(row, mark, aligned, leading[row.run] == mark) for row, mark in zip(table.rows, marks, strict=True)
    )
    told = "".join(f'<li value="{n}">{_linked(source)}</li>' for source, n in numbers.items())
    return (
        f'<section id="{_anchor(table, i)}"><h2>{markup(table.title)}</h2>'
        f'<figure>{plot(table, marks)}</figure><div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
        f'<ul class="notes">{_items(table.notes)}</ul>'
        + (f'<details open><summary>Sources</summary><ol class="sources">{told}</ol></details>' if told else "")
        + "</section>"
    )


def _items(texts: Sequence[str]) -> str:
    return "".join(f"<li>{markup(text)}</li>" for text in texts)


def _classes(column: Column) -> str:
    names = [name for name, given in (("number", column.value is not None), ("more", column.more)) if given]
    return " ".join([*names, re.sub(r"[^a-z]", "-", column.name.lower())])


def _head(column: Column) -> str:
    return f'<th scope="col" class="{_classes(column)}"><button type="button">{markup(column.name)}</button></th>'


def _row(row: Row, mark: str, shown: Sequence[tuple[Column, Callable[[Row], int]]], leading: bool) -> str:
    cells = "".join(_cell(column, row, "\u2007" * lacks(row)) for column, lacks in shown)
    words = markup(" ".join((row.kind, row.source, row.span)))
    return f'<tr id="{mark}" class="{row.kind}" data-words="{words}" data-leading="{int(leading)}">{cells}</tr>'


def _cell(column: Column, row: Row, padding: str) -> str:
    """``padding``: spaces of a digit's width, which bring the points of a column in line."""
    text = column.text(row)
    number = column.value(row) if column.value else None
    sort = f' data-number="{number!r}"' if number is not None else ""
    if text and column.name in _BADGES:
        shown = f'<span class="badge {markup(text)}">{markup(text)}</span>'
    elif text and column.name == "source":
        shown = f'<abbr title="{markup(row.source)}">{markup(text)}</abbr>'
    elif column.value:
        shown = markup(text) + padding
    else:
        shown = _breakable(text)
    if column.name in _NAMES and row.reason:
        shown += f"<small>{markup(row.reason)}</small>"
    return f'<td class="{_classes(column)}"{sort}>{shown}</td>'


def _breakable(text: str) -> str:
    """A name that may go on in the next line where its parts meet, but not before a mark."""
    return re.sub(r"(?<=[+_,/-])(?=[^\s<&])", "<wbr>", re.sub(r" ([†‡§¶])", "\u00a0\\1", markup(text)))


_ADDRESSES = (
    (re.compile(r"arXiv (\d{4}\.\d{4,5})"), r"https://arxiv.org/abs/\1"),
    (re.compile(r"github ([\w.-]+/[\w.-]+)"), r"https://github.com/\1"),
)


def _linked(source: str) -> str:
    """A source with links to the papers and repositories that it names."""
    text = markup(source)
    for pattern, address in _ADDRESSES:
        text = pattern.sub(rf'<a href="{address}" rel="noreferrer">\g<0></a>', text)
    return text
