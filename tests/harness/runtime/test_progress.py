"""Bars where no bar can be drawn: lines, at most one a minute, that count everything."""

from __future__ import annotations

import pytest

from harness.runtime import progress
from harness.runtime.progress import Bar


def test_a_line_a_minute(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with Bar(total=2000, desc="features", unit="frame") as bar:
        assert bar.plain
        for second in range(200):
            now = float(second)
            bar.update(10)
    said = capsys.readouterr().err.splitlines()
    assert said == [f"features: {n:,} of 2,000 frames" for n in (610, 1210, 1810)]
    assert bar.n == 2000


def test_what_is_gone_through_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    assert list(Bar("abc", desc="index", unit="track", total=3)) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines() == [f"index: {n} of 3 tracks" for n in (1, 2, 3)]


def test_a_silent_bar_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with Bar(total=3, shown=False) as bar:
        bar.update(3)
        bar.set_description("x")
        bar.set_postfix(loss="1")
    assert capsys.readouterr() == ("", "")
