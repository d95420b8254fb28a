"""A submission of the official size takes seconds and stays under a gigabyte."""

from __future__ import annotations

import pytest

from tests.benchmarks.submissions import ROWS, VIDEOS, benchmark


@pytest.mark.slow
def test_the_benchmark_on_a_crumb() -> None:
    assert benchmark("au", 60, 7).keys() == {"write", "verify", "against"}


@pytest.mark.slow
def test_the_official_size() -> None:
    figures = benchmark("va", ROWS["va"], VIDEOS["va"])  # numbers take longer to write than classes
    for command in ("write", "verify"):
        assert figures[command]["seconds"] < 60  # beside other load
        assert figures[command]["mb"] < 1000
