"""Every mutant still applies; and the program tells a caught one from a survivor. All of them: `mutants.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import mutants
from tests.benchmarks.mutant import Mutant, StaleMutantError
from tests.benchmarks.mutants import MUTANTS, ROOT, Verdict, judge_all


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_names_tests_that_are_there(mutant: Mutant) -> None:
    changed = mutant.changed(ROOT)
    assert changed != (ROOT / mutant.file).read_text(encoding="utf-8")
    compile(changed, mutant.file, "exec")
    assert mutant.fault
    for test in mutant.tests:
        file, _, name = test.partition("::")
        text = (ROOT / file).read_text(encoding="utf-8")
        assert not name or f"def {name}(" in text


def test_names_differ() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(m.file, m.old, m.new) for m in MUTANTS}) == len(MUTANTS)


# --- a made-up package ------------------------------------------------------------------------------------------------

SUM = Mutant("sum", "zoo/sums.py", "a + b", "a - b", ("tests/test_sums.py::test_sum",), "sums are differences")
CARELESS = replace(SUM, name="careless", tests=("tests/test_sums.py::test_nothing",))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of one function, with a test that looks at it and one that does not."""
    monkeypatch.setattr(mutants, "LIBRARIES", ())
    for name, text in {
        "zoo/__init__.py": "",
        "zoo/sums.py": "def add(a, b):\n    return a + b\n",
        "tests/test_sums.py": "from zoo.sums import add\n\n\n"
        "def test_sum():\n    assert add(2, 3) == 5\n\n\n"
        "def test_nothing():\n    assert add(2, 0) == 2\n\n\n"
        "def test_wrong():\n    assert add(2, 0) == 3\n",
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "--import-mode=importlib"\n',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"old": "a * b"}, "must occur once in zoo/sums.py, got 0 times"),
        ({"old": "a"}, "got 3 times"),
        ({"file": "zoo/gone.py"}, "there is no zoo/gone.py"),
    ],
)
def test_a_mutant_that_no_longer_applies_is_an_error(package: Path, changes: dict[str, str], found: str) -> None:
    with pytest.raises(StaleMutantError, match=f"^sum: .*{found}"):
        replace(SUM, **changes).changed(package)  # type: ignore[arg-type]


@pytest.mark.slow
def test_survivors_and_those_that_are_caught_are_told_apart(
    package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that makes its module impossible to import, and one that no longer applies, are neither."""
    broken = replace(SUM, name="broken", new="a +")
    stale = replace(SUM, name="stale", old="a * b")
    monkeypatch.setattr(mutants, "ROOT", package)
    monkeypatch.setattr(mutants, "MUTANTS", (SUM, CARELESS, broken, stale))
    before = (package / "zoo" / "sums.py").read_bytes()
    assert mutants.main([]) == 1
    said = capsys.readouterr().out
    assert "[1/4] sum: caught by tests/test_sums.py::test_sum" in said
    assert "[2/4] careless: SURVIVED: sums are differences (tests/test_sums.py::test_nothing)" in said
    assert "[3/4] broken: ERROR: pytest ended with" in said
    assert "[4/4] stale: ERROR: 'a * b' must occur once" in said
    assert "1 of 4 mutants caught" in said
    assert (package / "zoo" / "sums.py").read_bytes() == before
    monkeypatch.setattr(mutants, "judge_all", lambda *given: [Verdict("sum", "caught", "tests/test_sums.py::test_sum")])
    assert mutants.main(["su*"]) == 0


@pytest.mark.slow
def test_tests_that_fail_anyway_prove_nothing(package: Path) -> None:
    failing = replace(SUM, tests=("tests/test_sums.py::test_wrong",))
    (verdict,) = judge_all([failing], package)
    assert (verdict.mutant, verdict.outcome) == ("without mutants", "error")


@pytest.mark.slow
def test_code_from_elsewhere_is_noticed(package: Path) -> None:
    """The checkout is installed beside the copy: a test that reaches it would let every mutant survive."""
    (package / "tests" / "test_sums.py").write_text("import harness\n\n\ndef test_sum():\n    pass\n")
    (verdict,) = judge_all([SUM], package)
    assert verdict.outcome == "error"
    assert "imported from elsewhere" in verdict.detail


def test_the_list_and_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert mutants.main(["--list", "key-*"]) == 0
    said = capsys.readouterr().out
    assert said.count("key-without-") == len([m for m in MUTANTS if m.name.startswith("key-")])
    with pytest.raises(SystemExit) as end:
        mutants.main(["no-such-mutant"])
    assert end.value.code == 2


@pytest.mark.slow
def test_real_mutants_are_caught() -> None:
    chosen = [m for m in MUTANTS if m.name in ("ccc-sample-variance", "weight-decay-of-vectors", "key-without-chunk")]
    verdicts: list[Verdict] = judge_all(chosen, ROOT)
    assert [(v.mutant, v.outcome) for v in verdicts] == [(m.name, "caught") for m in chosen]
