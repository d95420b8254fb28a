"""The table of ways to train an encoder pairs scores by seed."""

from __future__ import annotations

from harness.config.schema import RunConfig, with_settings
from tests.benchmarks.fine_tuning_choices import WAYS, table


def test_differences_are_those_of_equal_seeds() -> None:
    rows = table({"frozen": [0.1, 0.5], "other": [0.2, 0.4]}).splitlines()
    assert rows[2].split() == ["frozen", "0.3000", "+0.0000", "0.0000"]
    assert rows[3].split() == ["other", "0.3000", "+0.0000", "0.1414"]


def test_the_settings_of_every_way_exist() -> None:
    for way, settings in WAYS.items():
        with_settings(RunConfig(), settings, way)
