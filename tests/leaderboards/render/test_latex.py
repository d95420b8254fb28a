"""Tables for a paper: they compile, or at least are built as LaTeX wants it, and every name is shown as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from leaderboards.comparison import TableQuery, boards, published_table, published_tables
from leaderboards.record import Record
from leaderboards.render.latex import LONGEST, escape, to_latex
from leaderboards.rows import Table
from leaderboards.tables import leaderboard
from tests.support.made_up import AFFWILD2, HOSTILE, real, result, run

NASTY = r"\input{/etc/passwd} $x^2$ 50% a_b #1 & ~ {} [opt] * `tick' 'q' 中文 é € – … ‡ <>|" + '"'
DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{textcomp,booktabs,longtable}
\begin{document}
%s
\end{document}
"""


def compiled(text: str, folder: Path) -> str:
    """The log of pdflatex; it fails at the first error."""
    (folder / "x.tex").write_text(DOCUMENT % text, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "x.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "x.pdf").stat().st_size > 1000
    return done.stdout


def grids(text: str) -> list[tuple[str, list[list[str]]]]:
    """(columns, rows of cells) of each table: what stands between its rules, split as LaTeX splits it."""
    found = []
    for kind, sides, inside in re.findall(
        r"\\begin\{(tabular|longtable)\}\{([^\n]*)\}\n(.*?)\\end\{\1\}", text, re.DOTALL
    ):
        last = inside.rpartition(r"\endfoot" if kind == "longtable" else r"\midrule")[2]
        lines = [line for line in last.splitlines() if line.endswith(r"\\")]
        found.append((sides, [re.split(r"(?<!\\)&", line[:-2]) for line in lines]))
    return found


def everything() -> list[Table]:
    records = [
        real(HOSTILE, 0.5),
        real(NASTY, 0.4),
        Record("cut", "failed", NASTY, {**result(0), "data": AFFWILD2, "scores": {}}),
    ]
    return [*boards(records, TableQuery("abaw10", "va", "val"), {("abaw10", "va", "val"): (76,)}), *published_tables()]


def test_every_row_has_a_cell_for_every_column() -> None:
    tables = everything()
    found = grids(to_latex(tables))
    assert [len(rows) for _, rows in found] == [len(table.rows) for table in tables]
    for sides, rows in found:
        wide = len(re.sub(r"p\{[^}]*\{?\\?[^}]*\}", "p", sides.replace(r"0.27\linewidth", "")))
        assert {len(row) for row in rows} == {wide}, sides


def test_braces_and_environments_close_and_nothing_special_is_left_bare() -> None:
    text = to_latex(everything())
    plain = re.sub(r"\\[{}\\]", "", text)
    assert plain.count("{") == plain.count("}")
    opened = re.findall(r"\\(begin|end)\{(\w+)\}", text)
    stack: list[str] = []
    for way, name in opened:
        if way == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    assert not re.search(r"(?<!\\)[$#^~]", text)
    assert r"\input" not in text
    assert text.isascii() or not re.search(r"[^\x00-\x7fÀ-ſ]", text)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("50 % of a_b & c", r"50 \% of a\_b \& c"),
        (r"\input{x}", r"\textbackslash{}input\{x\}"),
        ("a  b", "a b"),
        ("a\nb", r"a\textbackslash{}nb"),
        ("[t]*", "{[}t{]}{*}"),
        ("--", "{-}{-}"),
        ("one † ‡", r"one \dag{} \ddag{}"),
        ("Visão", "Visão"),
        ("中", r"\texttt{U+4E2D}"),
    ],
)
def test_what_latex_would_read_is_written_so_that_it_is_shown(given: str, shown: str) -> None:
    assert escape(given) == shown


def test_booktabs_captions_labels_and_sources() -> None:
    (table,) = leaderboard([real("ours", 0.5)])
    text = to_latex([table, published_table("abaw2", "expr", "val")])
    for needed in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\label{tab:abaw10-va-val-aabbccdd}",
        r"\label{tab:abaw2-expr-val}",
        "0.500 {[}0.450, 0.550{]}",
        "ICCVW",
    ):
        assert needed in text, needed
    assert r"\hline" not in text
    assert "|" not in "".join(sides for sides, _ in grids(text))
    assert "{[}1{]} Vu et al." in text


def test_a_table_longer_than_a_page_is_a_longtable() -> None:
    table = published_table("abaw2", "expr", "test")
    assert len(table.rows) > LONGEST
    assert r"\begin{longtable}" in to_latex([table])
    assert r"\begin{longtable}" not in to_latex([published_table("abaw2", "expr", "val")])


def test_few_groups_have_no_order_here_either() -> None:
    text = to_latex(leaderboard([run("a", 0.5, groups=9), run("b", 0.6, groups=9)]))
    assert not re.search(r"rank|best|winner|textbf", text)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_it_compiles(tmp_path: Path) -> None:
    log = compiled(to_latex(everything()), tmp_path)
    assert "undefined" not in log


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_a_hostile_name_compiles_and_reads_no_file(tmp_path: Path) -> None:
    log = compiled(to_latex(leaderboard([run(NASTY, 0.5), run(HOSTILE, 0.4)])), tmp_path)
    assert "passwd" not in "".join(line for line in log.splitlines() if line.startswith("("))
